"""Trains and tests what the paper's tables compare: `python -m dim_tf.reproduce --table 3 ...`.

Each cell of a table is a run folder in `--runs`, such as `imn_ctx_self_original_seed1`. What is
finished is skipped and what was stopped goes on, so the same command can be given again at any
time; Ctrl-C saves and stops. At the end `dim_tf.report` compares the runs with the paper, in the
folder `report` there.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dim_tf import report
from dim_tf.cli import flags
from dim_tf.cli.parser import Parser, positive, whole
from dim_tf.cli.parser import run as run_command
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DivergedError, UsageError
from dim_tf.evaluation import evaluator, results
from dim_tf.io import atomic
from dim_tf.runtime import backend
from dim_tf.systems import registry
from dim_tf.training import start

if TYPE_CHECKING:
    from dim_tf.paper.plan import Cell, Cost, Plan

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
    from dim_tf.paper import plan
    from dim_tf.training.trainer import Stopped

    known = registry.implemented()
    systems = plan.check_systems(arguments.systems, known)
    seeds = list(dict.fromkeys(arguments.seeds))
    test_turns = arguments.test_turns
    planned = plan.make(data, folder, arguments.table, systems, known, seeds, changes, test_turns)
    print("\n".join(planned.lines()), flush=True)
    trial = _measured(planned, data, arguments.deterministic)
    print(planned.time_left(trial), flush=True)
    for number, cell in enumerate(planned.cells, start=1):
        if cell.finished:
            continue
        print(f"=== {number} of {len(planned.cells)}: {cell.name} ===", flush=True)
        try:
            _train(cell, data, arguments.deterministic)
            _test(cell, data, test_turns)
        except Stopped:
            print("stopped; the same command again goes on", file=sys.stderr)
            return 130
        except DivergedError as error:
            cell.diverged = True
            print(f"error: {error}", file=sys.stderr)
        print(planned.time_left(trial), flush=True)
    finished = [str(cell.run.path) for cell in planned.cells if cell.finished]
    if finished:
        report.main([*finished, "--out", str(folder / REPORT)])
    if names := ", ".join(cell.name for cell in planned.cells if cell.diverged):
        raise DivergedError(f"not in the report, since their training diverged: {names}")


def _measured(planned: Plan, data: PreparedData, deterministic: bool) -> dict[str, Cost]:
    """What the first cell that is left costs, by a few updates, if no run here tells yet."""
    from dim_tf.paper.plan import Cost

    left = [cell for cell in planned.cells if not cell.finished]
    if not left or planned.costs():
        return {}
    training = start.fresh_training(left[0].run, data, deterministic)
    print(f"measuring an update of {left[0].kind} ...", flush=True)
    return {left[0].kind: Cost(*training.measure())}


def _train(cell: Cell, data: PreparedData, deterministic: bool) -> None:
    """Trains a cell to its end; raises `Stopped` if it is asked to stop before."""
    import keras

    if cell.trained:
        return
    # As in a process of its own: nothing of the cells before is left, not even their names.
    keras.utils.clear_session()
    gc.collect()
    resume = cell.run.path.exists()
    training = start.open_training(cell.run, data, deterministic, resume=resume)
    try:
        training.train()
    finally:
        cell.done = training.state.update
    cell.trained = True


def _test(cell: Cell, data: PreparedData, turns: int | None) -> None:
    from dim_tf.runtime.scorer import Scorer

    tables = [data.table("test", cell.setting.persona, version) for version in cell.tested_on]
    rows = evaluator.sample_rows(len(tables[0]), turns)
    samples = evaluator.sample_batches(data, tables[0], cell.run.model_config, rows)
    scorer = Scorer(cell.run.load_model(), samples)
    for table in tables:
        summary = results.rank_table(cell.run, data, scorer, table, turns)
        print(
            f"{cell.name}, {table.name}: hits@1 {summary['hits@1']:.3f} MRR {summary['MRR']:.3f}",
            flush=True,
        )
    cell.tested = True


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m dim_tf.reproduce", description=__doc__)
    parser.add_argument("--prepared", required=True, help="folder made by python -m data_prep")
    parser.add_argument(
        "--runs", default="runs/paper", metavar="DIR", help="folder of the run folders"
    )
    parser.add_argument(
        "--table",
        type=int,
        nargs="+",
        choices=TABLES,
        default=TABLES,
        help="of the paper (default: all)",
    )
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", help="some of them (default: all that are here)"
    )
    parser.add_argument(
        "--seeds", type=_seed, nargs="+", default=[1], help="one run each (default: 1)"
    )
    parser.add_argument("--test-turns", type=positive, help="test on a fixed sample")
    parser.add_argument(
        "--updates",
        type=positive,
        dest="max_updates",
        default=argparse.SUPPRESS,
        help="of each run, at most (default: all of its epochs)",
    )
    flags.add_settings(parser)
    return parser


def _seed(text: str) -> int:
    return whole(text, 0, 2**31 - 1)


if __name__ == "__main__":
    sys.exit(run_command(main))
