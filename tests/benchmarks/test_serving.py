from __future__ import annotations

import json

import pytest

from benchmarks import serving
from benchmarks.turns import write_turns
from dim_tf.cli import parser
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DimError
from dim_tf.training.start import new_run
from tests.tiny_run import saved

# Half a model, of two words everywhere.
TINY = {"rnn_units": 3, "use_context": False, "max_response_len": 2, "max_profile_len": 2}
TINY |= {"max_utterances": 1, "max_utterance_len": 2, "max_word_len": 5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A prepared folder of random turns, and a run with its initial weights."""
    prepared = tmp_path_factory.mktemp("prepared")
    write_turns(prepared, 8, 5)
    data = PreparedData.load(prepared)
    run = saved(new_run(tmp_path_factory.mktemp("runs") / "tiny", data, TINY))
    return ["--run", str(run.path), "--prepared", str(prepared)]


@pytest.fixture
def here(monkeypatch, eagerly):
    """Measures in this process, whose backend has started."""
    monkeypatch.setattr(
        serving, "in_a_child", lambda script, task, path, debug: serving._measure(**task)
    )


def test_figures(here, folders, tmp_path, capsys):
    path = tmp_path / "figures.json"
    options = ["--split", "train", "--turns", "5", "--cold", "2", "--json", str(path)]
    assert parser.run(serving.main, [*folders, *options]) == 0
    figures = json.loads(path.read_text())
    assert [list(cold) for cold in figures["cold"]] == [["backend", "first rank", "load"]] * 2
    assert all(cold["load"] > 0 and cold["first rank"] > 0 for cold in figures["cold"])
    assert 0 < figures["rank"]["p50"] <= figures["rank"]["p95"]
    assert figures["rank_many"]["turns_per_second"] > 0
    assert (figures["turns"], figures["run"]) == (5, "tiny")
    printed = capsys.readouterr().out
    assert f"| `rank`, p95 (ms) | {1000 * figures['rank']['p95']:.0f} |" in printed
    assert "run: tiny, 5 turns of up to 20 candidates, 2 cold starts" in printed
    assert printed.endswith(f"figures: {path}\n")


def test_turns_are_the_same_each_time_and_have_at_most_20_candidates(folders):
    data = PreparedData.load(folders[3])
    table = data.table("train", "self", "original")
    found = serving.some_turns(data, table, 4)
    assert found == serving.some_turns(data, table, 9)[:4]
    assert len(serving.some_turns(data, table, 9)) == 8
    assert all(1 <= len(turn["candidates"]) <= 20 for turn in found)
    assert all(set(turn) == {"context", "persona", "candidates"} for turn in found)


def test_a_measurement_that_fails_says_why(tmp_path):
    task = {"run": str(tmp_path), "turns": "none", "warm": True}
    with pytest.raises(DimError, match=r"measuring .*none.* failed: .*found no run folder"):
        serving.in_a_child(serving.__file__, task, tmp_path / "figures.json", debug=False)
    assert not (tmp_path / "figures.json").exists()
