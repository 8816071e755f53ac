"""A small copy of a run, to be passed on: weights and vectors as compressed float16."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.errors import CheckpointError
from dim_tf.io import atomic
from dim_tf.runs.record import METRICS, RANKS, RESULTS
from dim_tf.runs.run import BEST, VECTORS, Run
from dim_tf.systems import registry

if TYPE_CHECKING:
    import h5py
    import keras

LICENCES = "LICENCES.md"  # the licences of data and vectors, if the copy has such a file


@contextlib.contextmanager
def small_copy(run: Run, out: str | os.PathLike) -> Iterator[Run]:
    """Writes the copy and yields it, before it takes its name, so that files can be added.

    It has all that ranking needs, the metrics, the results and the ranks. It has no checkpoint, no
    scores and no files of TensorBoard. The copy of a dual encoder has zeros for the word vectors
    that training started from.

    Raises:
        UsageError: `out` exists.
        CheckpointError: The run is damaged, or has numbers that are too large for float16.
    """
    if registry.find(run.model).dual_encoder:  # the trained ones are in its weights
        vectors = np.zeros(run.word_vectors.shape, np.float16)
    else:
        vectors = _as_float16(run.word_vectors, f"{run.path / VECTORS}: word_vectors")
    copy = dataclasses.replace(run, path=Path(out), word_vectors=vectors, stored="float16")
    with copy.creating() as small, run.weights_unchanged():
        model = run.load_model()
        _round(model, run.path / BEST)
        atomic.write_npz(small.path / VECTORS, {"word_vectors": vectors}, compressed=True)
        small.save_best(model)
        _compress(small.path / BEST)
        for name in (METRICS, RESULTS):
            if (run.path / name).exists():
                shutil.copyfile(run.path / name, small.path / name)
        if (run.path / RANKS).is_dir():
            temporary = shutil.ignore_patterns("*.tmp*")
            shutil.copytree(run.path / RANKS, small.path / RANKS, ignore=temporary)
        yield small


def _round(model: keras.Model, path: Path) -> None:
    """Rounds the weights to float16, so that the copy holds exactly these weights."""
    for variable in model.trainable_weights:
        values = _as_float16(np.asarray(variable.value), f"{path}: weight {variable.path}")
        variable.assign(values.astype(np.float32))


def _as_float16(values: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all():
        largest = np.abs(values).max()
        raise CheckpointError(f"{name} holds {largest:g}, which is too large for float16")
    return rounded


def _compress(path: Path) -> None:
    """Rewrites a weights file with its float32 arrays as compressed float16."""
    import h5py

    with (
        atomic.replacing(path) as temporary,
        h5py.File(path) as source,
        h5py.File(temporary, "w") as target,
    ):
        _copy_compressed(source, target)


def _copy_compressed(source: h5py.Group, target: h5py.Group) -> None:
    import h5py

    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_compressed(item, target.create_group(name))
        elif item.dtype == np.float32 and item.shape:  # HDF5 does not compress single numbers
            values = item[()].astype(np.float16)
            # One chunk, shuffled: the high bytes of all numbers are similar and compress well.
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
