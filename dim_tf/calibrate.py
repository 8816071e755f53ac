"""Calibrate a trained run: `python -m dim_tf.calibrate --run RUN --prepared DIR`.

Fit the temperature and the threshold of "no candidate fits" on the validation split, measure
both on the test split, and write them to the run folder, where the ranker uses them. See
docs/calibration.md for what they mean.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation import calibration_fit, evaluator, model_card
from dim_tf.evaluation.calibration import CALIBRATION
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.runs.run import Run


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    run = Run.open(pretrained.find_writable(arguments.run))
    atomic.check_place(run.path / CALIBRATION)
    data = PreparedData.load(arguments.prepared)
    fitted = run.with_vocabulary_of(data)
    found = calibration_fit.calibrate(fitted, data, arguments.turns, arguments.batch_size)
    found.save(run.path)
    model_card.write(run)
    print(calibration_fit.describe(found))
    print(f"calibration: {run.path / CALIBRATION}")


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.calibrate", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="calibrate this run folder")
    prepared = "read its prepared folder DIR, or one made with --like"
    add("--prepared", metavar="DIR", required=True, help=prepared)
    add("--turns", type=positive, help="rank a fixed sample of this many turns of each split")
    add("--batch-size", type=positive, default=evaluator.BATCH, help="rank this many turns at once")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
