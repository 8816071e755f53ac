import json
import math
import shutil

import numpy as np
import pytest

from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic
from dim_tf.paper import comparison
from dim_tf.paper.render import markdown
from dim_tf.paper.tested_runs import open_runs
from tests.tiny_results import made_up_run, ranks_with


def compare(paths):
    return comparison.compare(open_runs(paths))


@pytest.fixture
def make(tmp_path):
    def call(name, *arguments, **options):
        return made_up_run(tmp_path / name, *arguments, **options)

    return call


def row(results, number, name):
    table = next(table for table in results["tables"] if table["name"] == f"Table {number}")
    return next(row for row in table["rows"] if row["name"] == name)["cells"]


def test_means_deviations_and_gains_over_seeds(make):
    results = compare(
        [
            make("b", ranks_with(30), seed=2),
            make("a", ranks_with(32), seed=1),
            make("none", ranks_with(20), "imn", "none"),
        ]
    )
    cell = results["cells"]["dim_self_original, tested on original"]
    assert (cell["seeds"], cell["runs"]) == ([1, 2], ["a", "b"])
    assert cell["hits@1"]["each"] == [80.0, 75.0]
    assert cell["hits@1"]["mean"] == 77.5
    assert cell["hits@1"]["sd"] == pytest.approx(5 / math.sqrt(2), abs=1e-4)
    # 32 of 40 at rank 1, the others at rank 2: (32 + 4) / 40.
    assert cell["MRR"]["each"] == [90.0, 87.5]
    assert cell["hits@1"]["low"] < 77.5 < cell["hits@1"]["high"]
    assert (cell["training_turns"], cell["updates"], cell["test_turns"]) == (1234, [300, 300], 40)
    assert cell["tested_updates"] == [300, 300]
    dim = row(results, 3, "DIM")
    assert dim[0]["ours"] == "dim_self_original, tested on original"
    assert dim[0]["gain"] == {"hits@1": 27.5, "MRR": 13.75}
    assert dim[0]["paper"] == {"hits@1": 78.8, "MRR": 86.7}
    assert dim[0]["paper_gain"] == {"hits@1": 15.0, "MRR": 10.9}
    assert [cell["ours"] for cell in dim[1:]] == [None] * 3
    assert json.loads(json.dumps(results, allow_nan=False)) == results


@pytest.mark.parametrize("model", ["imn", "dim"])
def test_dim_without_persona_is_imn_and_fills_both_tables(make, model):
    results = compare([make("none", ranks_with(20), model, "none")])
    found = row(results, 2, "IMN")[0]["ours"]
    assert found == row(results, 4, "DIM without persona")[0]["ours"]
    assert found == "imn_none_original, tested on original"


def test_transfer_and_ablation(make):
    results = compare(
        [
            make("a", ranks_with(30), tests={"revised": ranks_with(25)}),
            make("b", ranks_with(28), version="revised", tests={"original": ranks_with(29)}),
            make("c", ranks_with(15), use_context=False),
        ]
    )
    means = [
        [
            results["cells"][cell["ours"]]["hits@1"]["mean"]
            for cell in row(results, 5, f"trained on {name}")
        ]
        for name in ("original", "revised")
    ]
    assert means == [[75.0, 62.5], [72.5, 70.0]]
    assert row(results, 4, "DIM without context")[0]["ours"] == (
        "dim_no_context_self_original, tested on original"
    )
    five = [test for test in results["significance"] if test["table"] == "Table 5"]
    firsts = [(test["column"].split()[-1], test["first"].split()[-1]) for test in five]
    assert firsts == [("original", "original"), ("revised", "revised")]


def test_what_was_trained_on_original_personas_has_a_table(make):
    results = compare(
        [
            make("a", ranks_with(30), tests={"revised": ranks_with(25)}),
            make("b", ranks_with(28), persona="their"),
            make("c", ranks_with(20), "imn", persona="none"),
            make("d", ranks_with(22), "imn_utr"),
            make("e", ranks_with(27), persona="both"),
        ]
    )
    table = results["tables"][-1]
    assert table["columns"][4:] == ["both", "none"]
    rows = {row["name"]: row["cells"] for row in table["rows"]}
    means = {
        name: [ours and ours["hits@1"]["mean"] for ours in map(results["cells"].get, ids)]
        for name, cells in rows.items()
        if any(ids := [cell["ours"] for cell in cells])
    }
    assert means == {
        "IMN": [None] * 5 + [50.0],
        "IMN_utr": [55.0] + [None] * 5,
        "DIM": [75.0, 62.5, 70.0, None, 67.5, None],
    }
    assert any("The revised columns of Table 3" in note for note in results["notes"])
    # IMN reads no persona, and is compared with the systems that do.
    pairs = {(t["first"], t["second"]) for t in results["significance"]}
    assert {("IMN_utr", "IMN"), ("DIM", "IMN_utr")} <= pairs


def test_significance_pairs_turns_and_averages_seeds(make):
    results = compare(
        [
            make("a", np.tile([1, 2], 20), seed=1),
            make("b", ranks_with(40), seed=2),
            make("c", ranks_with(0), "imn_utr"),
        ]
    )
    (test,) = results["significance"]
    assert (test["table"], test["column"]) == ("Table 3", "self, original")
    assert (test["first"], test["second"], test["turns"]) == ("DIM", "IMN_utr", 40)
    # Differences 1 and 1/2 in turn: mean 3/4, variance 40/16/39, t = 0.75 / sqrt(1/16/39).
    assert test["hits@1"]["difference"] == 75.0
    assert test["hits@1"]["t"] == pytest.approx(3 * math.sqrt(39), abs=1e-4)
    assert test["hits@1"]["p"] < 1e-9
    assert test["MRR"]["difference"] == 37.5


def test_pairs_are_tested_on_the_turns_that_both_tables_begin_with(make):
    runs = [make("a", ranks_with(30)), make("b", ranks_with(20), persona="none")]
    (test,) = compare(runs)["significance"]
    assert (test["table"], test["second"]) == ("Table 4", "DIM without persona")
    # Without the last two turns: 28 and 20 of 38 are hits.
    runs[1] = make("c", ranks_with(20, 38), persona="none")
    (test,) = compare(runs)["significance"]
    assert test["turns"] == 38
    assert test["hits@1"]["difference"] == pytest.approx(100 * 10 / 38, abs=1e-4)
    # 12 hits of 40 are more than 11 of 38, but on the turns of both it is 10 to 11.
    dim = make("f", np.repeat([1, 2, 1], [10, 28, 2]))
    (test,) = compare([dim, make("g", ranks_with(11, 38), persona="none")])["significance"]
    assert test["first"] == "DIM without persona"
    assert test["hits@1"]["difference"] == pytest.approx(100 / 38, abs=1e-4)
    # In a table that lacks the first turns, the others have other rows.
    runs[1] = make("e", ranks_with(20, 38), persona="none", gold=2)
    assert compare(runs)["significance"] == []
    runs[1] = make("d", ranks_with(20), persona="none", gold=7)
    results = compare(runs)
    assert results["significance"] == []
    assert "Table 4, DIM and DIM without persona: no significance test" in results["notes"][-1]


def test_notes_on_unequal_updates_other_settings_and_initial_weights(make):
    results = compare(
        [
            make("a", ranks_with(30), updates=2000, initial="pretrained"),
            make("b", ranks_with(30), "imn_ctx", rnn_units=9),
            make("c", ranks_with(30), "dim", "their"),
        ]
    )
    notes = "\n".join(results["notes"])
    assert "Settings that are not the paper's: word_dim 3 (paper: 400)." in notes
    assert "imn_ctx_self_original: rnn_units 9 (paper: 200)" in notes
    (unequal,) = [note for note in results["notes"] if "updates" in note]
    assert "Table 3" in unequal and "Table 5" not in unequal
    assert "dim_self_original (pretrained)" in notes


def test_runs_that_the_paper_lacks_and_weights_from_elsewhere(make):
    runs = [make("a", ranks_with(30), "fire"), make("b", ranks_with(10), persona="both")]
    results = compare([*runs, make("authors", ranks_with(30), trained=False)])
    assert row(results, 3, "fire")[0]["ours"] == "fire_self_original, tested on original"
    assert row(results, 3, "fire")[0]["paper"] is None
    assert "dim_both_original, tested on original" in results["cells"]
    cell = results["cells"]["dim_self_original, tested on original"]
    assert (cell["seeds"], cell["training_turns"], cell["updates"]) == ([None], None, [None])


def test_all_runs_are_tested_on_the_same_turns(make):
    whole = make("a", ranks_with(30))
    sample = make("b", ranks_with(20, 25), "imn_ctx", sample_of=40)
    with pytest.raises(UsageError, match=r"a: the whole split; .*b: 25 turns.*--turns"):
        compare([whole, sample])
    both = make("c", ranks_with(20, 25), sample_of=40)
    found = [atomic.read_json(path / "results.json") for path in (both, whole)]
    atomic.write_json(both / "results.json", {**found[0], **found[1]})
    (both / "ranks/test_self_original.npz").write_bytes(
        (whole / "ranks/test_self_original.npz").read_bytes()
    )
    results = compare([both, sample])
    assert results["data"]["sample"] == 25
    assert compare([both, make("d", ranks_with(9), "imn_utr")])["data"]["sample"] is None


def test_runs_that_cannot_be_compared(make):
    run = make("run", ranks_with(30))
    for name, options, message in (
        ("data", {"model": "imn", "fingerprint": "b" * 64}, "tested on different data"),
        ("same", {}, "both are dim_self_original with seed 1; give one of them"),
        ("units", {"seed": 2, "rnn_units": 9}, r"differ in rnn_units \(8 and 9\)"),
        ("length", {"seed": 2, "updates": 9}, r"differ in max_updates \(300 and 9\)"),
        ("begun", {"seed": 2, "initial": "x"}, r"differ in initial \(None and x\)"),
        ("other", {"seed": 2, "trained_on": "c" * 64}, r"differ in training data \(a+ and c+\)"),
        ("turns", {"seed": 2, "gold": 3}, "tested on different turns"),
        ("column", {"model": "imn_utr", "gold": 3}, "tested on different turns"),
    ):
        with pytest.raises(UsageError, match=message):
            compare([run, make(name, ranks_with(30), **options)])
    with pytest.raises(UsageError, match=r"different turns \(40 and 30\)"):
        compare([run, make("fewer", ranks_with(20, 30), "imn_ctx")])
    with pytest.raises(UsageError, match="found no run folder"):
        compare([run, run / "nothing"])


def test_gains_between_different_turns_have_a_note(make):
    imn = make("imn", ranks_with(20), "imn", "none")
    results = compare([imn, make("a", ranks_with(30, 38), version="revised")])
    gain = row(results, 3, "DIM")[1]["gain"]["hits@1"]
    assert gain == pytest.approx(100 * 30 / 38 - 50, abs=1e-4)
    (note,) = [note for note in results["notes"] if "Gains" in note]
    assert "dim_self_revised" in note and "38 test turns instead of 40" in note
    results = compare([imn, make("b", ranks_with(30), "dim", "their", training_turns=999)])
    (note,) = [note for note in results["notes"] if "Gains" in note]
    assert "dim_their_original" in note and "999 training turns instead of 1,234" in note


def test_seeds_may_start_from_runs_of_their_own_seed(make):
    runs = [make(f"run{n}", ranks_with(30), seed=n, initial=f"base_seed{n}") for n in (1, 2)]
    assert compare(runs)["cells"]["dim_self_original, tested on original"]["seeds"] == [1, 2]


def test_settings_are_compared_with_the_defaults_of_their_system(make):
    results = compare([make("a", ranks_with(30), "starspace", max_utterances=9)])
    (note,) = [note for note in results["notes"] if "max_utterances" in note]
    assert "max_utterances 9 (default: 4)" in note


def test_a_split_no_larger_than_the_sample_counts_as_sampled(make):
    small = make("a", ranks_with(20, 30), version="revised")
    sample = make("b", ranks_with(20, 35), "imn_ctx", sample_of=40)
    results = compare([small, sample])
    assert results["data"]["sample"] == 35 and len(results["cells"]) == 2


def test_a_test_of_a_sample_that_others_lack_has_a_note(make):
    run = make("a", ranks_with(20, 25), sample_of=40)
    other = make("b", ranks_with(30), tests={"revised": ranks_with(9)})
    results = atomic.read_json(run / "results.json")
    revised = atomic.read_json(other / "results.json")["test_self_revised"]
    atomic.write_json(run / "results.json", {**results, "test_self_revised": revised})
    shutil.copy(other / "ranks/test_self_revised.npz", run / "ranks")
    found = compare([run, make("c", ranks_with(9), "imn_utr", version="revised")])
    assert list(found["cells"]) == [
        "dim_self_original, tested on revised",
        "imn_utr_self_revised, tested on revised",
    ]
    assert "a: test_self_original, 25 turns" in found["notes"][-1]


def test_of_a_folder_a_run_whose_test_is_outdated_is_left_out(make, tmp_path, capsys):
    make("a", ranks_with(30))
    run = make("b", ranks_with(20), "imn", "none")
    results = atomic.read_json(run / "results.json")
    results["test_none_original"]["update"] = 150
    atomic.write_json(run / "results.json", results)
    assert list(compare([tmp_path])["cells"]) == ["dim_self_original, tested on original"]
    assert capsys.readouterr().err.rstrip().endswith(": b")


def test_bold_are_the_tests_that_are_significant_among_all(make):
    """Holm: the smallest p counts three times among three tests."""
    runs = [
        make("a", ranks_with(30)),
        make("b", ranks_with(23), "imn_utr"),
        make("c", ranks_with(23), "imn_ctx"),
    ]
    results = compare(runs)
    ps = [test["hits@1"]["p"] for test in results["significance"]]
    adjusted = [test["hits@1"]["p_of_all"] for test in results["significance"]]
    assert len(ps) == 3 and adjusted[ps.index(min(ps))] == pytest.approx(3 * min(ps))
    assert 0.005 < min(ps) < 0.01 and "**+" not in markdown(results)
    assert "for the 3 tests of a measure" in markdown(results)


def test_tests_of_outdated_weights_do_not_count(make):
    run = make("run", ranks_with(30), tests={"revised": ranks_with(9)})
    results = atomic.read_json(run / "results.json")
    results["test_self_revised"]["update"] = 150
    atomic.write_json(run / "results.json", results)
    found = compare([run])
    assert list(found["cells"]) == ["dim_self_original, tested on original"]
    assert any("Left out" in note and "test_self_revised" in note for note in found["notes"])


def test_runs_that_were_not_tested_or_not_with_these_weights(make):
    run = make("run", ranks_with(30))
    results = atomic.read_json(run / "results.json")
    entry = results["test_self_original"]
    atomic.write_json(run / "results.json", {"test_self_original": {**entry, "update": 150}})
    with pytest.raises(UsageError, match="outdated weights"):
        compare([run])
    atomic.write_json(run / "results.json", {"test_self_original": {**entry, "hits@1": 0.5}})
    with pytest.raises(DataError, match=r"found hits@1 0\.75.*expected 0\.5.*test the run again"):
        compare([run])
    atomic.write_json(
        run / "results.json", {"valid_self_original": entry, "test_their_revised": entry}
    )
    with pytest.raises(UsageError, match=r"not tested yet .*self"):
        compare([run])
