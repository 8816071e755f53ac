"""Charts of a comparison: learning curves, and bars of our scores and the paper's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dim_tf.io import atomic
from dim_tf.paper.published import MEASURES
from dim_tf.paper.tested_runs import setting_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dim_tf.runs.record import Record

COLUMNS = 3
STYLES = ("-", "--", ":", "-.")  # beyond the ten colours


def curves(runs: Sequence[Record]) -> Figure:
    """Validation hits@1 and MRR against training turns; a line per run, a colour per setting.

    Runs that were only validated before training have no line: the axis is logarithmic.
    """
    figure = _figure(11, 4.5)
    valid = [
        (run, [row for row in run.metrics() if row["kind"] == "valid" and row["update"]])
        for run in runs
    ]
    valid = [(run, rows) for run, rows in valid if rows]
    names = list(dict.fromkeys(setting_of(run).name for run, _ in valid))
    for measure, axes in zip(MEASURES, figure.subplots(1, len(MEASURES)), strict=True):
        for run, rows in valid:
            name = setting_of(run).name
            index = names.index(name)
            turns = run.training_config.batch_size if run.training_config else 1
            axes.plot(
                [row["update"] * turns for row in rows],
                [100 * row[measure] for row in rows],
                color=f"C{index % 10}",
                linestyle=STYLES[index // 10 % len(STYLES)],
                marker=".",
                label=name if name not in axes.get_legend_handles_labels()[1] else None,
            )
        axes.set(xscale="log", xlabel="training turns", ylabel=f"validation {measure} in percent")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def bars(results: Mapping[str, Any]) -> Figure:
    """hits@1 of each column of the tables of `comparison.compare` that has a score of ours."""
    panels = [
        (table, index)
        for table in results["tables"]
        for index in range(len(table["columns"]))
        if any(row["cells"][index]["ours"] for row in table["rows"])
    ]
    height = -(-len(panels) // COLUMNS)
    figure = _figure(4.5 * COLUMNS, 3.5 * max(height, 1))
    for number, (table, index) in enumerate(panels, start=1):
        axes = figure.add_subplot(height, COLUMNS, number)
        cells = {row["name"]: row["cells"][index] for row in table["rows"]}
        cells = {name: cell for name, cell in cells.items() if cell["paper"] or cell["ours"]}
        papers = [(cell["paper"] or {}).get("hits@1", 0) for cell in cells.values()]
        ours = [results["cells"].get(cell["ours"], {}).get("hits@1") for cell in cells.values()]
        means = [found["mean"] if found else 0 for found in ours]
        # The deviation over the seeds; the interval over the test turns if there is one seed.
        ends = [_ends(found) if found else (0, 0) for found in ours]
        upper, lower = ([row + shift for row in range(len(cells))] for shift in (-0.2, 0.2))
        axes.barh(upper, papers, height=0.4, color="#b0b7c3", label="paper")
        errors = list(zip(*ends, strict=True))
        axes.barh(lower, means, xerr=errors, height=0.4, color="#2b5c9e", label="ours")
        axes.set_yticks(range(len(cells)), list(cells))
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel="hits@1 in percent")
        axes.set_title(f"{table['name']}: {table['columns'][index]}")
    if panels:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _ends(found: Mapping[str, Any]) -> tuple[float, float]:
    """How far the error bar of a mean reaches down and up."""
    if found["sd"] is not None:
        return found["sd"], found["sd"]
    return found["mean"] - found["low"], found["high"] - found["mean"]


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as PNG."""
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: it keeps each figure alive, and may need a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")
