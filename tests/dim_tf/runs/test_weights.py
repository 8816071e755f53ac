"""Damaged, locked and old weights of a run."""

from __future__ import annotations

import fcntl
import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from dim_tf.errors import CheckpointError
from dim_tf.runs.run import BEST, Run
from tests.tiny_run import saved, tiny_run


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    return saved(tiny_run(tmp_path_factory.mktemp("runs") / "run")).path


@pytest.fixture
def run(whole_run, tmp_path) -> Path:
    """A run that a test may spoil."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


@pytest.fixture
def one_model(monkeypatch):
    """Weights can be loaded again and again without a model being built each time."""
    model = tiny_run(Path("tiny")).build_model()

    def emptied(self):
        for weight in model.trainable_weights:
            weight.assign(np.zeros(weight.shape))
        return model

    monkeypatch.setattr(Run, "build_model", emptied)


def test_corrupt_weights_are_never_taken_for_good_ones(one_model, run):
    """HDF5 has no sums, and Keras only warns of layers that it does not find in the file."""
    opened, good = Run.open(run), (run / BEST).read_bytes()
    expected = [np.asarray(weight.value) for weight in opened.load_model().trainable_weights]
    rng, refusals = np.random.default_rng(0), 0
    for start in [0, 50, *rng.integers(0, len(good), 30)]:
        damage = bytes(byte ^ 255 for byte in good[start : start + 200])
        (run / BEST).write_bytes(good[:start] + damage + good[start + 200 :])
        try:
            model = opened.load_model()
        except CheckpointError as error:
            assert str(error).startswith(f"{run / BEST}: damaged")
            refusals += 1
        else:  # what was hit means nothing
            for weight, value in zip(model.trainable_weights, expected, strict=True):
                np.testing.assert_array_equal(np.asarray(weight.value), value)
    assert refusals > 20


def test_a_locked_or_unreadable_file_is_not_called_damaged(one_model, run, monkeypatch):
    opened = Run.open(run)
    with (run / BEST).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match="locked"):
            opened.load_model()
    denied = PermissionError(13, "Permission denied", "its name")
    for name in ("config.json", "words.txt", "vectors.npz"):
        with monkeypatch.context() as patch, pytest.raises(PermissionError, match="its name"):
            real = io.open

            def refusing(path, *args, name=name, real=real, **kwargs):
                if str(path).endswith(name):
                    raise denied
                return real(path, *args, **kwargs)

            patch.setattr(io, "open", refusing)
            Run.open(run)


def test_weights_without_a_sum_are_taken_as_they_are(one_model, run):
    opened = Run.open(run)
    model = opened.load_model()
    model.save_weights(run / BEST)
    assert opened.load_model() is model
