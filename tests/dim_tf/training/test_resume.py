"""Killed or stopped at any moment, a training goes on and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

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
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(
    train_process, uninterrupted, tmp_path, moments
):
    run = tmp_path / "run"
    for moment in moments:
        options = ["--resume"] if run.exists() else []
        killed = train_process(run, *options, DIE=f"{moment}:SIGKILL")
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
    done = train_process(run, "--resume")
    assert done.returncode == 0, done.stderr
    assert content(run) == content(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("repeat", range(3))
def test_killed_from_outside_at_random_times(
    uninterrupted, prepared, tiny_options, tmp_path, repeat
):
    run, rng = tmp_path / "run", np.random.default_rng(repeat)
    command = [sys.executable, "-m", "tests.tiny", "train", "--prepared", prepared, "--run", run]

    def started():
        options = ["--resume"] if run.exists() else []
        process = subprocess.Popen(
            [*command, *tiny_options, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if line.startswith("valid_"):  # all is set up, the updates begin
                break
        return process

    ended = []
    for _ in range(4):
        with started() as process:
            time.sleep(rng.uniform(0.3, 1.8))
            process.kill()
        ended.append(process.returncode)
    assert ended[0] == -signal.SIGKILL
    with started() as process:
        process.communicate()
    assert process.returncode == 0
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
def test_asked_to_stop_it_saves_says_how_to_go_on_and_goes_on_to_the_bit(
    train_process, uninterrupted, tmp_path, moment, name, update
):
    run = tmp_path / "run"
    stopped = train_process(run, DIE=f"{moment}:{name}")
    assert stopped.returncode == 130
    last = stopped.stderr.splitlines()[-1]
    assert last.startswith(f"stopped after update {update}; to resume: python -m dim_tf.train")
    assert last.endswith("--resume")
    with np.load(run / "latest.npz") as arrays:
        assert json.loads(str(arrays["state"]))["update"] == update
    done = train_process(run, "--resume")
    assert done.returncode == 0, done.stderr
    assert content(run) == content(uninterrupted)


@pytest.mark.slow
def test_dim_itself_killed_and_resumed(prepared, tiny_command, tmp_path):
    small = [
        *("--rnn-units", 4, "--max-updates", 6, "--eval-every", 3, "--save-every", 2),
        *("--set", "max_utterances=2", "--set", "max_utterance_len=6"),
        *("--set", "max_response_len=5", "--set", "max_word_len=6", "--batch-size", 5),
    ]
    command = ["train", "--prepared", prepared, *small]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert tiny_command(*command, "--run", whole).returncode == 0
    first = tiny_command(*command, "--run", killed, DIE="update:6:SIGKILL")
    assert first.returncode == -signal.SIGKILL
    assert tiny_command(*command, "--run", killed, "--resume").returncode == 0
    assert content(killed) == content(whole)
