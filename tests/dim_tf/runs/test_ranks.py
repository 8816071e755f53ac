import json

import numpy as np
import pytest

from dim_tf import evaluate
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DataError
from dim_tf.evaluation import evaluator, metrics
from dim_tf.io import atomic
from dim_tf.runs.ranks import TurnRanks, has_current, load as load_ranks, path_of
from dim_tf.runs.run import Run
from tests.tiny_results import made_up_run

KEY = "test_self_original"


@pytest.fixture
def run(tmp_path):
    return Run.open(made_up_run(tmp_path / "run", [1, 2, 1]))


def test_a_test_keeps_the_ranks_of_its_turns(run_copy, prepared):
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    evaluate.main([*command, "--turns", "5"])
    evaluate.main(command)
    run, data = Run.open(run_copy), PreparedData.load(prepared)
    table = data.table("test", "self", "original")
    for key, rows in ((KEY, np.arange(14)), (f"{KEY}, 5 turns", evaluator.sample_rows(14, 5))):
        assert has_current(run, key)
        found = load_ranks(run, key)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_array_equal(found.gold, table.candidates[rows, table.target[rows]])
        assert found.fingerprint == data.text_fingerprint
        entry = run.results()[key]
        assert np.mean(found.ranks == 1) == entry["hits@1"]
        assert np.mean(1 / found.ranks) == entry["MRR"]
        assert entry["update"] == run.best()["update"]
    assert sorted(path.name for path in (run_copy / "ranks").iterdir()) == [
        *(f"{KEY}.npz", f"{KEY}_5_turns.npz")
    ]


def test_a_result_of_previous_weights_is_not_current(run):
    assert has_current(run, KEY)
    assert not has_current(run, "test_self_revised")
    measures = {"turns": 4, **metrics.summarise(np.array([1]))}
    row = json.dumps({"kind": "valid", "update": 400, **measures}) + "\n"
    with (run.path / "metrics.jsonl").open("a") as handle:
        handle.write(row)
    assert not has_current(run, KEY)


def test_same_turns():
    def ranks(rows, gold, fingerprint="f"):
        return TurnRanks(np.array(rows), np.array([1, 1]), np.array(gold), fingerprint)

    assert ranks([0, 1], [5, 6]).same_turns(ranks([0, 1], [5, 6]))
    assert not ranks([0, 1], [5, 6]).same_turns(ranks([0, 2], [5, 6]))
    assert not ranks([0, 1], [5, 6]).same_turns(ranks([0, 1], [5, 7]))
    assert not ranks([0, 1], [5, 6]).same_turns(ranks([0, 1], [5, 6], "g"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranks": np.array([1.0, 2.0, 3.0])}, 'field "ranks": found float64'),
        ({"ranks": np.array([1, 2])}, r'field "ranks": found int64 \(2,\), expected .*3'),
        ({"ranks": np.array([1, 0, 2])}, 'field "ranks": found a rank below 1'),
        ({"gold": np.array([[1, 2, 3]])}, r'field "gold": found int64 \(1, 3\)'),
        ({"fingerprint": np.array(3)}, 'field "fingerprint": expected a text'),
        ({"ranks": np.array([1, 2, 2])}, "expected 0.666667 by results.json"),
    ],
)
def test_damaged_ranks(run, changes, message):
    path = path_of(run, KEY)
    atomic.write_npz(path, {**atomic.read_npz(path), **changes})
    with pytest.raises(DataError, match=message):
        load_ranks(run, KEY)
    path.unlink()
    with pytest.raises(DataError, match="test the run again"):
        load_ranks(run, KEY)
