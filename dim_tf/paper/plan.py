"""The runs that the paper's tables need: what is trained and tested, and what is done already."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError, did_you_mean, one_of
from dim_tf.evaluation.results import key_of
from dim_tf.io import templates
from dim_tf.paper import published
from dim_tf.paper.published import Setting, Table
from dim_tf.runs import ranks
from dim_tf.runs.run import LATEST, Run
from dim_tf.systems import registry
from dim_tf.training import checkpoint, initial_weights, start
from dim_tf.training.state import State, total_updates

# Settings that the tables or another option decide.
DECIDED = {"use_persona": "the tables", "use_context": "the tables", "seed": "--seeds"}


@dataclasses.dataclass
class PlannedRun:
    """A setting with a seed: one run folder."""

    setting: Setting
    run: Run  # as it is on disk, or as it will be
    tested_on: tuple[str, ...]  # versions of the test split
    updates: int  # in all
    done: int = 0  # number of updates made
    trained: bool = False
    tested: bool = False  # the best weights, on all of `tested_on`
    diverged: bool = False

    @property
    def name(self) -> str:
        """Name of the run folder."""
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
            return "trained, not tested"
        return f"stopped after {self.done:,}" if self.run.path.exists() else "new"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs of a reproduction."""

    runs: list[PlannedRun]  # in the order of the tables
    missing: list[str]  # settings, each with the tables that the prepared folder lacks

    def __str__(self) -> str:
        """The plan as text."""
        return templates.render(__package__, "plan.txt.j2", plan=self).rstrip("\n")


def check_systems(asked: Sequence[str] | None) -> list[str]:
    """The systems to train: those asked for, or all of the paper that can be trained here.

    Raises:
        UsageError: A system is unknown, is trained further on other data, or starts from a run of
            another one that is not asked for.
    """
    known = tuple(filter(_is_planned, registry.SYSTEMS))
    for name in asked or ():
        if name not in known:
            found, hint = f"found {name!r}", did_you_mean(name, known)
            if name in registry.SYSTEMS:
                system, hint = registry.get(name), ""
                base = system.starts_from
                found = f"{system.title} starts from a run of {base}: train it on its own"
            raise UsageError(f"--systems: {found}, expected {one_of(known)}{hint}")
        if (base := registry.get(name).starts_from) not in (None, *asked):
            raise UsageError(f"--systems: {name} starts from runs of {base}; give {base} too")
    return list(dict.fromkeys(asked or [name for name in registry.of_paper() if name in known]))


def _is_planned(name: str) -> bool:
    """Whether a system needs no other data than the paper's."""
    system = registry.get(name)
    return not system.starts_from or not system.trained


def make(
    data: PreparedData,
    folder: Path,
    numbers: Collection[int],
    systems: Sequence[str],
    seeds: Sequence[int],
    changes: Mapping[str, Any],
    test_turns: int | None = None,
) -> Plan:
    """Plans the runs that some of the paper's tables need, and finds what is done of them.

    Args:
        data: The prepared folder.
        folder: Path. Folder of the run folders.
        numbers: Numbers of the tables, 2 to 5.
        systems: list of str. Systems to train, see `check_systems`.
        seeds: list of int. One run each.
        changes: dict. Settings, see `dim_tf.cli.flags.given_settings`.
        test_turns: int. Size of the test sample; None for whole splits.

    Raises:
        UsageError: A run folder has other settings or data; a setting in `changes` is decided by
            the tables; or nothing can be trained.
        CheckpointError: A run folder is damaged.
        ConfigError: An impossible setting.
    """
    for name in changes.keys() & DECIDED.keys():
        raise UsageError(f"--set: {name} follows from {DECIDED[name]}")
    others = tuple(system for system in systems if system not in registry.of_paper())
    tables = [table for table in published.tables(others) if table.number in numbers]
    runs, missing = [], []
    for setting, versions in _wanted(tables, systems).items():
        persona, version = setting.persona, setting.version
        needed = [("train", version), ("valid", version), *(("test", v) for v in versions)]
        absent = [(split, v) for split, v in needed if not data.has(split, persona, v)]
        if absent:
            names = ", ".join(f"{split}_{persona}_{v}" for split, v in absent)
            missing.append(f"{setting.name}: {names}")
        tested_on = tuple(v for v in versions if ("test", v) not in absent)
        if tested_on and not {*needed[:2]} & {*absent}:  # it can be trained
            for seed in seeds:
                runs.append(_planned(data, folder, setting, seed, changes, tested_on, test_turns))
    if not runs:
        trained = {row.system: None for table in tables for row in table.rows}
        reason = (
            f"found {', '.join(systems)}, expected systems with a row in Table "
            f"{one_of(numbers)}: {', '.join(trained) or 'none'}"
        )
        if missing:
            reason = f"{data.path} has no turns of {'; '.join(missing)}"
        raise UsageError(f"nothing to train: {reason}")
    return Plan(runs, missing)


def _wanted(tables: Sequence[Table], systems: Sequence[str]) -> dict[Setting, list[str]]:
    """The settings of some tables, each with the versions to test it on."""
    wanted: dict[Setting, list[str]] = {}
    for row, with_gains in ((row, table.with_gains) for table in tables for row in table.rows):
        cells = [cell for cell in row.cells if cell] if row.system in systems else []
        bases = [cell.base for cell in cells if cell.base.setting.system in systems]
        for setting, version in [*cells, *(bases if with_gains else [])]:
            versions = wanted.setdefault(setting, [])
            if version not in versions:
                versions.append(version)
    return wanted


def _planned(
    data: PreparedData,
    folder: Path,
    setting: Setting,
    seed: int,
    changes: Mapping[str, Any],
    tested_on: tuple[str, ...],
    test_turns: int | None,
) -> PlannedRun:
    context = {} if setting.use_context else {"use_context": False}
    settings = {**changes, **context, "seed": seed}
    path = folder / f"{setting.name}_seed{seed}"
    run = start.new_run(path, data, settings, setting.system, setting.persona, setting.version)
    if base := registry.get(setting.system).starts_from:
        start_setting = setting._replace(system=base)
        start_run = dataclasses.replace(run, path=folder / f"{start_setting.name}_seed{seed}")
        run = dataclasses.replace(run, initial=initial_weights.description(start_run))
    start.check_data(run, data)
    updates = total_updates(run.training_config, run.prepared["training_turns"])
    planned = PlannedRun(setting, run, tested_on, updates)
    if path.exists():
        found = Run.open(path)
        _check_same(found, run)
        # All runs share one vocabulary: keep it in memory once.
        vocabulary = {n: getattr(data, n) for n in ("words", "characters", "word_vectors")}
        planned.run = dataclasses.replace(found, **vocabulary)
        state = State(**checkpoint.read_state(path / LATEST))
        planned.done = state.update
        planned.trained = state.finished(found.training_config, updates)
        tables = [data.table("test", setting.persona, version) for version in tested_on]
        counts = [min(len(table), test_turns or len(table)) for table in tables]
        planned.tested = all(ranks.has_current(found, key) for key in map(key_of, tables, counts))
    return planned


def _check_same(found: Run, wanted: Run) -> None:
    settings = _settings(found)
    for name, value in _settings(wanted).items():
        if settings.get(name) != value:
            raise UsageError(
                f"{found.path} was made with {name} {settings.get(name)}, not {value}; give the "
                "same data and settings again, or another --runs"
            )


def _settings(run: Run) -> dict[str, Any]:
    return {
        "data": f"{run.prepared['name']}, fingerprint {run.prepared['fingerprint'][:12]}",
        "weights of": run.initial and run.initial["run"],
        **{name: getattr(run, name) for name in ("model", "persona", "version")},
        **run.model_config.to_dict(),
        **(run.training_config.to_dict() if run.training_config else {}),
    }
