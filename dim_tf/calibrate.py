"""Calibrates a trained run: `python -m dim_tf.calibrate --run RUN --prepared DIR`.

Finds the temperature and the threshold of "no candidate fits" on the validation split, measures
both on the test split, and keeps them in the run folder, where the ranker uses them. See
`dim_tf.evaluation.calibration` for what they mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, positive
from dim_tf.cli.parser import run as run_command
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation import calibration_fit, evaluator, model_card
from dim_tf.evaluation.calibration import CALIBRATION, Calibration, Figures
from dim_tf.evaluation.calibration_fit import FEWEST_TURNS, TEST_SEED, VALID_SEED
from dim_tf.evaluation.evaluator import Result
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

ROWS = (
    ("cross-entropy, T = 1", "loss_before"),
    ("cross-entropy", "loss_after"),
    ("calibration error, T = 1", "ece_before"),
    ("calibration error", "ece_after"),
    ("none fits: precision", "precision"),
    ("none fits: recall", "recall"),
    ("none fits: F1", "f1"),
)


def calibrated(
    run: Run,
    weights: str,
    prepared: str,
    valid: tuple[Result, int],
    test: tuple[Result, int] | None,
) -> Calibration:
    """The calibration of scored turns.

    Args:
        run: Whose scores they are.
        weights: The fingerprint of its weights, that gave them.
        prepared: The fingerprint of the prepared folder.
        valid: Turns of the validation split that have something to choose from, and how many
            turns the split has.
        test: The same of the test split, or None for no figures of it.
    """
    result = valid[0]
    temperature = calibration_fit.fit_temperature(result.logits, result.target, result.present)
    signal, threshold, f1_by_signal = calibration_fit.choose_threshold(result, temperature)
    chosen = (temperature, signal, threshold)
    return Calibration(
        temperature=temperature,
        signal=signal,
        threshold=threshold,
        weights=weights,
        prepared=prepared,
        persona=run.persona,
        version=run.version,
        f1_by_signal=f1_by_signal,
        valid=calibration_fit.measure(*valid, *chosen, VALID_SEED),
        test=test and calibration_fit.measure(*test, *chosen, TEST_SEED),
    )


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    run = Run.open(pretrained.to_write_into(arguments.run))
    atomic.check_place(run.path / CALIBRATION)
    data = PreparedData.load(arguments.prepared)
    if run.prepared["fingerprint"]:
        run.check_prepared(data)
    else:  # converted: there is no folder that it was trained on
        run = run.with_words_of(data)
    splits = ["valid", *(["test"] if data.has("test", run.persona, run.version) else [])]
    tables = [data.table(split, run.persona, run.version) for split in splits]

    backend.load()
    from dim_tf.runtime.scorer import Scorer

    rows = evaluator.sample_rows(len(tables[0]), arguments.turns)
    samples = evaluator.sample_batches(
        data, tables[0], run.model_config, rows, arguments.batch_size
    )
    results = []
    with run.same_weights() as weights:
        scorer = Scorer(run.load_model(), samples)
        for table in tables:
            results.append(
                evaluator.ranked(run, data, scorer, table, arguments.turns, arguments.batch_size)
            )
    scored = []
    for table, result in zip(tables, results, strict=True):
        usable = calibration_fit.choices_only(result)
        scored.append((usable, len(table)))
        line = f"{table.name}: {evaluator.describe_sample(len(table), arguments.turns)}"
        single = len(result.rows) - len(usable.rows)
        print(line + (f", {single:,} with a single candidate left out" if single else ""))
    calibration_fit.check_enough(scored[0][0], f"{data.path}: {tables[0].name}")
    test = scored[1] if len(scored) > 1 and len(scored[1][0].rows) >= FEWEST_TURNS else None
    found = calibrated(run, weights, data.fingerprint, scored[0], test)
    found.save(run.path)
    model_card.write(run)
    print("\n".join(describe(found)))
    print(f"calibration: {run.path / CALIBRATION}")


def describe(found: Calibration) -> list[str]:
    """A calibration in words, line by line."""
    splits: list[tuple[str, Figures]] = [("valid", found.valid)]
    splits += [("test", found.test)] if found.test else []
    lines = [
        f"temperature {found.temperature:.4f}; no candidate fits if the best "
        f"{found.compared} is below {found.threshold:.4f}",
        f"{'':26}" + "".join(f"{name:>9}" for name, _ in splits),
    ]
    lines += [
        f"{label:26}" + "".join(f"{getattr(figures, name):9.4f}" for _, figures in splits)
        for label, name in ROWS
    ]
    by_signal = ", ".join(f"{f1:.4f} by {name}" for name, f1 in found.f1_by_signal.items())
    return [*lines, f"best F1 on valid: {by_signal}", *(f"note: {note}" for note in found.notes())]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m dim_tf.calibrate", description=__doc__)
    parser.add_argument("--run", required=True, help="the run folder")
    parser.add_argument("--prepared", required=True, help="the prepared folder it was trained on")
    parser.add_argument(
        "--turns", type=positive, help="take a fixed sample of so many turns of each split"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=evaluator.BATCH, help="turns at once"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
