"""Rank the turns of a split with a trained run: `python -m dim_tf.evaluate --run RUN ...`.

Print hits@1, 2, 5, 10, MRR and MAP, and write the scores of all candidates in the authors'
format. With `--errors N` also write the N most confident mistakes, and print hits@1 by
the number of context utterances, by the length of the gold reply and by whether it shares words
with the persona.

The prepared folder may also be one that was made `--like` the run. Then nothing is written into the
run folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.config import PRECISIONS
from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS, PreparedData
from dim_tf.errors import UsageError
from dim_tf.evaluation import error_analysis, evaluator, results
from dim_tf.evaluation.calibration import Calibration
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.runs.record import RESULTS
from dim_tf.runs.run import Run


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    count, out = arguments.errors, arguments.out
    if out is not None:
        atomic.check_output(out, "--out")
    run = Run.open(arguments.run)
    data = PreparedData.load(arguments.prepared)
    kept = run.matches(data)
    if kept:
        atomic.check_place(pretrained.find_writable(arguments.run) / RESULTS)
    elif count:
        raise UsageError(
            f"--errors: {data.path} is not what {run.path} was trained on, and the run folder "
            "keeps nothing of other data; leave it out"
        )
    run = run.with_vocabulary_of(data)
    table = data.table(
        arguments.split, arguments.persona or run.persona, arguments.version or run.version
    )
    evaluator.check_profiles(run, data, table.persona)
    # What may be missing or damaged is read before minutes of work.
    calibration = None
    if count:
        calibration = Calibration.read(run.path)
        error_analysis.content_words()
    run.results()
    (ranked,) = results.rank_tables(
        run, data, [table], arguments.turns, arguments.batch_size, arguments.precision
    )
    print(ranked.describe())
    summary = ranked.result.summary()
    for name, value in summary.items():
        print(f"{name:8}{value:.4f}")
    if kept:
        out = ranked.keep(out and Path(out))
    elif out:
        results.write_scores(Path(out), ranked.result)
    if out:
        print(f"scores: {out}")
    if not kept:
        print(f"not kept in {run.path}: {data.path} is not what it was trained on")
    if count:
        current = calibration and calibration.is_current(run.path)
        print(ranked.keep_mistakes(count, calibration if current else None))
    print(f"{arguments.split} hits@1 {summary['hits@1']:.3f} MRR {summary['MRR']:.3f}")


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.evaluate", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="use this run folder or pretrained model")
    add(
        "--prepared",
        metavar="DIR",
        required=True,
        help="read the prepared folder of the run, or one made with --like",
    )
    add("--split", choices=SPLITS, default="test", help="rank this split")
    add("--persona", choices=PERSONAS, help="read this persona (default: the run's)")
    add("--version", choices=VERSIONS, help="read this version (default: the run's)")
    add("--precision", choices=PRECISIONS, help="compute in this precision (default: the run's)")
    add("--turns", type=positive, help="rank a fixed sample of this many turns")
    add("--batch-size", type=positive, default=evaluator.BATCH, help="rank this many turns at once")
    add("--errors", type=positive, metavar="N", help="write the N most confident mistakes")
    add("--out", help="write the scores to this file (default: in the run folder)")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
