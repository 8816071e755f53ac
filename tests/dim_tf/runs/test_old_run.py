"""What an earlier version wrote still serves: tests/data/old_run/README.md says how it was made."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from data_prep.archives import unpack
from dim_tf import evaluate, report, train
from dim_tf.data.dataset import PreparedData
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs import ranks
from dim_tf.runs.record import Record
from dim_tf.runs.run import Run
from dim_tf.training import checkpoint

ARCHIVE = Path(__file__).parents[2] / "data" / "old_run" / "old_run.tar.xz"
DISCRETE = ("kind", "update", "epoch", "turns", "hits@1", "hits@2", "hits@5", "hits@10")
TABLE = "test_self_original"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folders of the archive; the tests below add to them."""
    folder = tmp_path_factory.mktemp("old")
    unpack(ARCHIVE, folder)
    return folder


@pytest.fixture(scope="module")
def train_with(old):
    def call(run, *options):
        train.main(["--prepared", str(old / "prepared"), "--run", str(old / run), *options])
        return old / run

    return call


@pytest.fixture(scope="module")
def resumed(old, train_with):
    shutil.copytree(old / "stopped", old / "resumed")
    return train_with("resumed", "--resume")


def test_the_prepared_folder_opens(old):
    data = PreparedData.load(old / "prepared")
    assert len(data.words) == 39 and len(data.characters) == 13
    assert len(data.settings()) == 21
    assert len(data.table("train", "self", "original")) == 21
    Run.open(old / "finished").check_prepared(data)


def test_settings_of_old_runs_are_read(old):
    stopped, older = Run.open(old / "stopped"), Record.open(old / "records" / "older")
    assert checkpoint.read_state(old / "stopped" / "latest.npz")["update"] == 5
    assert stopped.training_config.negatives_schedule == [(2, 4), (3, None)]
    assert stopped.training_config.input_scale == 3.0
    assert Record.open(old / "records" / "finished")._config() == stopped._config()
    # It was written before these settings existed.
    assert (older.training_config.input_scale, older.training_config.negatives) == (1.0, None)


@pytest.mark.backend
def test_the_old_run_is_resumed(resumed):
    assert [row["update"] for row in Run.open(resumed).metrics()] == [3, 6, 9]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX draws other masks")
def test_the_resumed_run_ends_as_the_old_one_did(old, resumed):
    found, expected = (Run.open(path).metrics() for path in (resumed, old / "finished"))
    for row, other in zip(found, expected, strict=True):
        assert [row[name] for name in DISCRETE] == [other[name] for name in DISCRETE]
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert row["MRR"] == pytest.approx(other["MRR"], abs=1e-12)
    models = [Run.open(path).load_model() for path in (resumed, old / "finished")]
    for weight, other in zip(*(model.trainable_variables for model in models), strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), atol=1e-5, err_msg=weight.path)


def scores(run):
    """The scores file without its header: float [N, columns]."""
    lines = (run.path / "persona_test_out.txt").read_text().splitlines()
    return np.array([line.split("\t") for line in lines[1:]], float)


@pytest.mark.backend
def test_the_old_run_is_tested_with_the_old_results(old):
    run = Run.open(old / "finished")
    results, before, expected = run.results(), ranks.load(run, TABLE), scores(run)
    (run.path / "results.json").unlink()
    evaluate.main(["--run", str(run.path), "--prepared", str(old / "prepared")])
    assert run.results() == {TABLE: pytest.approx(results[TABLE])}
    after = ranks.load(run, TABLE)
    assert after.same_turns(before)
    np.testing.assert_array_equal(after.ranks, before.ranks)
    np.testing.assert_allclose(scores(run), expected, atol=1e-5)


def test_the_old_run_ranks_with_its_calibration(old):
    ranker = Ranker.load(old / "finished")
    stored = json.loads((old / "finished" / "calibration.json").read_text())
    assert ranker.calibration.temperature == stored["temperature"]
    data = PreparedData.load(old / "prepared")
    texts = data.texts(data.table("test", "self", "original"), 0)
    ranking = ranker.rank(texts["context"], texts["persona"], texts["candidates"])
    logits = np.array([row["score"] for row in ranking])
    expected = scores(ranker.run)[: len(ranking)]  # query, candidate, probability, rank, relevance
    assert [row["index"] for row in ranking] == expected[:, 1].tolist()
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), expected[:, 2], atol=1e-5)


def test_old_and_new_runs_are_in_one_report(old, train_with, resumed, capsys):
    options = ("--init-from", str(old / "finished"), "--version", "revised")
    sizes = ("max_utterances=4", "max_utterance_len=10", "max_word_len=6")
    settings = [option for size in sizes for option in ("--set", size)]
    tuned = train_with("tuned", *options, "--rnn-units", "1", "--max-updates", "2", *settings)
    assert Run.open(tuned).initial["run"] == "finished"
    evaluate.main(["--run", str(tuned), "--prepared", str(old / "prepared")])
    capsys.readouterr()
    report.main([str(path) for path in (*sorted((old / "records").iterdir()), tuned)])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    for setting, updates in (
        ("DIM, self, original", 9),
        ("DIM, self, revised", 2),
        (r"IMN\_utr, self, original", "2 of 4"),
    ):
        assert any(setting in row and row.endswith(f"| {updates} |") for row in rows), rows
