"""Damaged runs, and runs used wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dim_tf import evaluate, predict
from dim_tf.errors import CheckpointError, DataError
from dim_tf.runs.record import CONFIG
from dim_tf.runs.run import BEST, Run
from tests.tiny_run import CONFIG as SIZES
from tests.tiny_run import WORDS, tiny_run


def test_run_and_prepared_folder_that_do_not_belong_together(run, prepared, refused):
    before = sorted(run.iterdir())
    said = refused(evaluate, "--run", run, "--prepared", prepared)
    assert said.startswith(f"{prepared} does not match {run}: ")
    assert said.endswith(f"prepare this data with --like {run}")
    assert sorted(run.iterdir()) == before


def changed(**changes):
    def change(run: Path) -> None:
        config = json.loads((run / CONFIG).read_text())
        config["model_config"].update(changes.pop("model_config", {}))
        (run / CONFIG).write_text(json.dumps({**config, **changes}))

    return change


def with_vectors(array: np.ndarray):
    return lambda run: np.savez(run / "vectors.npz", word_vectors=array)


RUNS = {
    "config deep": (lambda run: (run / CONFIG).write_text("[" * 10**5), "a damaged run folder ("),
    "persona": (changed(persona="x"), "\"persona\": found 'x', expected none, self, their or both"),
    "model": (changed(model=[]), '"model": found []'),
    "prepared": (changed(prepared={"fingerprint": 3}), "fingerprint: found 3"),
    "words a folder": (
        lambda run: ((run / "words.txt").unlink(), (run / "words.txt").mkdir()),
        "words.txt",
    ),
    "vectors of another size": (
        with_vectors(np.zeros((len(WORDS), 9), np.float32)),
        f"found ({len(WORDS)}, 9) float32, expected ({len(WORDS)}, {SIZES.word_dim}) float32",
    ),
    "vectors of text": (
        with_vectors(np.full((len(WORDS), 5), "a")),
        f"vectors.npz: found ({len(WORDS)}, 5) <U1",
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_damaged_run_is_named(case, run, replies, refused):
    spoil, message = RUNS[case]
    spoil(run)
    said = refused(predict, "--run", run, "--candidates", replies)
    assert said.startswith(str(run)) and message in said


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


def test_weights_without_a_sum_are_taken_as_they_are(one_model, run):
    opened = Run.open(run)
    model = opened.load_model()
    model.save_weights(run / BEST)
    assert opened.load_model() is model


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", "[]", "results.json: found no results by table; remove the file"),
        ("metrics.jsonl", "3\n", "metrics.jsonl:1: found 3, expected an object"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl:1: found {}, expected an object"),
    ],
)
def test_damaged_results_are_named(run, name, content, message):
    (run / name).write_text(content)
    read = {"results.json": Run.results, "metrics.jsonl": Run.metrics}[name]
    with pytest.raises(DataError) as error:
        read(Run.open(run))
    assert message in str(error.value)


def test_the_input_is_not_overwritten_by_the_output(refused, tmp_path):
    turns = tmp_path / "turns.jsonl"
    turns.write_text("{}\n")
    said = refused(predict, "--run", "R", "--input", turns, "--output", turns)
    assert said == f"--output: {turns} is the --input file; give another name"
    assert turns.read_text() == "{}\n"
