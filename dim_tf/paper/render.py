"""The comparison with the paper for people and for spreadsheets: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dim_tf.evaluation.significance import LEVEL
from dim_tf.paper.published import MEASURES
from dim_tf.systems import registry

NOTHING = "–"


def markdown(results: Mapping[str, Any]) -> str:
    """Tables 2 to 5 with the paper's numbers and ours, and what ours were made with.

    Args:
        results: Of `dim_tf.paper.comparison.compare`.
    """
    lines = [
        f"hits@1 / MRR in percent on the test split. Ours: {_data(results)}, mean over the seeds, "
        "± the standard deviation over them.",
        "",
    ]
    for table in results["tables"]:
        lines += [f"### {table['name']}: {table['title']}", ""]
        lines += [*_rows([table["corner"], "", *table["columns"]], _lines(table, results)), ""]
    lines += ["### What ours were made with", ""]
    head = ["setting", "tested on", "seeds", "hits@1", "MRR", "training turns", "updates"]
    cells = results["cells"]
    lines += [*_rows(head, [_details(cells[name]) for name in sorted(cells)]), ""]
    lines += ["In brackets: 95 % bootstrap intervals over the test turns.", ""]
    if results["significance"]:
        lines += ["### Significance", ""]
        head = ["table", "column", "pair", "turns", *(f"{m}: difference, p" for m in MEASURES)]
        lines += [*_rows(head, map(_test, results["significance"])), ""]
        lines += [
            "Paired t-tests over the test turns, each turn's value being its mean over the seeds. "
            f"Bold: p < {LEVEL}.",
            "",
        ]
    lines += [f"* {note}" for note in results["notes"]]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_csv(results: Mapping[str, Any]) -> str:
    """One line a cell of the paper's tables, in percent."""
    out = io.StringIO()
    fields = ("mean", "sd", "low", "high")
    head = ["table", "row", "column", *(f"paper_{m}" for m in MEASURES)]
    head += [f"paper_{m}_gain" for m in MEASURES]
    head += [f"{m}_{field}" for m in MEASURES for field in fields]
    head += [f"{m}_gain" for m in MEASURES]
    head += ["seeds", "test_turns", "test_turns_of", "training_turns", "updates"]
    head += ["data", "fingerprint"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for table in results["tables"]:
        for row in table["rows"]:
            for column, cell in zip(table["columns"], row["cells"], strict=True):
                line = [table["name"], row["name"], column]
                for scores in (cell["paper"], cell.get("paper_gain")):
                    line += [(scores or {}).get(m) for m in MEASURES]
                ours = results["cells"].get(cell["ours"])
                if ours is None:
                    line += [None] * (len(head) - len(line))
                else:
                    line += [ours[m][field] for m in MEASURES for field in fields]
                    line += [(cell.get("gain") or {}).get(m) for m in MEASURES]
                    line += [len(ours["seeds"]), ours["test_turns"], ours["test_turns_of"]]
                    line += [ours["training_turns"], " ".join(map(str, ours["updates"]))]
                    line += [results["data"]["name"], results["data"]["fingerprint"]]
                writer.writerow(line)
    return out.getvalue()


def _data(results: Mapping[str, Any]) -> str:
    sample = results["data"]["sample"]
    turns = "the whole split" if sample is None else f"a fixed sample of {sample:,} turns"
    return f"{results['data']['name']}, {turns}"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _lines(table: Mapping[str, Any], results: Mapping[str, Any]) -> list[list[str]]:
    lines = []
    for row in table["rows"]:
        name = _code(row["name"])
        if any(cell["paper"] for cell in row["cells"]):
            lines.append([name, "paper", *(_paper(cell) for cell in row["cells"])])
            name = ""
        elif not any(cell["ours"] for cell in row["cells"]):
            continue
        lines.append([name, "ours", *(_ours(cell, results) for cell in row["cells"])])
    return lines


def _code(name: str) -> str:
    """A name whose underscores are not to be read as emphasis."""
    return name.replace("_", r"\_")


def _paper(cell: Mapping[str, Any]) -> str:
    score, gain = cell["paper"], cell.get("paper_gain") or {}
    if score is None:
        return NOTHING
    return " / ".join(f"{score[m]:.1f}{_gained(gain.get(m))}" for m in MEASURES if m in score)


def _ours(cell: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    if cell["ours"] is None:
        return NOTHING
    ours, gain = results["cells"][cell["ours"]], cell.get("gain") or {}
    return " / ".join(f"{_mean(ours[m])}{_gained(gain.get(m))}" for m in MEASURES)


def _mean(measured: Mapping[str, Any]) -> str:
    spread = "" if measured["sd"] is None else f" ± {measured['sd']:.1f}"
    return f"{measured['mean']:.1f}{spread}"


def _gained(points: float | None) -> str:
    """A gain in brackets; a rounded zero is never negative.

    >>> _gained(15.04), _gained(-0.04), _gained(None)
    (' (+15.0)', ' (+0.0)', '')
    """
    return "" if points is None else f" ({_signed(points)})"


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"


def _details(cell: Mapping[str, Any]) -> list[str]:
    setting = [registry.find(cell["system"]).title]
    setting += [] if cell["use_context"] else ["without context"]
    setting += ["no persona"] if cell["persona"] == "none" else [cell["persona"], cell["version"]]
    tested = cell["tested_on"]
    if cell["test_turns"] < cell["test_turns_of"]:
        tested += f", {cell['test_turns']:,} of {cell['test_turns_of']:,} turns"
    else:
        tested += f", {cell['test_turns']:,} turns"
    known = [seed for seed in cell["seeds"] if seed is not None]
    return [
        _code(", ".join(setting)),
        tested,
        f"{len(cell['seeds'])} ({', '.join(map(str, known))})" if known else "not trained here",
        *(f"{_mean(cell[m])} [{cell[m]['low']:.1f}, {cell[m]['high']:.1f}]" for m in MEASURES),
        _number(cell["training_turns"]),
        ", ".join(dict.fromkeys(map(_number, cell["updates"]))),
    ]


def _number(count: int | None) -> str:
    return "not known" if count is None else f"{count:,}"


def _test(test: Mapping[str, Any]) -> list[str]:
    pair = f"{_code(test['first'])} against {_code(test['second'])}"
    found = []
    for measure in MEASURES:
        p = test[measure]["p"]
        shown = f"{_signed(test[measure]['difference'])}, {_probability(p)}"
        found.append(f"**{shown}**" if p < LEVEL else shown)
    return [test["table"], test["column"], pair, f"{test['turns']:,}", *found]


def _probability(p: float) -> str:
    """A p-value with two digits.

    >>> _probability(0.18169), _probability(0.0123), _probability(3e-8)
    ('0.18', '0.012', '< 0.0001')
    """
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"
