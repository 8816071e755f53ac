"""What has to be trained and tested for the paper's tables, where it goes, what is done of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError, did_you_mean, one_of
from dim_tf.evaluation.evaluator import sample_rows
from dim_tf.evaluation.results import key_of
from dim_tf.paper import published
from dim_tf.paper.published import Setting
from dim_tf.runs import ranks
from dim_tf.runs.run import LATEST, Run
from dim_tf.systems import registry
from dim_tf.training import checkpoint, start
from dim_tf.training.state import State, total_updates

# What a cell or another option decides -> where it is chosen.
DECIDED = {"use_persona": "the tables", "use_context": "the tables", "seed": "--seeds"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a reproduction is about.

    Attributes:
        cells: In the order of the tables.
        missing: What the prepared folder has no turns for, a line each.
        later: The paper's names of systems in these tables that this program does not have.
    """

    cells: list[Cell]
    missing: list[str]
    later: list[str]

    def lines(self) -> list[str]:
        """The plan for people, without the time."""
        width = max(len(cell.name) for cell in self.cells)
        done = sum(cell.finished for cell in self.cells)
        updates = sum(cell.updates for cell in self.cells)
        lines = [f"{len(self.cells)} runs, {updates:,} updates; {done} of them finished"]
        for cell in self.cells:
            tested = " and ".join(cell.tested_on)
            lines.append(
                f"  {cell.name:{width}}  {cell.updates:>8,} updates, tested on {tested}: "
                f"{cell.state}"
            )
        lines += [f"left out: {reason}" for reason in self.missing]
        if self.later:
            lines.append(f"not part of this program yet: {', '.join(self.later)}")
        return lines

    def costs(self) -> dict[str, Cost]:
        """For each kind of cell what its runs so far took, the mean over them."""
        found: dict[str, list[Cost]] = {}
        for cell in self.cells:
            if cost := cell.cost():
                found.setdefault(cell.kind, []).append(cost)
        return {kind: Cost(*np.mean(costs, axis=0)) for kind, costs in found.items()}

    def time_left(self, trial: Mapping[str, Cost] | None = None) -> str:
        """How long the rest will take.

        Args:
            trial: Costs of kinds of cells; they count where no run of a kind was measured.
        """
        costs = {**(trial or {}), **self.costs()}
        if all(cell.finished or cell.diverged for cell in self.cells):
            return "time: nothing is left to do"
        if not costs:
            return "time: not known before the first validation of a run"
        usual = Cost(*np.mean(list(costs.values()), axis=0))
        seconds = sum(cell.seconds_left(costs.get(cell.kind, usual)) for cell in self.cells)
        measured = ", ".join(f"{kind} {cost.update:.2g} s" for kind, cost in costs.items())
        return f"time: about {duration(seconds)} (an update, as measured: {measured})"


def duration(seconds: float) -> str:
    """A length of time with two digits that matter.

    >>> duration(42), duration(600), duration(8000), duration(400000)
    ('42 s', '10 min', '2.2 h', '4.6 days')
    """
    for size, unit in ((86400, "days"), (3600, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def check_systems(asked: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """The systems to train: those asked for, or all of the paper's that this program has.

    Args:
        asked: Names, as for `dim_tf.build_model`; None for all.
        known: The names that there are.

    Raises:
        UsageError: A name that is not known.

    >>> check_systems(None, ["dim", "imn"]), check_systems(["dim"], ["dim", "imn"])
    (['imn', 'dim'], ['dim'])
    >>> check_systems(["starspace"], ["dim", "imn"])
    Traceback (most recent call last):
        ...
    dim_tf.errors.UsageError: --systems: Starspace is not part of this program yet; expected dim
    or imn
    """
    if asked is None:
        return [system for system in registry.of_paper() if system in known]
    expected = one_of(known)
    for name in asked:
        if name in known:
            continue
        if name in registry.SYSTEMS:
            raise UsageError(
                f"--systems: {registry.get(name).title} is not part of this program yet; "
                f"expected {expected}"
            )
        hint = did_you_mean(name, known)
        raise UsageError(f"--systems: found {name!r}, expected {expected}{hint}")
    return list(dict.fromkeys(asked))


def make(
    data: PreparedData,
    folder: Path,
    numbers: Collection[int],
    systems: Sequence[str],
    known: Collection[str],
    seeds: Sequence[int],
    changes: Mapping[str, Any],
    test_turns: int | None = None,
) -> Plan:
    """Finds out what some of the paper's tables need, and what of it is done.

    Args:
        data: The prepared folder.
        folder: Where the run folders are, or will be.
        numbers: Of the tables, 2 to 5.
        systems: To be trained, see `check_systems`.
        known: All that can be.
        seeds: One run each.
        changes: Training settings, see `dim_tf.cli.flags.given_settings`.
        test_turns: Size of the test sample; None for whole splits.

    Raises:
        UsageError: A run folder was made with other settings or data; a setting in `changes` is
            not to be chosen; nothing is left that can be trained.
        CheckpointError: A run folder is damaged.
        ConfigError: An impossible setting.
    """
    for name, place in DECIDED.items():
        if name in changes:
            raise UsageError(f"--set: {name} follows from {place}")
    wanted, later = _wanted(numbers, systems, known)
    cells, missing = [], []
    for setting, versions in wanted.items():
        absent = _absent(data, setting)
        tested_on = tuple(v for v in versions if data.has("test", setting.persona, v))
        missing += [
            f"{setting.name} tested on {v}: {data.path} has no turns of test_{setting.persona}_{v}"
            for v in versions
            if not absent and v not in tested_on
        ]
        if absent:
            missing.append(f"{setting.name}: {data.path} has no turns of {' and '.join(absent)}")
        elif tested_on:
            cells += [
                _cell(data, folder, setting, seed, changes, tested_on, test_turns) for seed in seeds
            ]
    if not cells:
        there = dict.fromkeys(row.system for table in _tables(numbers, ()) for row in table.rows)
        rows = ", ".join(system for system in there if system in known) or "none"
        reason = (
            f"found {', '.join(systems)}, expected systems that have a row in Table "
            f"{' or '.join(map(str, numbers))} and are part of this program: {rows}"
        )
        raise UsageError(f"nothing to train: {'; '.join(missing) or reason}")
    return Plan(cells, missing, later)


def _wanted(
    numbers: Collection[int], systems: Sequence[str], known: Collection[str]
) -> tuple[dict[Setting, list[str]], list[str]]:
    """The settings of some tables, each with the versions to test it on; and systems to come."""
    others = tuple(system for system in systems if system not in registry.of_paper())
    wanted: dict[Setting, list[str]] = {}
    later: list[str] = []
    for table in _tables(numbers, others):
        for row in table.rows:
            places = [place for place in row.places if place]
            if table.with_gains and published.base(row.system).system in systems:
                places.append(published.Place(published.base(row.system), "original"))
            names = {row.system, *(place.setting.system for place in places)}
            later += [
                registry.get(name).title for name in registry.of_paper() if name in names - {*known}
            ]
            for setting, version in places if row.system in systems else []:
                versions = wanted.setdefault(setting, [])
                if setting.system in known and version not in versions:
                    versions.append(version)
    return {s: versions for s, versions in wanted.items() if versions}, list(dict.fromkeys(later))


def _tables(numbers: Collection[int], others: tuple[str, ...]) -> list[published.Table]:
    return [table for table in published.tables(others) if table.number in numbers]


def _absent(data: PreparedData, setting: Setting) -> list[str]:
    """What training needs and the folder does not have."""
    return [
        f"{split}_{setting.persona}_{setting.version}"
        for split in ("train", "valid")
        if not data.has(split, setting.persona, setting.version)
    ]


def _cell(
    data: PreparedData,
    folder: Path,
    setting: Setting,
    seed: int,
    changes: Mapping[str, Any],
    tested_on: tuple[str, ...],
    test_turns: int | None,
) -> Cell:
    system, persona, version, use_context = setting
    settings = {**changes, "seed": seed, **({} if use_context else {"use_context": False})}
    path = folder / f"{setting.name}_seed{seed}"
    run = start.new_run(path, data, settings, system, persona, version)
    start.check_data(run, data)
    updates = total_updates(run.training_config, run.prepared["training_turns"])
    tables = [data.table("test", persona, tested) for tested in tested_on]
    counts = [len(sample_rows(len(table), test_turns)) for table in tables]
    valid = len(data.table("valid", persona, version))
    valid_turns = len(sample_rows(valid, run.training_config.valid_turns))
    cell = Cell(setting, run, tested_on, updates, valid_turns, sum(counts))
    if not path.exists():
        return cell
    there = Run.open(path)
    _check_same(there, run)
    state = State(**checkpoint.read_state(path / LATEST))
    keys = map(key_of, tables, counts)
    return dataclasses.replace(
        cell,
        # All runs of a reproduction have one vocabulary: in memory once.
        run=dataclasses.replace(there, word_vectors=data.word_vectors),
        done=state.update,
        trained=state.finished(there.training_config, updates),
        tested=all(ranks.is_current(there, key) for key in keys),
    )


def _check_same(there: Run, wanted: Run) -> None:
    """Refuses a folder that another reproduction has made."""
    if there.prepared["fingerprint"] != wanted.prepared["fingerprint"]:
        raise UsageError(
            f"{there.path} was trained on other data ({there.prepared['name']}, fingerprint "
            f"{there.prepared['fingerprint'][:12]}, not {wanted.prepared['fingerprint'][:12]}); "
            "give another --runs"
        )
    if there.initial:
        raise UsageError(
            f"{there.path} was started from the weights of {there.initial['run']}, not from fresh "
            "ones; give another --runs"
        )
    found, asked = _all_settings(there), _all_settings(wanted)
    for name in asked:
        if found.get(name) != asked[name]:
            raise UsageError(
                f"{there.path} was made with {name} {found.get(name)}, asked for was "
                f"{asked[name]}; give the same settings again, or another --runs"
            )


def _all_settings(run: Run) -> dict[str, Any]:
    names = ("model", "persona", "version")
    training = run.training_config.to_dict() if run.training_config else {}
    return {**{n: getattr(run, n) for n in names}, **run.model_config.to_dict(), **training}


# A cell of the paper's tables as a run: what is done of it, and how long the rest will take.


class Cost(NamedTuple):
    """Seconds that an update takes, and the ranking of a turn."""

    update: float
    turn: float


@dataclasses.dataclass
class Cell:
    """A setting with a seed: one run.

    Attributes:
        setting: What is trained.
        run: As it lies on disk, or as it will.
        tested_on: The versions of the test split to test it on.
        updates: To be made in all.
        valid_turns: Turns of a validation.
        test_turns: Turns of its tests together.
        done: Updates that are made.
        trained: Whether training is at its end.
        tested: Whether it was tested on all of `tested_on`, with its best weights.
        diverged: Whether its training ended without a result.
    """

    setting: Setting
    run: Run
    tested_on: tuple[str, ...]
    updates: int
    valid_turns: int
    test_turns: int
    done: int = 0
    trained: bool = False
    tested: bool = False
    diverged: bool = False

    @property
    def name(self) -> str:
        """Of the run folder."""
        return self.run.name

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.trained and self.tested

    @property
    def state(self) -> str:
        """What is done, in words."""
        if self.finished:
            return "finished"
        if self.trained:
            return "trained, to be tested"
        return f"stopped after {self.done:,}" if self.run.path.exists() else "new"

    @property
    def kind(self) -> str:
        """What its speed depends on."""
        system, *_, use_context = self.setting
        return system if use_context else f"{system} without context"

    @property
    def size(self) -> int:
        """Turns of an update."""
        return self.run.training_config.batch_size

    def cost(self) -> Cost | None:
        """As measured in its training; None before its first validation."""
        rates: dict[str, list[float]] = {"train": [], "valid": []}
        for row in self.run.metrics() if self.run.path.exists() else []:
            rates[row["kind"]].append(row["turns_per_s"])
        if not all(rates.values()):
            return None
        # The first row of a sitting has the time of compilation in it.
        return Cost(self.size / np.median(rates["train"]), 1 / np.median(rates["valid"]))

    def seconds_left(self, cost: Cost) -> float:
        """How long the rest of it will take at such a cost."""
        if self.finished or self.diverged:
            return 0.0
        ranked = 0 if self.tested else self.test_turns
        if self.trained:
            return ranked * cost.turn
        every = self.run.training_config.eval_every
        validations = -(-self.updates // every) - self.done // every
        ranked += validations * self.valid_turns
        return (self.updates - self.done) * cost.update + ranked * cost.turn
