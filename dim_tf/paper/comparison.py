"""Tested runs beside the paper: which run fills which cell of its tables, and what they differ by.

Everything that is shown later comes from the one dict that `compare` gives; it is plain JSON.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dim_tf.errors import UsageError
from dim_tf.evaluation import significance
from dim_tf.paper import published
from dim_tf.paper.outcomes import (
    DEFAULTS,
    Outcome,
    check_same_data,
    check_same_turns,
    common_turns,
    outcomes_of,
    outdated_tests,
)
from dim_tf.paper.published import MEASURES, Place, Score
from dim_tf.runs.record import Record
from dim_tf.systems import registry

FORMAT = 2


def compare(paths: Sequence[str | os.PathLike]) -> dict[str, Any]:
    """Reads tested runs and puts them beside the paper.

    Args:
        paths: Record folders.

    Returns:
        JSON. `data`: name of the prepared folder, fingerprint of its text, and the size of the test
        sample (None: whole splits). `cells`: for each trained setting and version that it was
        tested on, by an id: mean, standard deviation over seeds, and 95 % interval of hits@1 and
        MRR, in percent, and what they were made with. `tables`: the paper's, each cell with the
        paper's score and the id of ours. `significance`: paired t-tests between the rows of a
        column. `notes`: what a reader has to know.

    Raises:
        UsageError: The runs cannot be compared: of other data, tested on other turns, not tested
            at all, or several for one cell that differ in more than the seed.
        CheckpointError: A folder is no run.
        DataError: What a run's tests left behind is damaged.
    """
    runs = [Record.open(path) for path in paths]
    turns = common_turns(runs)
    outcomes = [outcome for run in runs for outcome in outcomes_of(run, turns)]
    check_same_data(outcomes)
    groups: dict[Place, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.place, []).append(outcome)
    cells = {id_of(place): _cell(place, group) for place, group in groups.items()}
    others = {place.setting.system for place in groups} - {*registry.of_paper()}
    tables = published.tables(tuple(sorted(others)))
    tests, unpaired = _significance(tables, groups)
    gains, uneven = _gains(tables, groups, cells)
    named = [outcome.run.prepared["name"] for outcome in outcomes if outcome.run.training_config]
    return {
        "format": FORMAT,
        "data": {
            "name": named[0] if named else outcomes[0].run.prepared["name"],
            "fingerprint": outcomes[0].ranks.fingerprint,
            "sample": turns,
        },
        "cells": cells,
        "tables": [_table(table, cells, gains) for table in tables],
        "significance": tests,
        "notes": [*_notes(tables, cells), *uneven, *unpaired, *_left_out(runs)],
    }


def id_of(place: Place) -> str:
    """The name of a cell, such as `dim_self_original, tested on revised`."""
    return f"{place.setting.name}, tested on {place.tested_on}"


def _cell(place: Place, group: list[Outcome]) -> dict[str, Any]:
    """What the runs of one cell found; they may differ in nothing but the seed."""
    group.sort(key=lambda outcome: -1 if outcome.seed is None else outcome.seed)
    first = group[0]
    for former, outcome in itertools.pairwise(group):
        theirs = former.recipe
        pair = f"{former.run.path} and {outcome.run.path} both are {place.setting.name}"
        if former.seed == outcome.seed:
            raise UsageError(f"{pair} with seed {outcome.seed}; give one of them")
        for name, value in outcome.recipe.items():
            if value != theirs.get(name):
                raise UsageError(
                    f"{pair}, but differ in {name} ({theirs.get(name)} and {value}); report on "
                    "each in turn"
                )
        check_same_turns(former, outcome)
    training_turns = {outcome.run.prepared.get("training_turns") for outcome in group}
    return {
        "system": place.setting.system,
        "persona": place.setting.persona,
        "version": place.setting.version,
        "use_context": place.setting.use_context,
        "tested_on": place.tested_on,
        "runs": [outcome.run.name for outcome in group],
        "seeds": [outcome.seed for outcome in group],
        "training_turns": training_turns.pop(),
        "updates": [outcome.updates for outcome in group],
        "initial": first.initial,
        "test_turns": len(first.ranks),
        "test_turns_of": first.of,
        "settings": {n: v for n, v in first.settings.items() if v != DEFAULTS[n]},
        **{name: _measured(group, name) for name in MEASURES},
    }


def _over_turns(group: Sequence[Outcome], measure: str) -> np.ndarray:
    """For each turn the mean over the seeds: [N]."""
    return np.mean([outcome.ranks.measure(measure) for outcome in group], axis=0)


def _measured(group: Sequence[Outcome], measure: str) -> dict[str, Any]:
    means = [float(outcome.ranks.measure(measure).mean()) for outcome in group]
    low, high = significance.interval(_over_turns(group, measure))
    return {
        "mean": _percent(np.mean(means)),
        "sd": _percent(np.std(means, ddof=1)) if len(means) > 1 else None,
        "low": _percent(low),
        "high": _percent(high),
        "each": [_percent(mean) for mean in means],
    }


def _percent(fraction: float) -> float:
    return round(100 * float(fraction), 4)


def _table(
    table: published.Table, cells: Mapping[str, Any], gains: Mapping[str, Any]
) -> dict[str, Any]:
    rows = []
    for row in table.rows:
        each = []
        for place, score in zip(row.places, row.scores, strict=True):
            ours = id_of(place) if place and id_of(place) in cells else None
            cell = {"paper": _score(score), "ours": ours}
            if table.with_gains:
                cell["paper_gain"] = _score(published.gain(row.system, score))
                cell["gain"] = gains.get(ours)
            each.append(cell)
        rows.append({"name": row.name, "cells": each})
    return {
        "name": table.name,
        "title": table.title,
        "corner": table.corner,
        "columns": list(table.columns),
        "rows": rows,
    }


def _score(score: Score | None) -> dict[str, float] | None:
    if score is None:
        return None
    return {n: v for n, v in zip(MEASURES, score, strict=True) if v is not None}


def _gains(
    tables: Sequence[published.Table],
    groups: Mapping[Place, Sequence[Outcome]],
    cells: Mapping[str, Any],
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The points of each cell above no persona, by its id; and notes on turns that differ.

    A version of the personas may lack some turns of the split; whole splits are compared
    nevertheless, as in the paper. Samples of different turns are not.
    """
    rows = [row for table in tables if table.with_gains for row in table.rows]
    pairs = [(Place(published.base(row.system), "original"), p) for row in rows for p in row.places]
    gains, notes = {}, []
    for base, place in pairs:
        if place not in groups or base not in groups:
            continue
        name, start, first, other = id_of(place), id_of(base), groups[place][0], groups[base][0]
        if not first.ranks.same_turns(other.ranks):
            whole = all(len(each.ranks) == each.of for each in (first, other))
            pair = f"{name} ({len(first.ranks):,} turns) and {start} ({len(other.ranks):,})"
            if not whole:
                notes.append(f"No gain is shown where the samples are of other turns: {pair}.")
                continue
            notes.append(f"The gain is between tables that are not of the same turns: {pair}.")
        gains[name] = {
            measure: round(cells[name][measure]["mean"] - cells[start][measure]["mean"], 4)
            for measure in MEASURES
        }
    return gains, notes


def _significance(
    tables: Sequence[published.Table], groups: Mapping[Place, Sequence[Outcome]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The tests between the rows of each column; and notes on pairs that cannot be tested."""
    tests, notes, tested = [], [], set()
    for table in tables:
        for number, column in enumerate(table.columns):
            there = [
                (row.name, row.places[number]) for row in table.rows if row.places[number] in groups
            ]
            if table.number is None:
                there += _without_persona(there, groups)
            there.sort(key=lambda pair: -_over_turns(groups[pair[1]], MEASURES[0]).mean())
            for (first, one), (second, other) in itertools.combinations(there, 2):
                if frozenset((one, other)) in tested:
                    continue
                tested.add(frozenset((one, other)))
                if not groups[one][0].ranks.same_turns(groups[other][0].ranks):
                    if one.setting.persona == other.setting.persona:
                        check_same_turns(groups[one][0], groups[other][0])
                    notes.append(
                        f"{table.name}, {first} and {second}: no significance test, since "
                        "they were not tested on the same turns."
                    )
                    continue
                test = {"table": table.name, "column": column, "first": first, "second": second}
                test["turns"] = len(groups[one][0].ranks)
                for measure in MEASURES:
                    found = significance.paired_t_test(
                        _over_turns(groups[one], measure), _over_turns(groups[other], measure)
                    )
                    test[measure] = {
                        "difference": _percent(found.difference),
                        "t": round(found.t, 4) if np.isfinite(found.t) else None,
                        "p": found.p,
                    }
                tests.append(test)
    return tests, notes


def _without_persona(
    there: Sequence[tuple[str, Place]], groups: Mapping[Place, Sequence[Outcome]]
) -> list[tuple[str, Place]]:
    """The same systems without persona, where they were tested on the turns of the column."""
    places = dict.fromkeys(
        Place(published.base(place.setting.system), "original") for _, place in there
    )
    turns = [groups[place][0].ranks for _, place in there]
    return [
        (registry.find(place.setting.system).title, place)
        for place in places
        if place in groups
        and place not in dict(there).values()
        and groups[place][0].ranks.same_turns(turns[0])
    ]


def _notes(tables: Sequence[published.Table], cells: Mapping[str, Any]) -> list[str]:
    """What differs from the paper's recipe, and between cells that stand side by side."""
    notes = []
    every = [cell["settings"] for cell in cells.values()]
    common = {n: v for n, v in every[0].items() if all(s.get(n) == v for s in every)}
    if common:
        notes.append(f"Settings that are not the paper's: {_beside_the_papers(common)}.")
    for name, cell in cells.items():
        more = {n: v for n, v in cell["settings"].items() if n not in common}
        if more:
            notes.append(f"Other settings than the rest: {name} with {_beside_the_papers(more)}.")
        if cell["initial"] is not None:
            notes.append(f"Not from fresh weights: {name} started from those of {cell['initial']}.")
    versions = {cell["version"] for cell in cells.values() if cell["persona"] != "none"}
    if versions == {"original"}:
        notes.append(
            "The revised columns of Table 3 are for training on revised personas, which none of "
            "these runs had; what they reach on revised ones is in the table of original personas."
        )
    for table in tables:
        ids = [id_of(place) for row in table.rows for place in row.places if place]
        if table.with_gains:
            ids += [id_of(Place(published.base(row.system), "original")) for row in table.rows]
        ids = [name for name in dict.fromkeys(ids) if name in cells]
        updates = {name: _range(cells[name]["updates"]) for name in ids}
        if len(set(updates.values())) > 1:
            pairs = "; ".join(f"{name}: {count}" for name, count in updates.items())
            notes.append(f"{table.name} compares unequal numbers of updates: {pairs}.")
    return notes


def _left_out(runs: Sequence[Record]) -> list[str]:
    """A note on each run with tests of former weights."""
    return [
        f"Left out, since {run.name} has better weights now: {', '.join(tests)}."
        for run in runs
        if (tests := outdated_tests(run))
    ]


def _beside_the_papers(settings: Mapping[str, Any]) -> str:
    """Settings with the values that the paper has for them.

    >>> _beside_the_papers({"valid_turns": 500, "dropout": 0.0})
    'dropout 0.0 (paper: 0.2), valid_turns 500 (paper: all)'
    """

    def shown(name: str, value: Any) -> str:
        return {"patience": "none"}.get(name, "all") if value is None else str(value)

    pairs = [(n, shown(n, v), shown(n, DEFAULTS[n])) for n, v in sorted(settings.items())]
    return ", ".join(f"{name} {value} (paper: {papers})" for name, value, papers in pairs)


def _range(counts: Sequence[int | None]) -> str:
    """How many updates the runs of a cell made.

    >>> _range([300, 300]), _range([1000, 2000]), _range([None])
    ('300', '1,000 to 2,000', 'not known')
    """
    known = sorted({count for count in counts if count is not None})
    if not known:
        return "not known"
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
