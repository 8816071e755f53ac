"""Measures how fast systems rank: `python benchmarks/systems.py RUN ... --prepared DIR`.

Ranks the turns of a split by each run as `dim_tf.evaluate` does, and takes the fastest of three
times. Prints a table with the minutes that its training took, as its metrics say, and what a large
matrix product reaches here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

import numpy as np

from benchmarks.child import platform_figures, product
from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.evaluation import evaluator
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

TIMES = 3


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = Parser(prog="python benchmarks/systems.py", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="measure this run folder")
    parser.add_argument("--prepared", required=True, help="the prepared folder of its turns")
    parser.add_argument("--split", choices=SPLITS, default="test", help="where turns are from")
    arguments = parser.parse_args(argv)
    data = PreparedData.load(arguments.prepared)
    backend.load()
    device = platform_figures()["device"]
    lines = ["| run | training (min) | ranks (turns/s) |", "| --- | ---: | ---: |"]
    rates = [product()]
    for path in arguments.runs:
        run = Run.open(path)
        run.check_prepared(data)
        minutes = max((row["time_s"] for row in run.metrics() if "time_s" in row), default=0) / 60
        rate = turns_per_second(run, data, arguments.split)
        lines.append(f"| {run.path.name} | {minutes:.1f} | {rate:,.0f} |")
        rates.append(product())
    print("\n".join(lines))
    print(f"\n{device}; a large product, between the runs: {min(rates):.0f} GFLOP/s or more")


def turns_per_second(run: Run, data: PreparedData, split: str) -> float:
    """The fastest of three evaluations, after one that compiles."""
    from dim_tf.runtime.scorer import batch_scorer

    table = data.table(split, run.persona, run.version)
    samples = evaluator.sample_batches(data, table, run.model_config, np.arange(len(table)))
    scorer = batch_scorer(run.load_model(), samples)
    seconds = []
    for _ in range(1 + TIMES):
        began = time.perf_counter()
        evaluator.evaluate(scorer, data, table, run.model_config)
        seconds.append(time.perf_counter() - began)
    return len(table) / min(seconds[1:])


if __name__ == "__main__":
    sys.exit(run_command(main))
