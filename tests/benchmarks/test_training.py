"""The benchmark that shows training to be unharmed."""

from __future__ import annotations

import json

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from benchmarks import training
from dim_tf import train
from dim_tf.cli import parser

WORDS = ("tea", "cats", "snow", "i", "like")
TINY = (
    *("--rnn-units", "3", "--batch-size", "2", "--eval-every", "1", "--set", "use_context=false"),
    *("--set", "max_response_len=2", "--set", "max_profile_len=2", "--set", "max_word_len=5"),
    *("--set", "max_utterances=1", "--set", "max_utterance_len=2"),
)


pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def prepared(tmp_path):
    """Four turns to train on, two to validate on."""
    source, vectors, folder = tmp_path / "turns.jsonl", tmp_path / "vectors.txt", tmp_path / "out"
    turns = [
        {
            "context": ["you ?"],
            "persona": [f"i like {WORDS[number % 3]}"],
            "response": WORDS[number % 3],
            "candidates": list(WORDS[:3]),
            "split": "train" if number < 4 else "valid",
        }
        for number in range(6)
    ]
    source.write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
    rows = np.random.default_rng(0).normal(size=(len(WORDS), 4)).round(2).tolist()
    lines = (f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, rows, strict=True))
    vectors.write_text("".join(lines), encoding="utf-8")
    options = ("--source", source, "--out", folder, "--vectors", vectors, "--word2vec", "none")
    data_prep.main([str(option) for option in options])
    return folder


def test_both_comparisons(prepared, tmp_path, capsys):
    path = tmp_path / "figures.json"
    options = ["--prepared", str(prepared), "--json", str(path), "--updates", "2", "--seeds", "4"]
    assert parser.run(training.main, [*options, "--max-updates", "1", *TINY]) == 0
    figures = json.loads(path.read_text())
    losses = figures["losses"]
    assert [len(losses[name]) for name in ("packed", "reference", training.CONTROL)] == [2, 2, 2]
    np.testing.assert_allclose(losses["reference"], losses["packed"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(losses[training.CONTROL], losses["packed"], rtol=0, atol=1e-5)
    assert losses["packed"][0] != losses["packed"][1]
    assert [(row["model"], row["seed"]) for row in figures["study"]] == [
        ("packed", 4),
        ("reference", 4),
    ]
    printed = capsys.readouterr().out
    assert "| the first 2 |" in printed
    assert "| reference | 1 |" in printed


def test_losses_go_on_from_a_training(prepared, tmp_path):
    run, path = str(tmp_path / "run"), tmp_path / "figures.json"
    common = ["--prepared", str(prepared), "--run", run]
    train.main([*common, *TINY, "--max-updates", "3"])
    options = ["--only", "losses", "--updates", "2", "--json", str(path)]
    training.main([*common, *options])
    losses = json.loads(path.read_text())["losses"]
    # Without the moments of Adam the second losses would be some 1e-3 apart.
    np.testing.assert_allclose(losses["reference"], losses["packed"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(losses[training.CONTROL], losses["packed"], rtol=0, atol=1e-6)
    assert losses["packed"][0] != losses["packed"][1]


def test_what_the_tables_say():
    losses = {
        "packed": [3.0] * 60,
        "reference": [3.0] * 59 + [3.5],
        training.CONTROL: [3.0, 3.25] * 30,
    }
    table = training._differences(losses).splitlines()
    assert table[-3:] == [
        "| the first 10 | 0.0e+00 | 2.5e-01 |",
        "| the first 50 | 0.0e+00 | 2.5e-01 |",
        "| the first 60 | 5.0e-01 | 2.5e-01 |",
    ]
    scores = {"packed": (0.5, 0.7), "reference": (0.4, 0.6)}
    rows = [{"model": name, "MRR": mrr} for name, found in scores.items() for mrr in found]
    table = training._table(rows).splitlines()
    assert table[2] == "| packed | 2 | 0.6000 | 0.1000 |"
    assert table[-1] == "The means differ by 0.1000; standard error 0.1414."
