"""Models that come with the repository, by name: run folders under `artefacts/`."""

from __future__ import annotations

import os
from pathlib import Path

from dim_tf.errors import CheckpointError, UsageError, did_you_mean

ARTEFACTS = Path(__file__).resolve().parents[2] / "artefacts"


def names() -> list[str]:
    """The shipped models; none where the package was installed without the repository."""
    return sorted(config.parent.name for config in ARTEFACTS.glob("*/config.json"))


def find(name_or_path: str | os.PathLike) -> Path:
    """The folder of a run, given as a path or as the name of a shipped model.

    A path that exists is what it says, also if a model has that name. So is one of several parts.

    Raises:
        CheckpointError: There is neither such a path nor such a model.

    >>> find(".")
    PosixPath('.')
    >>> find("personachat-supset")
    Traceback (most recent call last):
        ...
    dim_tf.errors.CheckpointError: personachat-supset: found no run folder (config.json is missing)
    and no shipped model of that name...
    """
    path = Path(name_or_path)
    if path.exists() or len(path.parts) != 1:
        return path
    known = names()
    if path.name in known:
        return ARTEFACTS / path.name
    if known:
        which = f"known are {', '.join(known)}{did_you_mean(path.name, known)}"
    else:
        which = (
            "found none here: they come with a clone of the repository, as folders of artefacts/, "
            "and an installation from it with pip install --editable"
        )
    raise CheckpointError(
        f"{path}: found no run folder (config.json is missing) and no shipped model of that name; "
        f"{which}"
    )


def to_write_into(name_or_path: str | os.PathLike) -> Path:
    """The folder of a run that is to keep what is found.

    Raises:
        CheckpointError: As for `find`.
        UsageError: It is a shipped model, given by its name: those stay as they came.
    """
    path = find(name_or_path)
    if path != Path(name_or_path):
        raise UsageError(
            f"--run {name_or_path}: what is found is kept in the run folder, but a shipped model "
            f"stays as it came; copy it (cp -r {path} DIR) and give --run DIR"
        )
    return path
