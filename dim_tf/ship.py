"""Makes a small copy of a run, to be passed on: `python -m dim_tf.ship --run RUN --out DIR ...`.

The copy is a run folder with all that ranking needs. Weights and word vectors are stored as float16
and compressed without loss; they are float32 again when it is opened. The course of training, the
results and the calibration go along, a model card, and a text about the licences of data and
vectors. The state of training, TensorBoard's files and the scores do not.

Under `artefacts/` of the repository it is a shipped model: `Ranker.load(NAME)` opens it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.cli.parser import Parser
from dim_tf.cli.parser import run as run_command
from dim_tf.errors import CheckpointError, UsageError
from dim_tf.evaluation import model_card
from dim_tf.evaluation.calibration import Calibration, weights_fingerprint
from dim_tf.io import atomic
from dim_tf.runs.record import METRICS, RANKS, RESULTS
from dim_tf.runs.run import BEST, VECTORS, Run

if TYPE_CHECKING:
    import h5py
    import keras

LICENCES = "LICENCES.md"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    out = ship(Run.open(arguments.run), arguments.licences, arguments.out)
    sizes = {path.name: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    print(
        f"{out}: {sum(sizes.values()) / 1e6:.1f} MB, of which weights "
        f"{sizes[BEST] / 1e6:.1f} and word vectors {sizes[VECTORS] / 1e6:.1f}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.ship",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="the run folder")
    parser.add_argument(
        "--licences", metavar="FILE", required=True, help="a text about those of data and vectors"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="the copy, to be made")
    return parser


def ship(run: Run, licences: str | os.PathLike, out: str | os.PathLike) -> Path:
    """Makes the copy.

    Args:
        run: The run; its folder stays as it is.
        licences: A text file, copied as `LICENCES.md`.
        out: The new folder.

    Raises:
        UsageError: `out` exists, or there is no such text.
        CheckpointError: The run is damaged, or has numbers that are too large for float16.
    """
    if Path(out).exists():
        raise UsageError(f"--out {out} exists; give another folder")
    if not Path(licences).is_file():
        raise UsageError(f"--licences {licences}: found no such file, expected a text")
    vectors = _halved(run.word_vectors, f"{run.path / VECTORS}: word_vectors")
    copy = dataclasses.replace(run, path=Path(out), word_vectors=vectors, stored="float16")
    with copy.creating() as small, run.same_weights():
        model = run.load_model()
        _round(model, run.path / BEST)
        atomic.write_npz(small.path / VECTORS, {"word_vectors": vectors}, compressed=True)
        small.save_best(model)
        _store_small(small.path / BEST)
        for name in (METRICS, RESULTS):
            if (run.path / name).exists():
                shutil.copyfile(run.path / name, small.path / name)
        shutil.copyfile(licences, small.path / LICENCES)
        if calibration := Calibration.current(run.path):
            weights = weights_fingerprint(small.path)
            dataclasses.replace(calibration, weights=weights).save(small.path)
        if (run.path / RANKS).is_dir():
            temporary = shutil.ignore_patterns("*.tmp*")
            shutil.copytree(run.path / RANKS, small.path / RANKS, ignore=temporary)
        model_card.write(small)
    return Path(out)


def _round(model: keras.Model, path: Path) -> None:
    """Rounds the weights to what float16 can hold, so that storing them changes nothing."""
    for variable in model.trainable_weights:
        values = _halved(np.asarray(variable.value), f"{path}: weight {variable.path}")
        variable.assign(values.astype(np.float32))


def _halved(values: np.ndarray, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    if not np.isfinite(halved).all():
        largest = np.abs(values).max()
        raise CheckpointError(f"{what} holds {largest:g}, which is too large for float16")
    return halved


def _store_small(path: Path) -> None:
    """Writes a weights file anew, its float32 arrays as compressed float16."""
    import h5py

    with (
        atomic.replacing(path) as temporary,
        h5py.File(path) as source,
        h5py.File(temporary, "w") as target,
    ):
        _copy_small(source, target)


def _copy_small(source: h5py.Group, target: h5py.Group) -> None:
    import h5py

    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_small(item, target.create_group(name))
        elif item.dtype == np.float32:
            values = item[()].astype(np.float16)
            # Shuffled, the high bytes of all numbers stand side by side: they are alike and pack
            # well. One chunk for each array packs better than many.
            target.create_dataset(
                name,
                data=values,
                chunks=values.shape,
                compression="gzip",
                compression_opts=9,
                shuffle=True,
            )
        else:
            source.copy(name, target)


if __name__ == "__main__":
    sys.exit(run_command(main))
