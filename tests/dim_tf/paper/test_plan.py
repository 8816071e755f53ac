import dataclasses
import shutil

import pytest

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.paper import plan
from tests.tiny_results import made_up_run, ranks_with


@pytest.fixture
def make(prepared, tmp_path):
    """Plans without training anything."""

    def call(*numbers, systems=("imn", "imn_ctx", "imn_utr", "dim"), **options):
        data = PreparedData.load(options.pop("prepared", prepared))
        given = {"seeds": [1], "changes": {"max_updates": 6}, **options}
        return plan.make(data, tmp_path / "runs", numbers, systems, **given)

    return call


def names(made):
    return [each.name for each in made.runs]


def test_runs_of_each_table(make):
    assert names(make(2)) == ["imn_none_original_seed1"]
    assert names(make(4, seeds=[1, 2])) == [
        *("dim_self_original_seed1", "dim_self_original_seed2"),
        *("imn_none_original_seed1", "imn_none_original_seed2"),
        *("dim_no_context_self_original_seed1", "dim_no_context_self_original_seed2"),
    ]
    three = make(3)
    assert len(three.runs) == 3 * 4 + 1
    assert three.runs[4].setting.name == "imn_none_original"  # what gains are counted from
    assert {cell.tested_on for cell in three.runs} == {("original",), ("revised",)}
    five = make(5)
    assert names(five) == ["dim_self_original_seed1", "dim_self_revised_seed1"]
    assert {cell.tested_on for cell in five.runs} == {("original", "revised")}
    every = make(2, 3, 4, 5)
    assert len(set(names(every))) == len(every.runs) == 14


def test_cells_become_settings_of_runs(make):
    cells = {cell.setting.name: cell.run for cell in make(3, 4, seeds=[7]).runs}
    run = cells["imn_ctx_their_revised"]
    assert (run.model, run.persona, run.version) == ("imn_ctx", "their", "revised")
    assert (run.training_config.seed, run.training_config.max_updates) == (7, 6)
    assert not cells["dim_no_context_self_original"].model_config.use_context
    assert not cells["imn_none_original"].model_config.use_persona


def test_only_some_systems(make, tiny_model):
    assert {cell.setting.system for cell in make(3, systems=["imn_utr"]).runs} == {"imn_utr"}
    # The ablation of Table 4 is DIM's own.
    assert len(make(4, systems=["dim"]).runs) == 3
    other = make(2, 3, systems=["tiny"])
    assert names(other)[:2] == ["tiny_none_original_seed1", "tiny_self_original_seed1"]
    assert len(other.runs) == 5


def test_systems_that_are_not_planned(make):
    with pytest.raises(UsageError, match=r"to train: .*imn.* Table 3: .*imn_ctx, imn_utr, dim$"):
        make(3, systems=["imn"])
    with pytest.raises(UsageError, match="FT-PC starts from a run of transformer"):
        plan.check_systems(["dim", "ft_pc"])
    with pytest.raises(UsageError, match=r"'imn_cxt', .* did you mean imn_ctx"):
        plan.check_systems(["imn_cxt"])


def test_data_that_the_prepared_folder_lacks(make, prepared, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "partial")
    for name in ("train_self_revised", "valid_their_original", "test_their_revised"):
        (folder / "turns" / f"{name}.npz").unlink()
    made = make(3, 5, systems=["dim"], prepared=folder)
    assert [(cell.name, cell.tested_on) for cell in made.runs] == [
        ("dim_self_original_seed1", ("original", "revised")),
    ]
    assert made.missing == [
        "dim_self_revised: train_self_revised",
        "dim_their_original: valid_their_original",
        "dim_their_revised: test_their_revised",
    ]
    assert "left out: dim_self_revised: " in str(made)


def test_what_cannot_be_planned(make, tmp_path):
    for name, value in (("use_persona", False), ("seed", 3)):
        with pytest.raises(UsageError, match=f"--set: {name} follows from"):
            make(2, changes={name: value})
    made_up_run(tmp_path / "runs/imn_none_original_seed1", ranks_with(3), "imn", "none")
    with pytest.raises(UsageError, match=r"with data small.*--runs"):
        make(2)


def test_a_run_from_other_weights_is_no_cell(make):
    initial = {"run": "pretrained", "prepared": {}, "initial": None}
    with dataclasses.replace(make(2).runs[0].run, initial=initial).creating():
        pass
    with pytest.raises(UsageError, match="weights of pretrained"):
        make(2)
