import dataclasses

import numpy as np

from dim_tf.evaluation import metrics, model_card, significance
from dim_tf.evaluation.calibration import weights_fingerprint
from dim_tf.io import atomic
from dim_tf.models.transformer import CONTEXT_WORDS
from dim_tf.runs.ranks import TurnRanks, path_of, save as save_ranks
from dim_tf.runs.run import Run
from tests.tiny_calibration import calibration


def test_card_of_a_trained_run_says_data_sizes_recipe_and_results(trained, tiny_model):
    run = Run.open(trained)
    card = model_card.text(run)
    assert (trained / "MODEL_CARD.md").read_text() == card
    assert f"fingerprint {run.prepared['fingerprint']}" in card
    assert "* rnn_units: 4" in card
    reads = f"* It reads the last {run.model_config.max_utterances} utterances of a context"
    assert reads in card
    assert "* learning_rate: 0.03" in card
    best = max((row for row in run.metrics() if row["kind"] == "valid"), key=lambda r: r["MRR"])
    assert f"| validation, update {best['update']} (best) | 14 | {best['hits@1']:.3f} |" in card


def test_card_of_a_run_without_training_or_results(run_copy):
    for name in ("metrics.jsonl", "results.json"):
        (run_copy / name).unlink(missing_ok=True)
    run = dataclasses.replace(Run.open(run_copy), training_config=None, persona="none")
    config = run.model_config.replace(use_context=False)
    card = model_card.text(dataclasses.replace(run, model_config=config))
    assert f"* It reads the first {config.max_profiles} profiles, the first" in card
    assert "None yet." in card
    assert "learning_rate" not in card
    assert card.startswith("# tiny: reply ranking with no persona\n")


def test_card_of_a_dual_encoder_with_licences(run_copy):
    (run_copy / "LICENCES.md").touch()
    run = Run.open(run_copy)
    card = model_card.text(dataclasses.replace(run, model="starspace"))
    assert card.startswith("# Starspace: ")
    assert "see LICENCES.md" in card and "ignores words outside its vocabulary" in card
    assert "* recipe:" not in card and "* recipe:" in model_card.text(run)


def test_card_says_what_a_system_reads_of_a_context(run_copy):
    run = Run.open(run_copy)
    transformer, ir = (
        model_card.text(dataclasses.replace(run, model=name)) for name in ("transformer", "ir")
    )
    assert f"* It reads the last {CONTEXT_WORDS} words of a context, " in transformer
    assert "* It reads the last utterance of a context, " in ir


def evaluated(run, update, ranks=(1, 1, 2, 4)):
    """Keeps a test of four turns, as `dim_tf.evaluate` does."""
    ranks = np.array(ranks)
    rows = np.arange(len(ranks))
    save_ranks(run, "test_self_original", TurnRanks(rows, ranks, rows, "0" * 64))
    result = {"turns": len(ranks), "of": 14, "update": update, **metrics.summarise(ranks)}
    atomic.write_json(run.path / "results.json", {"test_self_original": result})


def test_intervals_are_those_of_the_ranks(run_copy):
    run = Run.open(run_copy)
    evaluated(run, run.best()["update"])
    hits = "{:.3f}, {:.3f}".format(*significance.interval(np.array([1.0, 1.0, 0.0, 0.0])))
    mrr = "{:.3f}, {:.3f}".format(*significance.interval(np.array([1.0, 1.0, 0.5, 0.25])))
    card = model_card.text(run)
    assert f"| 4 | 0.500 [{hits}] | 0.750 | 1.000 | 1.000 | 0.688 [{mrr}] | 0.688 |" in card
    assert "Outdated" not in card


def test_outdated_weights_are_named_and_the_means_stay_without_readable_ranks(run_copy):
    run = Run.open(run_copy)
    evaluated(run, run.best()["update"] - 1)
    path_of(run, "test_self_original").write_bytes(b"damaged")
    card = model_card.text(run)
    assert "| test_self_original | 4 | 0.500 | 0.750 |" in card
    assert "Outdated weights (not the current best): test_self_original." in card


def test_calibration_none_current_stale_and_damaged(run_copy):
    run = Run.open(run_copy)
    assert "None yet: probabilities are the softmax" in model_card.text(run)
    calibration(weights=weights_fingerprint(run_copy)).save(run_copy)
    card = model_card.text(run)
    assert "* Probabilities: softmax of the scores / 2.0000" in card
    assert "* No candidate fits if the best score / temperature is below 0.5000" in card
    assert "| expected calibration error | 0.0500 | 0.0500 |" in card
    assert "| turns whose gold reply was masked | 5 | 5 |" in card
    calibration().save(run_copy)
    assert "calibration.json belongs to other weights" in model_card.text(run)
    (run_copy / "calibration.json").write_text("{")
    assert f"Not readable: {run_copy / 'calibration.json'}: not JSON" in model_card.text(run)
