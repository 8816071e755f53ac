import json
import re
import shutil

import numpy as np
import pytest

from dim_tf import calibrate
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DataError, UsageError
from dim_tf.evaluation import evaluator
from dim_tf.evaluation.calibration import Calibration
from dim_tf.io import atomic
from dim_tf.runs.run import Run


@pytest.mark.backend
def test_command_keeps_what_it_prints(run_copy, prepared, capsys):
    calibrate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    lines = capsys.readouterr().out.splitlines()
    found = Calibration.load(run_copy)
    assert f"temperature {found.temperature:.4f};" in lines[0]
    assert f"is below {found.threshold:.4f}" in lines[0]
    rows = {line[:26].strip(): line[26:].split() for line in lines[1:11]}
    assert rows[""] == ["valid", "test"]
    assert rows["turns with a choice"] == ["14", "14"]
    assert rows["none fits: F1"] == [f"{found.valid.f1:.4f}", f"{found.test.f1:.4f}"]
    assert lines[-1] == f"calibration: {run_copy / 'calibration.json'}"
    assert found.valid.loss_after <= found.valid.loss_before
    assert found.valid.f1 >= found.valid.f1_of_rejecting_all
    assert (found.persona, found.version) == ("self", "original")
    assert found.prepared == PreparedData.load(prepared).fingerprint
    assert (found.valid.turns, found.valid.of, found.valid.without_gold) == (14, 14, 7)
    assert found.valid.seed != found.test.seed
    assert f"softmax of the scores / {found.temperature:.4f}" in card(run_copy)


def card(run):
    return (run / "MODEL_CARD.md").read_text()


def test_figures_are_those_of_the_run_read_again(run_copy, prepared):
    calibrate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    found, run, data = Calibration.load(run_copy), Run.open(run_copy), PreparedData.load(prepared)
    from dim_tf.runtime.scorer import Scorer

    table = data.table("test", "self", "original")
    result = evaluator.evaluate(Scorer(run.load_model()), data, table, run.model_config)
    gold = found.probabilities(result.logits, result.present)[np.arange(14), result.target]
    assert -np.log(gold).mean() == pytest.approx(found.test.loss_after, rel=1e-5)
    # What the ranker would say of the turns that are left as they are, one by one.
    chosen = np.random.default_rng(found.test.seed).permutation(14)[:7]
    left = [np.delete(result.logits[n], result.target[n] if n in chosen else []) for n in range(14)]
    said = [not found.fitting(logits).any() for logits in left]
    right = sum(said[n] for n in chosen)
    assert found.test.recall == pytest.approx(right / 7)
    assert found.test.precision == pytest.approx(right / max(sum(said), 1))


def test_a_sample_of_the_turns(run_copy, prepared):
    calibrate.main(["--run", str(run_copy), "--prepared", str(prepared), "--turns", "5"])
    found = Calibration.load(run_copy)
    assert [(f.turns, f.of, f.without_gold) for f in (found.valid, found.test)] == [(5, 14, 2)] * 2


def test_without_a_test_split_it_says_so(run_copy, prepared, tmp_path, capsys):
    folder = shutil.copytree(prepared, tmp_path / "without_test")
    for path in (folder / "turns").glob("test_*"):
        path.unlink()
    calibrate.main(["--run", str(run_copy), "--prepared", str(folder)])
    out = capsys.readouterr().out
    assert re.search(r"^note: .*test split", out, re.MULTILINE)
    assert re.search(r"^ +valid$", out, re.MULTILINE)
    assert Calibration.load(run_copy).test is None
    assert "no figures of a test split" in card(run_copy)


def test_turns_with_a_single_candidate_are_left_out_or_refused(run_copy, prepared, monkeypatch):
    rank, turns = evaluator.evaluate, 3

    def evaluate(*given):
        result = rank(*given)
        result.present[:turns] = False
        result.present[np.arange(turns), result.target[:turns]] = True
        return result

    monkeypatch.setattr(evaluator, "evaluate", evaluate)
    command = ["--run", str(run_copy), "--prepared", str(prepared)]
    calibrate.main(command)
    assert Calibration.load(run_copy).valid.turns == 11
    before, turns = (run_copy / "calibration.json").read_bytes(), 14
    with pytest.raises(DataError, match=r"valid_self_original: found 0 .*at least 2"):
        calibrate.main(command)
    assert (run_copy / "calibration.json").read_bytes() == before


@pytest.mark.parametrize("fingerprint", ["", "0" * 64], ids=["converted", "trained"])
def test_a_run_is_calibrated_on_data_with_its_words_and_others(run_copy, prepared, fingerprint):
    config = json.loads((run_copy / "config.json").read_text())
    config["prepared"] |= {"fingerprint": fingerprint, "text_fingerprint": fingerprint}
    (run_copy / "config.json").write_text(json.dumps(config))
    words = atomic.read_lines(run_copy / "words.txt")
    vectors = atomic.read_npz(run_copy / "vectors.npz")["word_vectors"]
    # Another order of the words and one more, as a folder has that was prepared --like it.
    order = [0, 1, *range(len(words) - 2, 1, -1)]
    atomic.write_lines(run_copy / "words.txt", [words[index] for index in order])
    atomic.write_npz(run_copy / "vectors.npz", {"word_vectors": vectors[order]})
    assert not Run.open(run_copy).matches(PreparedData.load(prepared))
    calibrate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    assert Calibration.load(run_copy).valid.turns == 14
    assert f"Vocabulary: {len(order)} words" in (run_copy / "MODEL_CARD.md").read_text()


def test_prepared_folder_that_does_not_belong_to_the_run(run_copy, prepared):
    config = json.loads((run_copy / "config.json").read_text())
    config["prepared"]["text_fingerprint"] = "0" * 64
    (run_copy / "config.json").write_text(json.dumps(config))
    characters = atomic.read_lines(run_copy / "chars.txt")
    atomic.write_lines(run_copy / "chars.txt", [characters[0], *characters[:0:-1]])
    with pytest.raises(UsageError, match="does not match"):
        calibrate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    assert not (run_copy / "calibration.json").exists()
