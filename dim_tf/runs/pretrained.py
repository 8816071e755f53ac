"""Pretrained models, by name: the run folders in `artefacts/` of the repository."""

from __future__ import annotations

import os
from pathlib import Path

from dim_tf.errors import CheckpointError, UsageError, did_you_mean

ARTEFACTS = Path(__file__).resolve().parents[2] / "artefacts"


def names() -> list[str]:
    """The pretrained models; none if the package was installed without the repository."""
    return sorted(config.parent.name for config in ARTEFACTS.glob("*/config.json"))


def find(name_or_path: str | os.PathLike) -> Path:
    """The folder of a run, given as a path or as the name of a pretrained model.

    A run folder takes precedence over a model of that name; `./NAME` is always a path.

    Raises:
        CheckpointError: Neither a path nor a model of that name exists.

    >>> find(".")
    PosixPath('.')
    >>> find("personachta")
    Traceback (most recent call last):
        ...
    dim_tf.errors.CheckpointError: personachta: found no run folder (config.json is missing)
    and no pretrained model of that name...
    """
    path, known = Path(name_or_path), names()
    is_model = os.fspath(name_or_path) in known and not (path / "config.json").exists()
    if not is_model and (path.exists() or os.fspath(name_or_path) != path.name):
        return path
    if is_model:
        return ARTEFACTS / path.name
    if known:
        which = f"expected one of {', '.join(known)}{did_you_mean(path.name, known)}"
    else:
        which = (
            "none is installed: they are in artefacts/ of a clone of the repository, which is used "
            "after pip install --editable"
        )
    raise CheckpointError(
        f"{path}: found no run folder (config.json is missing) and no pretrained model of that "
        f"name; {which}"
    )


def find_writable(name_or_path: str | os.PathLike) -> Path:
    """As `find`, for writing results; raises `UsageError` for the name of a pretrained model."""
    path = find(name_or_path)
    if path != Path(name_or_path):
        raise UsageError(
            f"--run {name_or_path}: results are written into the run folder, but a pretrained "
            f"model is not changed; copy it (cp -r {path} DIR) and give --run DIR"
        )
    return path
