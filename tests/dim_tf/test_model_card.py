import dataclasses

from dim_tf import files, model_card
from dim_tf.run_folder import Run


def test_card_of_a_trained_run_says_data_sizes_recipe_and_results(trained):
    run = Run.open(trained)
    card = model_card.text(run)
    assert (trained / "MODEL_CARD.md").read_text() == card
    assert f"fingerprint {run.prepared['fingerprint']}" in card
    assert "* rnn_units: 4" in card
    assert "* learning_rate: 0.03" in card
    best = max((row for row in run.metrics() if row["kind"] == "valid"), key=lambda r: r["MRR"])
    assert f"| validation, update {best['update']} (best) | 14 | {best['hits@1']:.3f} |" in card


def test_card_of_a_run_without_training_or_results(run_copy):
    for name in ("metrics.jsonl", "results.json"):
        (run_copy / name).unlink(missing_ok=True)
    run = dataclasses.replace(Run.open(run_copy), training_config=None, persona="none")
    card = model_card.text(run)
    assert "None yet." in card
    assert "learning_rate" not in card
    assert card.startswith("# tiny: reply ranking with no persona\n")


def test_results_of_evaluations_are_rows(run_copy):
    measures = dict.fromkeys(model_card.COLUMNS, 0.5)
    results = {"test_self_original, 100 turns": {"turns": 100, "of": 7512, **measures}}
    files.write_json(run_copy / "results.json", results)
    card = model_card.text(Run.open(run_copy))
    assert "| test_self_original, 100 turns | 100 | 0.500 |" in card
