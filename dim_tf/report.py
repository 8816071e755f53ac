"""Compare tested runs with the paper's Tables 2 to 5: `python -m dim_tf.report RUNS ...`.

RUNS are run folders, folders of run folders, or names of pretrained models. Print the tables in
Markdown. With `--out DIR` also write `results.json`, `results.md`, `curves.png` and `bars.png`
to DIR.

Of a run folder it reads `config.json`, `metrics.jsonl`, `results.json` and `ranks/` only, a
fraction of a megabyte: a copy of these is a record, which can be reported on instead of the run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.io import atomic
from dim_tf.paper import comparison, render
from dim_tf.paper.tested_runs import open_runs


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out) if arguments.out else None
    if out:
        atomic.check_place(out / render.RESULTS_JSON)
    remarks = "\n".join(atomic.read_lines(arguments.remarks)) if arguments.remarks else ""
    runs = open_runs(arguments.runs)
    results = comparison.compare(runs)
    if out:
        render.write(out, results, runs, remarks)
    print(render.markdown(results), end="")


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.report", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="RUNS", help="read run folders, folders of them, or records"
    )
    parser.add_argument("--out", metavar="DIR", help="write tables and charts to DIR")
    parser.add_argument(
        "--remarks", metavar="FILE", help="begin results.md with the text of this file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
