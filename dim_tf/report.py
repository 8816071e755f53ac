"""Compares tested runs with the paper's Tables 2 to 5: `python -m dim_tf.report RUNS ...`.

RUNS are run folders, folders of run folders, or names of shipped models. Prints the tables in
Markdown. With `--out DIR` it also writes `results.json`, `results.md`, `results.csv`, `curves.png`
and `bars.png` there. With `--readme FILE` it writes the tables, and the pictures if they are in
DIR, between the lines `<!-- results:begin -->` and `<!-- results:end -->` of that file. Without
RUNS it writes the Markdown and the README anew from the `results.json` in DIR. With `--keep DIR` it
copies what it read of each run, a fraction of a megabyte, to a folder of that name in DIR: such
records can be reported on in the place of the runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dim_tf.cli.parser import Parser
from dim_tf.cli.parser import run as run_command
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic
from dim_tf.paper import comparison, readme, render
from dim_tf.paper.outcomes import is_tested
from dim_tf.runs import pretrained
from dim_tf.runs.record import CONFIG, Record

RESULTS_JSON, RESULTS_MD, RESULTS_CSV = "results.json", "results.md", "results.csv"
CURVES, BARS = "curves.png", "bars.png"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out) if arguments.out else None
    if arguments.keep and not arguments.runs:
        raise UsageError("--keep: give the run folders to keep records of")
    if arguments.readme:
        readme.check(arguments.readme)
    if out:
        atomic.check_place(out / RESULTS_JSON)
    paths = run_folders(arguments.runs)
    if paths:
        results = comparison.compare(paths)
    elif out:
        results = read_results(out / RESULTS_JSON)
    else:
        raise UsageError(
            "give run folders, or --out DIR with the results.json of an earlier report"
        )
    text = render.markdown(results)
    records = [Record.open(path) for path in paths]
    if arguments.keep:
        keep(records, Path(arguments.keep))
    if out:
        write(out, results, records)
    if arguments.readme:
        shown = pictures(out, Path(arguments.readme).parent) if out else []
        readme.write_section(arguments.readme, "\n\n".join([text.strip("\n"), *shown]))
    print(text, end="")


def run_folders(paths: Sequence[str | Path]) -> list[Path]:
    """Run folders; in the place of a folder that is none, the tested run folders in it.

    Raises:
        UsageError: A folder is none and holds none.
        CheckpointError: There is no such folder and no shipped model of that name.
    """
    found: list[Path] = []
    for path in map(pretrained.find, paths):
        each = [path] if (path / CONFIG).is_file() else _tested_in(path)
        if not each:
            raise UsageError(
                f"{path}: found no run folder ({CONFIG} is missing) and none in it; "
                "train one with python -m dim_tf.train, or several with python -m dim_tf.reproduce"
            )
        found += each
    return list(dict.fromkeys(found))


def _tested_in(folder: Path) -> list[Path]:
    """The run folders in a folder, without those that are not tested yet, which are named.

    If none is tested, all of them.
    """
    there = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    there = [path for path in there if path.suffix != ".tmp"]  # in the making
    tested = [path for path in there if is_tested(Record.open(path))]
    if tested and len(tested) < len(there):
        names = ", ".join(path.name for path in there if path not in tested)
        print(f"left out, not tested yet: {names}", file=sys.stderr)
    return tested or there


def keep(records: Sequence[Record], folder: Path) -> None:
    """Makes or renews the records of some runs, each in a folder of the run's name.

    Raises:
        UsageError: Two have the same name, or there is something else in the place of one.
    """
    places: dict[Path, Record] = {}
    for record in records:
        other = places.setdefault(folder / record.name, record)
        if other is not record:
            raise UsageError(
                f"--keep: {other.path} and {record.path} have the same name; keep one after the "
                "other in different folders"
            )
    for place, record in places.items():
        record.copy_to(place)


def write(out: Path, results: dict[str, Any], runs: Sequence[Record]) -> None:
    """Writes the results to the folder `out`; the curves only if there are `runs`."""
    from dim_tf.paper import charts

    out.mkdir(parents=True, exist_ok=True)
    atomic.write_json(out / RESULTS_JSON, results)
    atomic.write_text(out / RESULTS_CSV, render.to_csv(results))
    charts.save(charts.bars(results), out / BARS)
    if runs:
        charts.save(charts.curves(runs), out / CURVES)
    parts = ["# Comparison with the paper", render.markdown(results).strip("\n")]
    atomic.write_text(out / RESULTS_MD, "\n\n".join([*parts, *pictures(out, out)]) + "\n")


def pictures(out: Path, folder: Path) -> list[str]:
    """The pictures in `out` as Markdown that stands in a file of `folder`."""
    there = [out / name for name in (BARS, CURVES) if (out / name).exists()]
    return [f"![{path.stem}]({Path(os.path.relpath(path, folder)).as_posix()})" for path in there]


def read_results(path: Path) -> dict[str, Any]:
    """The results of an earlier report.

    Raises:
        DataError: The file is missing, damaged, or of another format.
    """
    results = atomic.read_json(path)
    found = results.get("format") if isinstance(results, dict) else None
    if found != comparison.FORMAT:
        raise DataError(
            f"found format {found!r}, expected {comparison.FORMAT}; report on the runs again",
            path=path,
        )
    return results


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUNS", help="run folders, folders of them, or records"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for tables and pictures")
    parser.add_argument("--readme", metavar="FILE", help="README to write the tables into")
    parser.add_argument("--keep", metavar="DIR", help="folder for records of the runs")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
