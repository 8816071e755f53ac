"""Ranks the turns of a split with a trained run: `python -m dim_tf.evaluate --run RUN ...`.

Prints hits@1, 2, 5, 10, MRR and MAP, and writes the scores of all candidates in the
authors' format. With `--errors N` also writes the N most confident mistakes, and prints hits@1 by
the number of context utterances, by the length of the gold reply and by whether it shares words
with the persona.

Of data that the run was not trained on, but which was prepared `--like` it, nothing is kept in the
run folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, positive
from dim_tf.cli.parser import run as run_command
from dim_tf.config import PRECISIONS
from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS, PreparedData
from dim_tf.errors import UsageError
from dim_tf.evaluation import evaluator
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.results import keep, keep_mistakes, write_scores
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.runs.record import RESULTS
from dim_tf.runs.run import Run
from dim_tf.runtime import backend


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    if arguments.out is not None:
        atomic.check_output(arguments.out, "--out")
    run = Run.open(pretrained.find(arguments.run))
    data = PreparedData.load(arguments.prepared)
    kept = run.is_of(data)
    if kept:
        atomic.check_place(pretrained.to_write_into(arguments.run) / RESULTS)
    elif arguments.errors:
        raise UsageError(
            f"--errors: {data.path} is not what {run.path} was trained on, and what is found on "
            "other data is not kept in a run folder; leave it out"
        )
    run = run.with_words_of(data)
    persona, version = arguments.persona or run.persona, arguments.version or run.version
    table = data.table(arguments.split, persona, version)
    _check_profiles(run, data, persona)
    # Read first: a damaged one is to be known before minutes of work.
    calibration = Calibration.read(run.path) if arguments.errors else None

    backend.load()
    from dim_tf.runtime.scorer import Scorer

    rows = evaluator.sample_rows(len(table), arguments.turns)
    samples = evaluator.sample_batches(data, table, run.model_config, rows, arguments.batch_size)
    run.results()  # as above
    with run.same_weights() as weights:
        if calibration and calibration.weights != weights:
            calibration = None  # the run was trained further
        update = run.best_update()
        scorer = Scorer(run.load_model(arguments.precision), samples)
        result = evaluator.ranked(run, data, scorer, table, arguments.turns, arguments.batch_size)
    summary = result.summary()
    own = arguments.precision in (None, run.model_config.precision)
    precision = None if own else arguments.precision
    out = Path(arguments.out) if arguments.out else None
    if kept:
        out = keep(run, data, table, result, update, out, precision)
    elif out:
        write_scores(out, result)
    print(f"{table.name}: {evaluator.describe_sample(len(table), arguments.turns)}")
    for name, value in summary.items():
        print(f"{name:8}{value:.4f}")
    if out:
        print(f"scores: {out}")
    if not kept:
        print(f"not kept in {run.path}: {data.path} is not what it was trained on")
    if arguments.errors:
        lines = keep_mistakes(run, data, table, result, arguments.errors, calibration, precision)
        print("\n".join(lines))
    print(f"{arguments.split} hits@1 {summary['hits@1']:.3f} MRR {summary['MRR']:.3f}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m dim_tf.evaluate", description=__doc__)
    parser.add_argument("--run", required=True, help="the run folder")
    parser.add_argument(
        "--prepared",
        required=True,
        help="the prepared folder it was trained on, or one that was made --like it",
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="which split to rank")
    parser.add_argument("--persona", choices=PERSONAS, help="if another than the run's own")
    parser.add_argument("--version", choices=VERSIONS, help="if another than the run's own")
    parser.add_argument("--precision", choices=PRECISIONS, help="if another than the run's own")
    parser.add_argument("--turns", type=positive, help="rank a fixed sample of so many turns")
    parser.add_argument(
        "--batch-size", type=positive, default=evaluator.BATCH, help="turns at once"
    )
    parser.add_argument(
        "--errors", type=positive, metavar="N", help="write the N most confident mistakes"
    )
    parser.add_argument("--out", help="scores file, if elsewhere than in the run folder")
    return parser


def _check_profiles(run: Run, data: PreparedData, persona: str) -> None:
    """Refuses both personas where the run was trained to read one of them."""
    room, needed = run.model_config.max_profiles, 2 * data.sizes["max_profiles"]
    if persona == "both" != run.persona and run.model_config.use_persona and room < needed:
        raise UsageError(
            f"--persona both gives up to {needed} profiles, but {run.path} was trained with room "
            f"for {room} (--persona {run.persona}); train a run with --persona both"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
