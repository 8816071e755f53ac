import json
import re
import sys
from unittest import mock

import numpy as np
import pytest

from dim_tf import calibrate, evaluate
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import CheckpointError, UsageError
from dim_tf.evaluation import error_analysis, evaluator, model_card, results
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.metrics import probabilities
from dim_tf.io import atomic
from dim_tf.runs.record import Record
from dim_tf.runs.run import Run, weights_fingerprint
from dim_tf.runtime.scorer import Scorer
from tests.scored import read_scores
from tests.tiny_calibration import calibration


@pytest.mark.backend
def test_command_prints_the_measures_and_writes_scores_results_and_card(run_copy, prepared, capsys):
    evaluate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test_self_original: all 14 turns"
    assert re.fullmatch(r"test hits@1 [01]\.\d{3} MRR [01]\.\d{3}", lines[-1])
    assert [line.split()[0] for line in lines[1:7]] == list(model_card.COLUMNS)
    rows = read_scores(run_copy / "persona_test_out.txt")
    gold = [row for row in rows if row["relevance"] == "1.0"]
    assert (len(rows), len(gold)) == (14 * 6, 14)
    hits = np.mean([row["rank"] == "1" for row in gold])
    results = atomic.read_json(run_copy / "results.json")
    assert results["test_self_original"]["hits@1"] == hits
    assert f"test hits@1 {hits:.3f}" in lines[-1]
    for number in range(14):
        scores = [float(row["score"]) for row in rows if row["query_id"] == str(number)]
        assert sum(scores) == pytest.approx(1.0, abs=1e-6)
        assert scores == sorted(scores, reverse=True)
    assert f"| test_self_original | 14 | {hits:.3f} [" in (run_copy / "MODEL_CARD.md").read_text()


def test_command_says_that_it_took_a_sample_and_names_the_file_after_another_setting(
    run_copy, prepared, capsys
):
    command = ["--run", run_copy, "--prepared", prepared, "--split", "valid", "--turns", 5]
    evaluate.main([*map(str, command), "--persona", "their", "--version", "revised"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "valid_their_revised: a fixed sample of 5 of 14 turns (seed 2019)"
    assert lines[-1].startswith("valid hits@1 ")
    rows = read_scores(run_copy / "persona_valid_out_their_revised_5_turns.txt")
    expected = evaluator.sample_rows(14, 5).tolist()
    assert sorted({int(row["query_id"]) for row in rows}) == expected
    assert not (run_copy / "persona_valid_out.txt").exists()


def test_results_are_kept_if_the_scores_fill_the_disk(run_copy, prepared, monkeypatch, capsys):
    (run_copy / "results.json").unlink(missing_ok=True)
    monkeypatch.setattr(results, "write_scores", mock.Mock(side_effect=OSError(28, "full")))
    with pytest.raises(OSError):
        evaluate.main(["--run", str(run_copy), "--prepared", str(prepared), "--split", "valid"])
    assert "hits@1  " in capsys.readouterr().out
    assert Record.open(run_copy).results()["valid_self_original"]["turns"] == 14


@pytest.mark.parametrize("command", [evaluate, calibrate])
def test_a_run_folder_that_cannot_be_written_to_is_refused_before_the_work(
    command, run_copy, prepared, monkeypatch
):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(evaluator, "evaluate", None)
    with pytest.raises(UsageError, match=f"{run_copy} cannot be written to"):
        command.main(["--run", str(run_copy), "--prepared", str(prepared)])


def test_another_precision_is_for_this_test_alone(run_copy, prepared, monkeypatch):
    asked, load_model = [], Run.load_model

    def load(run, precision=None):
        asked.append(precision)
        return load_model(run, precision)

    monkeypatch.setattr(Run, "load_model", load)
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    evaluate.main(command)
    evaluate.main([*command, "--precision", "bfloat16"])
    assert asked == [None, "bfloat16"]
    keys = ["test_self_original", "test_self_original, bfloat16"]
    assert sorted(Run.open(run_copy).results()) == keys
    names = ["persona_test_out.txt", "persona_test_out_bfloat16.txt"]
    assert sorted(path.name for path in run_copy.glob("*out*.txt")) == names
    assert "* precision: float32" in (run_copy / "MODEL_CARD.md").read_text()


def test_weights_that_are_replaced_meanwhile_get_no_results(run_copy, prepared, monkeypatch):
    rank = evaluator.evaluate

    def and_train(*given):
        run = Run.open(run_copy)
        model = run.load_model()
        model.trainable_weights[0].assign_add(np.ones(model.trainable_weights[0].shape))
        run.save_best(model)
        return rank(*given)

    monkeypatch.setattr(evaluator, "evaluate", and_train)
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    for main in (evaluate.main, calibrate.main):
        with pytest.raises(UsageError, match=r"best\.weights\.h5 was replaced meanwhile"):
            main(command)
    assert Run.open(run_copy).results() == {} and Calibration.read(run_copy) is None


def test_no_persona_is_zero_profiles(run_copy, prepared):
    evaluate.main(["--run", str(run_copy), "--prepared", str(prepared), "--persona", "none"])
    evaluate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    without, own = (
        [float(row["score"]) for row in read_scores(run_copy / f"persona_test_out{name}.txt")]
        for name in ("_none_original", "")
    )
    assert len(without) == len(own) == 14 * 6
    run, data = Run.open(run_copy), PreparedData.load(prepared)
    inputs, _ = data.inputs(data.table("test", "self", "original"), range(14), run.model_config)
    inputs["personas_len"][:], inputs["personas_num"][:] = 0, 0
    expected = probabilities(Scorer(run.load_model())(inputs), inputs["responses_len"] > 0)
    np.testing.assert_allclose(without, -np.sort(-expected, axis=1).ravel(), rtol=0, atol=1e-5)
    assert np.abs(np.subtract(own, without)).max() > 1e-3


def test_both_personas_need_room_unless_the_run_is_for_both(run_copy, prepared):
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    with pytest.raises(UsageError, match=r"--persona both .* 10 profiles.* 5 "):
        evaluate.main([*command, "--persona", "both"])
    config = atomic.read_json(run_copy / "config.json")
    config["persona"] = "both"
    atomic.write_json(run_copy / "config.json", config)
    evaluate.main(command)
    assert list(Run.open(run_copy).results()) == ["test_both_original"]


@pytest.fixture
def stranger(run_copy):
    """The run, but it was trained on another text; and it lacks the last words of this one."""
    config = json.loads((run_copy / "config.json").read_text())
    config["prepared"]["text_fingerprint"] = "0" * 64
    (run_copy / "config.json").write_text(json.dumps(config))
    atomic.write_lines(run_copy / "words.txt", atomic.read_lines(run_copy / "words.txt")[:-3])
    vectors = atomic.read_npz(run_copy / "vectors.npz")["word_vectors"]
    atomic.write_npz(run_copy / "vectors.npz", {"word_vectors": vectors[:-3]})
    return run_copy


def test_other_data_that_was_prepared_like_the_run(run_copy, prepared, stranger, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in stranger.rglob("*")}
    out = tmp_path / "scores.txt"
    command = ["--run", str(stranger), "--prepared", str(prepared)]
    evaluate.main([*command, "--out", str(out)])
    said = capsys.readouterr().out
    assert f"scores: {out}\n" in said
    assert {path: path.stat().st_mtime_ns for path in stranger.rglob("*")} == before
    data, run = PreparedData.load(prepared), Run.open(stranger)
    table = data.table("test", run.persona, run.version)
    scorer = Scorer(run.with_vocabulary_of(data).load_model())
    expected = evaluator.evaluate(scorer, data, table, run.model_config).summary()
    assert f"test hits@1 {expected['hits@1']:.3f} MRR {expected['MRR']:.3f}\n" in said
    assert len(read_scores(out)) == 14 * 6


def test_other_data_that_means_something_else_to_the_run(prepared, stranger):
    command = ["--run", str(stranger), "--prepared", str(prepared)]
    with pytest.raises(UsageError, match=r"--errors: .* trained on"):
        evaluate.main([*command, "--errors", "3"])
    lines = atomic.read_lines(stranger / "chars.txt")
    atomic.write_lines(stranger / "chars.txt", [lines[0], *reversed(lines[1:])])
    with pytest.raises(UsageError, match=r"does not match .*: the characters differ.*--like"):
        evaluate.main(command)


def test_errors_are_written_as_text_and_as_a_page(run_copy, prepared, capsys):
    command = ["--run", str(run_copy), "--prepared", str(prepared), "--split", "valid"]
    evaluate.main([*command, "--errors", "3", "--turns", "9"])
    lines = capsys.readouterr().out.splitlines()
    text = run_copy / "mistakes_valid_9_turns.txt"
    assert lines[-3:-1] == [f"mistakes: {text}", f"mistakes: {text.with_suffix('.html')}"]
    assert lines[-1].startswith("valid hits@1 ")
    assert "utterances of context             turns  hits@1" in lines
    rows = read_scores(run_copy / "persona_valid_out_9_turns.txt")
    best = {row["query_id"]: row for row in rows if row["rank"] == "1"}
    wrong = [row for row in best.values() if row["relevance"] == "0.0"]
    most_confident = sorted(wrong, key=lambda row: -float(row["score"]))[:3]
    shown = re.findall(r"^\d+\. turn (\d+):", text.read_text(), re.MULTILINE)
    assert shown == [row["query_id"] for row in most_confident]
    assert text.with_suffix(".html").read_text().count("<article>") == len(most_confident)


def test_errors_without_gensim_stop_before_the_work(run_copy, prepared, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.parsing.preprocessing", None)
    monkeypatch.setattr(evaluator, "evaluate", None)
    error_analysis.content_words.cache_clear()
    with pytest.raises(UsageError, match=r"--errors.*gensim"):
        evaluate.main(["--run", str(run_copy), "--prepared", str(prepared), "--errors", "3"])


@pytest.mark.parametrize("same_weights", [True, False])
def test_errors_are_calibrated_if_the_calibration_is_of_these_weights(
    run_copy, prepared, same_weights
):
    weights = {"weights": weights_fingerprint(run_copy)} if same_weights else {}
    calibration(temperature=3.0, **weights).save(run_copy)
    evaluate.main(["--run", str(run_copy), "--prepared", str(prepared), "--errors", "3"])
    text = (run_copy / "mistakes_test.txt").read_text()
    assert ("calibrated, temperature 3.0000" in text) == same_weights
    assert ("not calibrated" in text) != same_weights


def test_errors_with_a_damaged_calibration_stop_before_the_work(run_copy, prepared):
    (run_copy / "calibration.json").write_text("{}")
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        evaluate.main([*command, "--errors", "3"])
    assert not (run_copy / "results.json").exists()
