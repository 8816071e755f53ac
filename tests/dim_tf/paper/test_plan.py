import dataclasses
import json
import shutil

import pytest

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import ConfigError, UsageError
from dim_tf.io import atomic
from dim_tf.paper import plan
from dim_tf.paper.plan import Cell, Cost
from tests.tiny_results import made_up_run, ranks_with

FAMILY = ("dim", "imn", "imn_ctx", "imn_utr")


@pytest.fixture
def make(prepared, tmp_path):
    """Plans without training anything."""

    def call(*numbers, systems=("imn", "imn_ctx", "imn_utr", "dim"), **options):
        data = PreparedData.load(options.pop("prepared", prepared))
        given = {"known": FAMILY, "seeds": [1], "changes": {"max_updates": 6}, **options}
        return plan.make(data, tmp_path / "runs", numbers, systems, **given)

    return call


def names(made):
    return [cell.name for cell in made.cells]


def test_runs_of_each_table(make):
    assert names(make(2)) == ["imn_none_original_seed1"]
    assert names(make(4, seeds=[1, 2])) == [
        *("dim_self_original_seed1", "dim_self_original_seed2"),
        *("imn_none_original_seed1", "imn_none_original_seed2"),
        *("dim_no_context_self_original_seed1", "dim_no_context_self_original_seed2"),
    ]
    three = make(3)
    assert len(three.cells) == 3 * 4 + 1
    assert {cell.setting.name for cell in three.cells} >= {"imn_ctx_their_revised"}
    assert three.cells[4].setting.name == "imn_none_original"  # what gains are counted from
    assert {cell.tested_on for cell in three.cells} == {("original",), ("revised",)}
    five = make(5)
    assert [(cell.name, cell.tested_on) for cell in five.cells] == [
        ("dim_self_original_seed1", ("original", "revised")),
        ("dim_self_revised_seed1", ("original", "revised")),
    ]
    every = make(2, 3, 4, 5)
    assert len(set(names(every))) == len(every.cells) == 14


def test_cells_become_settings_of_runs(make):
    cells = {cell.setting.name: cell.run for cell in make(3, 4, seeds=[7]).cells}
    run = cells["imn_ctx_their_revised"]
    assert (run.model, run.persona, run.version) == ("imn_ctx", "their", "revised")
    assert (run.training_config.seed, run.training_config.max_updates) == (7, 6)
    assert not cells["dim_no_context_self_original"].model_config.use_context
    assert not cells["imn_none_original"].model_config.use_persona


def test_only_some_systems(make, tiny_model):
    assert {cell.setting.system for cell in make(3, systems=["imn_utr"]).cells} == {"imn_utr"}
    # The ablation of Table 4 is DIM's own.
    assert len(make(4, systems=["dim"]).cells) == 3
    other = make(2, 3, systems=["tiny"], known=("tiny",))
    assert names(other)[:2] == ["tiny_none_original_seed1", "tiny_self_original_seed1"]
    assert len(other.cells) == 5


def test_systems_that_are_not_there(make):
    assert make(3).later == ["IR baseline", "Starspace", "Profile", "KV Profile", "FT-PC"]
    assert make(4, systems=["dim"], known=("dim",)).later == ["IMN"]
    for number, systems, known, expected in (
        (2, ["dim"], ("dim",), "found dim, expected .* in Table 2 .*: none"),
        (5, ["imn_ctx"], FAMILY, "found imn_ctx, expected .* in Table 5 .*: dim"),
        (3, ["imn"], FAMILY, "found imn, expected .* in Table 3 .*: imn_ctx, imn_utr, dim"),
    ):
        with pytest.raises(UsageError, match=f"nothing to train: {expected}$"):
            make(number, systems=systems, known=known)
    with pytest.raises(UsageError, match="KV Profile is not part of this program yet; expected d"):
        plan.check_systems(["dim", "kv_profile"], FAMILY)
    with pytest.raises(UsageError, match=r"found 'imn_cxt', expected .* did you mean imn_ctx"):
        plan.check_systems(["imn_cxt"], FAMILY)


def test_data_that_the_prepared_folder_lacks(make, prepared, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "partial")
    for name in ("train_self_revised", "valid_their_original", "test_their_revised"):
        (folder / "turns" / f"{name}.npz").unlink()
    made = make(3, 5, systems=["dim"], prepared=folder)
    assert [(cell.name, cell.tested_on) for cell in made.cells] == [
        ("dim_self_original_seed1", ("original", "revised")),
    ]
    assert [reason.replace(str(folder), "DIR") for reason in made.missing] == [
        "dim_self_revised: DIR has no turns of train_self_revised",
        "dim_their_original: DIR has no turns of valid_their_original",
        "dim_their_revised tested on revised: DIR has no turns of test_their_revised",
    ]
    assert "left out: dim_self_revised: " in "\n".join(made.lines())


def test_what_cannot_be_planned(make, tmp_path):
    for name, value in (("use_persona", False), ("seed", 3)):
        with pytest.raises(UsageError, match=f"--set: {name} follows from"):
            make(2, changes={name: value})
    with pytest.raises(ConfigError, match="max_utterances: found 99, expected at most 15"):
        make(2, changes={"max_utterances": 99})
    made_up_run(tmp_path / "runs/imn_none_original_seed1", ranks_with(3), "imn", "none")
    with pytest.raises(UsageError, match="was trained on other data"):
        make(2)


def test_time_is_that_of_the_updates_and_rankings_that_are_left(make, monkeypatch):
    made = make(4, changes={"max_updates": 6, "eval_every": 4})
    assert made.time_left() == "time: not known before the first validation of a run"
    dim, imn, without_context = made.cells
    costs = {dim.name: Cost(10, 0.5), imn.name: Cost(30, 1.0), without_context.name: Cost(4, 0.1)}
    monkeypatch.setattr(Cell, "cost", lambda cell: costs.get(cell.name))
    assert (dim.valid_turns, dim.test_turns) == (14, 14)
    # DIM is to be tested; of IMN four updates are left, two validations and the test; all of the
    # last one, with two validations and the test.
    dim.trained, imn.done = True, 2
    seconds = 14 * 0.5 + 4 * 30 + 3 * 14 * 1.0 + 6 * 4 + 3 * 14 * 0.1
    assert sum(cell.seconds_left(costs[cell.name]) for cell in made.cells) == pytest.approx(seconds)
    assert made.time_left() == (
        "time: about 3 min (an update, as measured: dim 10 s, imn 30 s, dim without context 4 s)"
    )
    imn.done = 5  # after the first validation
    assert imn.seconds_left(Cost(30, 1.0)) == 30 + 2 * 14
    imn.diverged = True
    assert imn.seconds_left(Cost(30, 1.0)) == 0
    for cell in (dim, without_context):
        cell.trained = cell.tested = True
    assert made.time_left() == "time: nothing is left to do"


def test_what_was_not_measured_costs_as_the_rest(make, monkeypatch):
    made = make(2, 4, changes={"max_updates": 6})
    assert "dim 1 s" in made.time_left({"dim": Cost(1, 0)})
    assert made.time_left({"dim": Cost(1, 0)}).startswith("time: about 18 s")
    imn = next(cell for cell in made.cells if cell.kind == "imn")
    monkeypatch.setattr(Cell, "cost", lambda cell: Cost(3, 0) if cell is imn else None)
    assert made.time_left({"dim": Cost(1, 0)}).startswith("time: about 36 s")  # 6 * (3 + 1 + 2)
    assert made.time_left().startswith("time: about 54 s")


def test_costs_are_those_of_the_usual_row(make, tmp_path):
    cell = make(2).cells[0]
    path = made_up_run(cell.run.path, ranks_with(3), "imn", "none")
    valid = json.loads(atomic.read_lines(path / "metrics.jsonl")[-1])
    rows = [
        {"kind": "train", "update": n, "turns_per_s": r} for n, r in ((1, 1.0), (2, 4.0), (3, 5.0))
    ]
    lines = [*rows, {**valid, "turns_per_s": 20.0}]
    atomic.write_lines(path / "metrics.jsonl", map(json.dumps, lines))
    assert cell.cost() == (cell.size / 4.0, 1 / 20.0)
    atomic.write_lines(path / "metrics.jsonl", map(json.dumps, rows))
    assert cell.cost() is None


def test_a_run_from_other_weights_is_no_cell(make, prepared, tmp_path):
    cell = make(2).cells[0]
    initial = {"run": "pretrained", "prepared": {}, "initial": None}
    with dataclasses.replace(cell.run, initial=initial).creating():
        pass
    with pytest.raises(UsageError, match="started from the weights of pretrained, not from fresh"):
        make(2)
