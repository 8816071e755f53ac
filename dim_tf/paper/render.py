"""The comparison with the paper as files: tables in Markdown, JSON and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dim_tf.evaluation.significance import LEVEL
from dim_tf.io import atomic, templates
from dim_tf.paper.published import MEASURES
from dim_tf.runs.record import Record
from dim_tf.systems import registry

RESULTS_JSON, RESULTS_MD = "results.json", "results.md"
BARS, CURVES = "bars.png", "curves.png"


def markdown(results: Mapping[str, Any]) -> str:
    """The result of `comparison.compare` as tables, with what ours were made with."""
    return templates.render(
        "dim_tf.paper",
        "results.md.j2",
        **results,
        measures=MEASURES,
        level=LEVEL,
        zip=zip,
        title=lambda system: registry.find(system).title,
    )


def write(folder: Path, results: dict[str, Any], runs: Sequence[Record], remarks: str = "") -> None:
    """Writes `results.json`, `results.md`, `bars.png` and `curves.png` into a folder.

    The page begins with the remarks, in Markdown.
    """
    from dim_tf.paper import charts

    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / RESULTS_JSON, results)
    charts.save(charts.bars(results), folder / BARS)
    charts.save(charts.curves(runs), folder / CURVES)
    parts = ["# Comparison with the paper", remarks.strip(), markdown(results).strip("\n")]
    parts += [f"![{Path(name).stem}]({name})" for name in (BARS, CURVES)]
    atomic.write_text(folder / RESULTS_MD, "\n\n".join(filter(None, parts)) + "\n")
