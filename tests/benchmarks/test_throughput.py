from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks import report, throughput
from benchmarks.child import Task, in_a_child, measure
from benchmarks.turns import write_turns
from dim_tf.cli import parser
from dim_tf.config import ModelConfig
from dim_tf.errors import DimError
from dim_tf.evaluation.evaluator import SAMPLE_BATCHES
from dim_tf.runtime.scorer import Scorer
from dim_tf.training.train_step import TrainingStep

# Half a model, of two words everywhere.
TINY = (
    *("--rnn-units", "3", "--word-dim", "5", "--set", "use_context=false"),
    *("--set", "max_response_len=2", "--set", "max_profile_len=2"),
    *("--set", "max_utterances=1", "--set", "max_utterance_len=2", "--set", "max_word_len=5"),
    *("--batch-size", "2", "--eval-batch-size", "3", "--candidates", "2,25", "--calls", "2"),
    *("--rounds", "1", "--steps", "1"),
)


@pytest.fixture
def here(monkeypatch, eagerly):
    """Measures in this process, whose backend has started."""
    monkeypatch.setattr(
        throughput, "in_a_child", lambda script, task, path, debug: measure(Task(**task))
    )


def test_all_parts(here, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert parser.run(throughput.main, [*TINY, "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    for part, size in (("train", 2), ("eval", 3)):
        (row,) = figures[part]
        assert row["batch_size"] == size
        assert row["ratio"] == figures[f"{part}_ratio"] > 0
        for model in ("packed", "reference"):
            assert row[model]["turns_per_second"] == size / row[model]["step_seconds"][0]
    assert figures["memory_ratio"] == figures["train"][0]["memory_ratio"]
    assert figures["eval"][0]["largest_logit_difference"] < 1e-5
    assert figures["input"][0]["together_turns_per_second"] > 0
    assert [row["candidates"] for row in figures["rank"]] == [2, 25]
    assert [row["reference"]["calls"] for row in figures["rank"]] == [2, 1]
    assert figures["settings"]["rnn_units"] == 3
    printed = capsys.readouterr().out
    assert "| training step, 2 turns |" in printed
    assert "NOTE: the reference model reached only" in printed
    assert printed.endswith(f"figures: {path}\n")


@pytest.mark.parametrize(("part", "fitted"), [("train", TrainingStep), ("eval", Scorer)])
def test_fixed_sizes_are_fitted_as_in_a_training(part, fitted, here, tmp_path, monkeypatch):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    write_turns(prepared, 20, word_dim=2)
    given = []

    def init(self, *arguments, **options):
        given.extend(arguments[-1])
        raise DimError("seen")

    monkeypatch.setattr(fitted, "__init__", init)
    with pytest.raises(DimError, match="seen"):
        measure(Task(part, str(prepared), {"rnn_units": 3}, batch_size=4))
    assert len(given) == SAMPLE_BATCHES
    assert {len(inputs["responses"]) for inputs in given} == {4}


@pytest.mark.slow
def test_a_child_is_a_process_of_its_own(tmp_path):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    write_turns(prepared, 20, word_dim=2)
    task = dataclasses.asdict(Task("idle", str(prepared), {}, batch_size=4))
    figures = throughput.in_a_child(
        throughput.__file__, task, tmp_path / "figures.json", debug=False
    )
    assert figures["peak"] > 50e6
    assert figures["backend"] == "tensorflow"


def test_a_child_that_fails(tmp_path):
    task = dataclasses.asdict(Task("train", str(tmp_path / "nowhere"), {}, model="reference"))
    with pytest.raises(DimError, match=r"measuring .*train.*reference.* not a prepared folder"):
        in_a_child(throughput.__file__, task, tmp_path / "figures.json", debug=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "trian"], "--only: found 'trian', expected some of train,eval"),
        (["--batch-size", "16,x"], "--batch-size: found x, expected a whole number"),
        (["--prepared", "nowhere"], "nowhere: not a prepared folder"),
        (["--prepared", "nowhere", "--word-dim", "3"], "--word-dim is of the random turns"),
        (["--word-dim", "2", "--set", "max_utterances=16"], "max_utterances: found 16, expected"),
        (["--json", "/"], "--json: / is a folder"),
    ],
)
def test_bad_options(options, message, capsys):
    assert parser.run(throughput.main, options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def steps(part, model, seconds, peak, **figures):
    figures = {"first": 9.0, "seconds": seconds, "peak": peak, "device_peak": None, **figures}
    return Task(part, "prepared", {}, model=model, batch_size=16), figures


def results(*measured):
    memory = {"peak": 100e6, "device_peak": None}
    platform = {"device": "a processor", "backend": "tensorflow", "cores": 2, "versions": {}}
    return [
        (Task("idle", "prepared", {}), {**memory, **platform}),
        (Task("product", "prepared", {}), {**memory, "gflops": 123.0}),
        *measured,
    ]


@pytest.mark.parametrize(("seconds", "slow"), [(20.0, False), (30.0, True)])
def test_ratios(seconds, slow):
    config = ModelConfig(char_vocab_size=70)
    figures = report.summarise(
        results(
            steps("train", "packed", [4.0, 5.0], 400e6),
            steps("train", "reference", [seconds, seconds], 1100e6),
            steps("train", "packed", [6.0], 500e6),
            steps("train", "reference", [1000.0], 1100e6),
        ),
        config,
    )
    assert figures["train_ratio"] == pytest.approx(seconds / 5)  # of medians
    assert figures["memory_ratio"] == pytest.approx(0.35)  # of what idle processes do not need
    assert figures["eval_ratio"] is None
    (row,) = figures["train"]
    assert row["packed"]["turns_per_second"] == 16 / 5
    assert row["reference"]["gflops"] == pytest.approx(3 * 832 / seconds, rel=0.01)
    table = report.markdown({**figures, "turns": "random"})
    assert ("NOTE" in table) == slow
    assert f"| training step, 16 turns | 3.20 | {16 / seconds:.2f} | {seconds / 5:.2f} |" in table
    assert "a large float32 matrix product 123" in table


def test_memory_of_an_accelerator_counts_in_the_place_of_the_process():
    measured = [
        steps("train", "packed", [1.0], 900e6, device_peak=3e9),
        steps("train", "reference", [2.0], 800e6, device_peak=6e9),
    ]
    figures = report.summarise(results(*measured), ModelConfig(char_vocab_size=70))
    assert figures["memory_ratio"] == 0.5
