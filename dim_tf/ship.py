"""Write a small copy of a run to share: `python -m dim_tf.ship --run RUN --out DIR ...`.

The copy is a run folder with all that ranking needs. Weights and word vectors are stored as
compressed float16. Metrics, results, calibration, a model card and your licence text are included;
the training checkpoint, the scores and TensorBoard's files are not.

A copy in `artefacts/` of the repository is a pretrained model: `Ranker.load(NAME)` opens it.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, print_warnings, run as run_command
from dim_tf.errors import UsageError
from dim_tf.evaluation import model_card
from dim_tf.evaluation.calibration import Calibration
from dim_tf.runs.run import BEST, VECTORS, Run, check_free, weights_fingerprint
from dim_tf.runs.small_copy import LICENCES, small_copy


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    run, out = Run.open(arguments.run), Path(arguments.out)
    check_free(out)
    if not Path(arguments.licences).is_file():
        raise UsageError(f"--licences {arguments.licences}: found no such file, expected a text")
    with small_copy(run, out) as small:
        shutil.copyfile(arguments.licences, small.path / LICENCES)
        with print_warnings():  # of an outdated one
            calibration = Calibration.load(run.path)
        if calibration:
            weights = weights_fingerprint(small.path)
            dataclasses.replace(calibration, weights=weights).save(small.path)
        model_card.write(small)
    sizes = {path.name: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    print(
        f"{out}: {sum(sizes.values()) / 1e6:.1f} MB, of which weights "
        f"{sizes[BEST] / 1e6:.1f} and word vectors {sizes[VECTORS] / 1e6:.1f}"
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.ship", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="copy this run folder or pretrained model")
    add("--licences", metavar="FILE", required=True, help="include this licence file")
    add("--out", metavar="DIR", required=True, help="write the copy to DIR")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
