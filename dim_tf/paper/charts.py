"""Pictures of a comparison: learning curves, and bars of ours beside the paper's."""

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
STYLES = ("-", "--", ":")  # beyond the ten colours


def curves(runs: Sequence[Record]) -> Figure:
    """hits@1 and MRR of each validation against updates, one line a run, one colour a setting."""
    figure = _figure(11, 4.5)
    names = list(dict.fromkeys(setting_of(run).name for run in runs))
    for measure, axes in zip(MEASURES, figure.subplots(1, len(MEASURES)), strict=True):
        labelled = set()
        for run in runs:
            name = setting_of(run).name
            number = names.index(name)
            rows = [row for row in run.metrics() if row["kind"] == "valid"]
            axes.plot(
                [row["update"] for row in rows],
                [100 * row[measure] for row in rows],
                color=f"C{number % 10}",
                linestyle=STYLES[number // 10 % len(STYLES)],
                marker=".",
                label=None if name in labelled else name,
            )
            labelled.add(name)
        axes.set_xlabel("updates")
        axes.set_ylabel(f"validation {measure} in percent")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def bars(results: Mapping[str, Any]) -> Figure:
    """hits@1 of each column of the paper's tables that has a number of ours.

    Args:
        results: Of `dim_tf.paper.comparison.compare`.
    """
    panels = [
        (table, number)
        for table in results["tables"]
        for number in range(len(table["columns"]))
        if any(row["cells"][number]["ours"] for row in table["rows"])
    ]
    height = -(-len(panels) // COLUMNS)
    figure = _figure(4.5 * COLUMNS, 3.5 * max(height, 1))
    for place, (table, number) in enumerate(panels, start=1):
        axes = figure.add_subplot(height, COLUMNS, place)
        _panel(axes, table, number, results["cells"])
    if panels:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as PNG."""
    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _panel(axes: Any, table: Mapping[str, Any], number: int, cells: Mapping[str, Any]) -> None:
    rows = [row for row in table["rows"] if any(row["cells"][number][w] for w in ("paper", "ours"))]
    each = [row["cells"][number] for row in rows]
    ours = [cells.get(cell["ours"], {}).get("hits@1") for cell in each]
    heights = range(len(rows))
    axes.barh(
        [height - 0.2 for height in heights],
        [(cell["paper"] or {}).get("hits@1", 0) for cell in each],
        height=0.4,
        color="#b0b7c3",
        label="paper",
    )
    axes.barh(
        [height + 0.2 for height in heights],
        [found["mean"] if found else 0 for found in ours],
        xerr=[(found and found["sd"]) or 0 for found in ours],
        height=0.4,
        color="#2b5c9e",
        label="ours",
    )
    axes.set_yticks(heights, [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("hits@1 in percent")
    axes.set_title(f"{table['name']}: {table['columns'][number]}")


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: that keeps each figure alive, and would ask for a screen.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")
