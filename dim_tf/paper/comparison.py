"""Compares tested runs with the paper: which run fills which cell of its tables, and differences.

`compare` returns one dict of plain JSON; the tables and charts are made from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dim_tf.errors import UsageError
from dim_tf.evaluation import significance
from dim_tf.paper import published
from dim_tf.paper.published import MEASURES, Setting, Table, TableCell
from dim_tf.paper.tested_runs import DEFAULTS, TestResult, comparable_results, outdated_tests
from dim_tf.runs.record import Record
from dim_tf.systems import registry

FORMAT = 2
Groups = Mapping[TableCell, Sequence[TestResult]]
Named = tuple[str, TableCell]  # a row of a table and its cell in a column


def compare(runs: Sequence[Record]) -> dict[str, Any]:
    """Compares tested runs with the paper's tables.

    Args:
        runs: Runs or records, see `dim_tf.paper.tested_runs.open_runs`.

    Returns:
        dict, plain JSON. `data`: prepared folder and size of the test sample (None: whole split).
        `cells`: id of a `TableCell` -> mean, standard deviation over seeds and 95 % interval of
        hits@1 and MRR, in percent, and the settings of the runs. `tables`: the paper's, each cell
        with the paper's score and the id of ours. `significance`: paired t-tests between the rows
        of a column. `notes`: differences that a reader has to know.

    Raises:
        UsageError: The runs cannot be compared: they were tested on other data or turns, or not
            tested at all, or several runs of a cell differ in more than the seed.
        DataError: The files of a run's tests are damaged.
    """
    results, sample, left_out = comparable_results(runs)
    groups: dict[TableCell, list[TestResult]] = {}
    for result in results:
        groups.setdefault(result.cell, []).append(result)
    cells = {cell.id: _summary(cell, group) for cell, group in groups.items()}
    others = {cell.setting.system for cell in groups} - {*registry.of_paper()}
    tables = published.tables(tuple(sorted(others)))
    tests, unpaired = _significance(tables, groups)
    gains, uneven = _gains(tables, groups, cells)
    outdated = [
        f"Left out, since {run.name} has better weights now: {', '.join(names)}."
        for run in runs
        if (names := outdated_tests(run))
    ]
    trained = [result.run for result in results if result.run.training_config]
    return {
        "format": FORMAT,
        "data": {
            "name": (trained or [results[0].run])[0].prepared["name"],
            "fingerprint": results[0].ranks.fingerprint,
            "sample": sample,
        },
        "cells": cells,
        "tables": [_table(table, cells, gains) for table in tables],
        "significance": tests,
        "notes": [*_notes(tables, cells), *uneven, *unpaired, *left_out, *outdated],
    }


def _summary(cell: TableCell, group: list[TestResult]) -> dict[str, Any]:
    """The results of the runs of a cell, which may differ only in the seed."""
    group.sort(key=lambda result: -1 if result.seed is None else result.seed)
    first = group[0]
    for previous, result in itertools.pairwise(group):
        pair = f"{previous.run.path} and {result.run.path} both are {cell.setting.name}"
        if previous.seed == result.seed:
            raise UsageError(f"{pair} with seed {result.seed}; give one of them")
        for name, value in result.recipe.items():
            if value != previous.recipe.get(name):
                raise UsageError(
                    f"{pair}, but differ in {name} ({previous.recipe.get(name)} and {value}); "
                    "report on each in turn"
                )
    own = registry.find(cell.setting.system).defaults
    defaults = {name: own.get(name, value) for name, value in DEFAULTS.items()}
    return {
        **cell.setting._asdict(),
        "tested_on": cell.tested_on,
        "runs": [result.run.name for result in group],
        "seeds": [result.seed for result in group],
        "training_turns": first.run.prepared.get("training_turns"),
        "updates": [result.updates for result in group],
        "tested_updates": [result.update for result in group],
        "initial": first.recipe["initial"],
        "test_turns": len(first.ranks),
        "test_turns_of": first.of,
        "settings": {n: v for n, v in first.recipe.items() if v != defaults.get(n, v)},
        **{measure: _statistics(group, measure) for measure in MEASURES},
    }


def _over_seeds(group: Sequence[TestResult], measure: str) -> np.ndarray:
    """The mean over the seeds of each turn: [N]."""
    return np.mean([result.ranks.measure(measure) for result in group], axis=0)


def _statistics(group: Sequence[TestResult], measure: str) -> dict[str, Any]:
    means = [float(result.ranks.measure(measure).mean()) for result in group]
    low, high = significance.interval(_over_seeds(group, measure))
    return {
        "mean": _percent(np.mean(means)),
        "sd": _percent(np.std(means, ddof=1)) if len(means) > 1 else None,
        "low": _percent(low),
        "high": _percent(high),
        "each": [_percent(mean) for mean in means],
    }


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 4)


def _table(table: Table, cells: Mapping[str, Any], gains: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for row in table.rows:
        found = []
        for cell, score in zip(row.cells, row.scores, strict=True):
            ours = cell.id if cell and cell.id in cells else None
            found.append({"paper": score, "ours": ours})
            if table.with_gains:
                found[-1]["paper_gain"] = published.gain(row.system, score)
                found[-1]["gain"] = gains.get(ours)
        rows.append({"name": row.name, "cells": found})
    return {name: getattr(table, name) for name in ("name", "title", "corner", "columns")} | {
        "rows": rows
    }


def _gains(
    tables: Sequence[Table], groups: Groups, cells: Mapping[str, Any]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The points of each cell above no persona, by its id; and notes on turns that differ."""
    gains: dict[str, dict[str, float]] = {}
    uneven: dict[str, dict[str, None]] = {}
    for cell in [c for t in tables if t.with_gains for row in t.rows for c in row.cells]:
        if cell not in groups or cell.base not in groups:
            continue
        base = cell.base
        # As in the paper, fewer turns to train on (their) or to test on (revised) are no obstacle.
        for turns in ("training_turns", "test_turns"):
            own, without = (cells[each.id][turns] for each in (cell, base))
            same = groups[cell][0].ranks.same_turns(groups[base][0].ranks)
            if own == without and turns == "test_turns" and not same:
                uneven.setdefault("other test turns", {})[cell.id] = None
            elif own != without and None not in (own, without):
                counts = f"{own:,} {turns.replace('_', ' ')} instead of {without:,}"
                uneven.setdefault(counts, {})[cell.id] = None
        gains[cell.id] = {
            measure: round(cells[cell.id][measure]["mean"] - cells[base.id][measure]["mean"], 4)
            for measure in MEASURES
        }
    return gains, [
        f"Gains over no persona with {counts}: {'; '.join(cells)}."
        for counts, cells in uneven.items()
    ]


def _significance(
    tables: Sequence[Table], groups: Groups
) -> tuple[list[dict[str, Any]], list[str]]:
    """Tests the pairs of each column once, on the turns that both have; and notes on the others."""
    tests, notes, tested = [], [], set()
    for table in tables:
        for index, column in enumerate(table.columns):
            for pair in _pairs(table, index, groups):
                (first, one), (second, two) = pair
                if {one, two} in tested:
                    continue
                tested.add(frozenset((one, two)))
                turns = groups[one][0].ranks.shared_turns(groups[two][0].ranks)
                if not turns:
                    notes.append(
                        f"{table.name}, {first} and {second}: no significance test, since "
                        "they were not tested on the same turns."
                    )
                    continue
                (first, one), (second, two) = _best_first(pair, groups, turns)
                test = {"table": table.name, "column": column, "first": first, "second": second}
                test["turns"] = turns
                for measure in MEASURES:
                    found = significance.paired_t_test(
                        _over_seeds(groups[one], measure)[:turns],
                        _over_seeds(groups[two], measure)[:turns],
                    )
                    test[measure] = {
                        "difference": _percent(found.difference),
                        "t": round(found.t, 4) if np.isfinite(found.t) else None,
                        "p": found.p,
                    }
                tests.append(test)
    for measure in MEASURES:
        adjusted = significance.holm([test[measure]["p"] for test in tests])
        for test, p in zip(tests, adjusted, strict=True):
            test[measure]["p_of_all"] = float(p)
    return tests, notes


def _pairs(table: Table, index: int, groups: Groups) -> Iterator[tuple[Named, Named]]:
    """The pairs of a column to test.

    The best system is paired with all, every other with the next; in the table of original
    personas each is also paired with itself without persona.
    """
    found = [(row.name, row.cells[index]) for row in table.rows if row.cells[index] in groups]
    rows = _best_first(found, groups)
    yield from itertools.product(rows[:1], rows[1:])
    yield from itertools.pairwise(rows[1:])
    cells = [cell for _, cell in found]
    for named in found if table.number is None else ():
        base = named[1].base
        if base in groups and base not in cells:
            system = registry.find(base.setting.system)
            without = " without persona" if system.reads_persona else ""
            yield named, (f"{system.title}{without}", base)


def _best_first(named: Iterable[Named], groups: Groups, turns: int | None = None) -> list[Named]:
    """Sorts cells by hits@1 on the first turns, or on all."""
    return sorted(named, key=lambda each: -_over_seeds(groups[each[1]], MEASURES[0])[:turns].mean())


def _notes(tables: Sequence[Table], cells: Mapping[str, Any]) -> list[str]:
    """Differences from the default settings, and between cells of a table."""
    notes = []
    every = [cell["settings"] for cell in cells.values()]
    common = {n: v for n, v in every[0].items() if all(s.get(n) == v for s in every)}
    if common:
        systems = {cell["system"] for cell in cells.values()}
        own = registry.find(systems.pop()).defaults if len(systems) == 1 else {}
        notes.append(f"Settings that are not the paper's: {_with_defaults(common, own)}.")
    # Of each setting once, whatever it was tested on.
    trained = {Setting(*(cell[n] for n in Setting._fields)).name: cell for cell in cells.values()}
    differing: dict[str, list[str]] = {}
    for name, cell in trained.items():
        if more := {n: v for n, v in cell["settings"].items() if n not in common}:
            own = registry.find(cell["system"]).defaults
            differing.setdefault(_with_defaults(more, own), []).append(name)
    for settings, names in differing.items():
        notes.append(f"Other settings than the rest: {', '.join(names)}: {settings}.")
    started = [
        f"{name} ({cell['initial']})"
        for name, cell in trained.items()
        if cell["initial"] is not None
    ]
    if started:
        notes.append(f"Started from the weights of another run: {', '.join(started)}.")
    versions = {cell["version"] for cell in cells.values() if cell["persona"] != "none"}
    if versions == {"original"}:
        notes.append(
            "The revised columns of Table 3 are for training on revised personas, which none of "
            "these runs had; what they reach on revised ones is in the table of original personas."
        )
    unequal = []
    for table in tables:
        shown = [cell for row in table.rows for cell in row.cells if cell]
        shown += [cell.base for cell in shown if table.with_gains]
        if len({_range(cells[c.id]["updates"]) for c in shown if c.id in cells}) > 1:
            unequal.append(table.name)
    if unequal:
        notes.append(f"Unequal numbers of updates, see above: {', '.join(unequal)}.")
    return notes


def _with_defaults(settings: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Settings, each with the paper's value, or with the system's `own` default."""
    shown = []
    for name, value in sorted(settings.items()):
        none = "none" if name == "patience" else "all"
        default = own.get(name, DEFAULTS[name])
        ours, theirs = (none if v is None else v for v in (value, default))
        shown.append(f"{name} {ours} ({'default' if name in own else 'paper'}: {theirs})")
    return ", ".join(shown)


def _range(counts: Sequence[int | None]) -> str:
    """The numbers of updates of a cell's runs, as text."""
    known = sorted({count for count in counts if count is not None})
    ends = dict.fromkeys([*known[:1], *known[-1:]])
    return " to ".join(f"{count:,}" for count in ends) or "not known"
