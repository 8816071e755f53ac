"""Killed or stopped at any moment, a training resumes and ends as if nothing had happened."""

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from dim_tf.training import trainer
from tests.run_content import content

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def train_process(prepared, tiny_command, tiny_options):
    def call(run, *options, **environment):
        if os.environ.get("KERAS_BACKEND") == "jax":
            environment["BLOCK"] = "tensorflow"  # only TensorBoard would use it, after seconds
        return tiny_command(
            "train", "--prepared", prepared, "--run", run, *tiny_options, *options, **environment
        )

    return call


@pytest.fixture(scope="module")
def uninterrupted(train_process, tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = train_process(path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.backend
@pytest.mark.parametrize(
    "moments",
    [
        # The best weights are written, the checkpoint that counts them is not; half a checkpoint;
        # half a line of metrics.jsonl.
        ["best:1", "checkpoint:3", "row:3"],
        # Within the creation of the run folder; half the best weights; in mid-epoch.
        pytest.param(["checkpoint:1", "weights:1", "update:17"], marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_resumes_exactly(train_process, uninterrupted, tmp_path, moments):
    run = tmp_path / "run"
    for moment in moments:
        options = ["--resume"] if run.exists() else []
        killed = train_process(run, *options, DIE=f"{moment}:SIGKILL")
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
    done = train_process(run, "--resume")
    assert done.returncode == 0, done.stderr
    assert content(run) == content(uninterrupted)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("moment", "name", "update"),
    [
        # No checkpoint is due after update 17; the validation after update 20 is cut short.
        ("update:17", "SIGINT", 17),
        pytest.param("validation:2", "SIGTERM", 20, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_the_state_and_resuming_is_exact(
    train_process, uninterrupted, tmp_path, moment, name, update
):
    run = tmp_path / "run"
    stopped = train_process(run, DIE=f"{moment}:{name}")
    assert stopped.returncode == 130
    message, again = stopped.stderr.splitlines()[-1].split("; to resume: ")
    assert message == f"stopped after update {update}"
    name = keras.backend.backend()
    *variable, python, _, command = again.split()[: 3 if name == "tensorflow" else 4]
    assert variable == ([] if name == "tensorflow" else [f"KERAS_BACKEND={name}"])
    assert (python, command) == (sys.executable, "dim_tf.train")
    assert again.endswith("--resume")
    with np.load(run / "latest.npz") as arrays:
        assert json.loads(str(arrays["state"]))["update"] == update
    done = train_process(run, "--resume")
    assert done.returncode == 0, done.stderr
    assert content(run) == content(uninterrupted)


def test_ctrl_c_saves_where_it_has_also_ended_the_reader_of_a_pipe(run_train, monkeypatch):
    def update_and_stop(self, *arguments):
        update(self, *arguments)
        if self.state.update == 3:
            signal.raise_signal(signal.SIGINT)

    def write(*arguments):
        raise BrokenPipeError

    update = trainer.Trainer._update
    monkeypatch.setattr(trainer.Trainer, "_update", update_and_stop)
    monkeypatch.setattr(trainer, "os", SimpleNamespace(write=write))
    run = run_train("run")
    with np.load(run / "latest.npz") as arrays:
        assert json.loads(str(arrays["state"]))["update"] == 3


def test_a_second_ctrl_c_stops_without_saving(run_train, tmp_path, monkeypatch):
    def update_and_stop(self, *arguments):
        update(self, *arguments)
        if self.state.update == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    update = trainer.Trainer._update
    monkeypatch.setattr(trainer.Trainer, "_update", update_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run_train("run")
    with np.load(tmp_path / "run" / "latest.npz") as arrays:
        assert json.loads(str(arrays["state"]))["update"] == 3
