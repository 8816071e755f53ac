"""Train and test the runs of the paper's tables: `python -m dim_tf.reproduce --table 3 ...`.

Each cell of a table is a run folder in `--runs`, such as `imn_ctx_self_original_seed1`. Finished
runs are skipped and stopped ones resumed, so the same command can be given again at any time;
Ctrl-C saves and stops. At the end the runs are compared with the paper, in the folder `report` in
`--runs`, as `dim_tf.report` does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli import flags
from dim_tf.cli.parser import Parser, positive, run as run_command, seed
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.runtime import backend

TABLES = (2, 3, 4, 5)
REPORT = "report"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    if any(setting.startswith("max_updates=") for setting in arguments.set):
        raise UsageError("--set: max_updates is given by --updates")
    changes = flags.given_settings(arguments)
    folder = Path(arguments.runs)
    atomic.check_place(folder / REPORT)
    data = PreparedData.load(arguments.prepared)

    backend.load()
    from dim_tf.paper import plan, reproduction
    from dim_tf.training.trainer import Stopped

    systems = plan.check_systems(arguments.systems)
    seeds = list(dict.fromkeys(arguments.seeds))
    turns = arguments.test_turns
    planned = plan.make(data, folder, arguments.table, systems, seeds, changes, turns)
    print(planned, flush=True)
    try:
        reproduction.reproduce(planned, data, folder / REPORT, turns, arguments.deterministic)
    except Stopped:
        print("stopped; the same command resumes", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.reproduce", description=__doc__)
    add = parser.add_argument
    add("--prepared", metavar="DIR", required=True, help="read the prepared folder DIR")
    add("--runs", default="runs/paper", metavar="DIR", help="write the run folders to DIR")
    add(
        "--table",
        nargs="+",
        choices=TABLES,
        default=TABLES,
        help="fill these tables of the paper (default: all)",
    )
    add(
        "--systems",
        nargs="+",
        metavar="NAME",
        help="train these systems (default: the paper's but ft_pc)",
    )
    add("--seeds", type=seed, nargs="+", default=[1], help="train with these seeds (default: 1)")
    add("--test-turns", type=positive, help="test on a fixed sample of this many turns")
    add(
        "--updates",
        type=positive,
        dest="max_updates",
        default=argparse.SUPPRESS,
        help="train each run for at most this many updates (default: all of its epochs)",
    )
    flags.add_settings(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
