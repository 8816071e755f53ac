"""Measures how soon a run answers: `python benchmarks/serving.py --run RUN --prepared DIR`.

Cold starts, each in a fresh process: the import of the backend, then `Ranker.load`, then the first
`rank`, which compiles. Then, warm: `rank` of 20 candidates, call by call, and `rank_many`. Prints a
table in Markdown, and writes all figures as JSON, in seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

import numpy as np

from benchmarks.child import CHILD, SEED, in_a_child, platform_figures
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.io import atomic
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

FIGURES = Path(__file__).absolute().with_suffix(".json")
CANDIDATES = 20
# Calls before those that are timed.
WARM_UP = 3


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    if argv[:1] == [CHILD]:
        atomic.write_json(argv[2], _measure(**json.loads(argv[1])))
        return None
    arguments = _parser().parse_args(argv)
    atomic.check_place(arguments.json)
    run, data = Run.open(arguments.run), PreparedData.load(arguments.prepared)
    run.check_prepared(data)
    table = data.table(arguments.split, run.persona, run.version)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder) / "turns.json"
        atomic.write_json(path, some_turns(data, table, arguments.turns))
        rounds = []
        for number in range(arguments.cold):
            # One round is enough of what is measured many times in it.
            task = {"run": arguments.run, "turns": str(path), "warm": number == 0}
            rounds.append(
                in_a_child(__file__, task, Path(folder) / "figures.json", arguments.debug)
            )
            cold = ", ".join(
                f"{name} {seconds:.2f} s" for name, seconds in rounds[-1]["cold"].items()
            )
            print(f"cold start {number + 1} of {arguments.cold}: {cold}", file=sys.stderr)
    figures = {**rounds[0], "cold": [each["cold"] for each in rounds], "run": run.path.name}
    print(markdown(figures))
    atomic.write_json(arguments.json, figures)
    print(f"figures: {arguments.json}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python benchmarks/serving.py", description=__doc__)
    parser.add_argument("--run", required=True, help="the run folder, or a pretrained model's name")
    parser.add_argument("--prepared", required=True, help="its prepared folder")
    parser.add_argument("--split", choices=SPLITS, default="test", help="where turns are from")
    parser.add_argument("--turns", type=positive, default=200, help="how many are ranked")
    parser.add_argument("--cold", type=positive, default=3, help="cold starts")
    parser.add_argument("--json", default=str(FIGURES), help="where the figures go")
    return parser


def some_turns(data: PreparedData, table, count: int) -> list[dict[str, Any]]:
    """Turns drawn from all over the table, with at most 20 candidates each."""
    rows = np.random.default_rng(SEED).permutation(len(table))[:count]
    found = []
    for row in rows:
        texts = data.texts(table, int(row))
        turn = {name: list(texts[name]) for name in ("context", "persona")}
        turn["candidates"] = [text for text in texts["candidates"] if text][:CANDIDATES]
        found.append(turn)
    return found


def _measure(run: str, turns: str, warm: bool) -> dict[str, Any]:
    """One round: a cold start, and the warm figures if they are asked for."""
    marks = [time.perf_counter()]
    backend.load()
    marks.append(time.perf_counter())
    from dim_tf.ranking.ranker import Ranker

    ranker = Ranker.load(run)
    marks.append(time.perf_counter())
    found = atomic.read_json(turns)
    began = time.perf_counter()
    ranker.rank(**found[0])
    names = ("backend", "load", "first rank")
    seconds = [*np.diff(marks).tolist(), time.perf_counter() - began]
    figures: dict[str, Any] = {"cold": dict(zip(names, seconds, strict=True))}
    return {**figures, **_warm(ranker, found), **platform_figures()} if warm else figures


def _warm(ranker, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """`rank` call by call, and `rank_many` of all turns."""
    for turn in turns[:WARM_UP]:
        ranker.rank(**turn)
    rank = []
    for turn in turns:
        began = time.perf_counter()
        ranker.rank(**turn)
        rank.append(time.perf_counter() - began)
    ranker.rank_many(turns)  # compiles what `rank` did not
    began = time.perf_counter()
    ranker.rank_many(turns)
    many = time.perf_counter() - began
    p50, p95 = np.percentile(rank, [50, 95]).tolist()
    return {
        "turns": len(turns),
        "rank": {"p50": p50, "p95": p95, "turns_per_second": len(turns) / sum(rank)},
        "rank_many": {"turns_per_second": len(turns) / many},
    }


def markdown(figures: dict[str, Any]) -> str:
    """The table that is printed."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    cold = {name: median(each[name] for each in figures["cold"]) for name in figures["cold"][0]}
    rank, many = figures["rank"], figures["rank_many"]
    rows = [
        ("import of the backend, cold (s)", f"{cold['backend']:.1f}"),
        ("`Ranker.load`, cold (s)", f"{cold['load']:.1f}"),
        ("the first `rank`, which compiles (s)", f"{cold['first rank']:.1f}"),
        ("`rank`, p50 (ms)", f"{1000 * rank['p50']:.0f}"),
        ("`rank`, p95 (ms)", f"{1000 * rank['p95']:.0f}"),
        ("`rank`, one turn after the other (turns/s)", f"{rank['turns_per_second']:.1f}"),
        ("`rank_many` (turns/s)", f"{many['turns_per_second']:.1f}"),
    ]
    lines = [
        f"{figures['device']}, {figures['cores']} cores, {versions}; run: {figures['run']}, "
        f"{figures['turns']} turns of up to {CANDIDATES} candidates, "
        f"{len(figures['cold'])} cold starts",
        "",
        "| | |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
