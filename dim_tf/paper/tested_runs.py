"""The test results of runs, and the checks that they can be compared."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import UsageError
from dim_tf.paper.published import Setting, TableCell
from dim_tf.runs import pretrained, ranks
from dim_tf.runs.ranks import TurnRanks
from dim_tf.runs.record import CONFIG, Record

_KEY = re.compile(r"test_(?P<persona>[a-z]+)_(?P<version>[a-z]+)(, (?P<turns>\d+) turns)?")
# What `reproduce` appends to the names of runs that differ in nothing else.
_SEED = re.compile(r"_seed\d+$")
# Settings that the tables show elsewhere, or that do not change how good a model can become.
_LEFT_OUT = ("char_vocab_size", "use_persona", "use_context", "seed", "save_every", "recipe")
DEFAULTS = {
    name: default
    for name, default in {**ModelConfig.defaults(), **TrainingConfig.defaults()}.items()
    if name not in (*_LEFT_OUT, "epochs", "max_updates")
}


@dataclasses.dataclass(frozen=True)
class TestResult:
    """A run, tested with the persona that it was trained with."""

    run: Record
    cell: TableCell  # the run's setting, and the version that it was tested on
    ranks: TurnRanks  # of the tested turns
    of: int  # number of turns of the split
    update: int | None  # of the tested weights; None if the run was not trained here

    @property
    def seed(self) -> int | None:
        """None if the run was not trained here."""
        return self.run.training_config and self.run.training_config.seed

    @property
    def recipe(self) -> dict[str, Any]:
        """What all runs of a cell share: settings, training data and run of the initial weights."""
        training = self.run.training_config
        values = {**self.run.model_config.to_dict(), **(training.to_dict() if training else {})}
        values = {name: value for name, value in values.items() if name not in _LEFT_OUT}
        initial = self.run.initial and _SEED.sub("", self.run.initial["run"])
        data = {"training data": self.run.prepared["fingerprint"][:12]} if training else {}
        return {**values, **data, "initial": initial}

    @property
    def updates(self) -> int | None:
        """Number of training updates; None if the run was not trained here."""
        return max((row["update"] for row in self.run.metrics()), default=None)


def open_runs(paths: Iterable[str | os.PathLike]) -> list[Record]:
    """Opens run folders and records; of a folder that is neither, the tested ones in it.

    Raises:
        UsageError: A folder is neither and contains neither.
        CheckpointError: There is no such folder and no pretrained model of that name.
    """
    found: dict[Path, Record] = {}
    for path in map(pretrained.find, paths):
        inner = [path]
        if not (path / CONFIG).is_file():
            inner = sorted(file.parent for file in path.glob(f"*/{CONFIG}"))
        runs = {each: Record.open(each) for each in inner}
        if not runs:
            raise UsageError(
                f"{path}: found no run folder ({CONFIG} is missing) and none in it; "
                "train one with python -m dim_tf.train, or several with python -m dim_tf.reproduce"
            )
        tested = {
            each: run
            for each, run in runs.items()
            if any(test.is_current for test in _own_tests(run))
        }
        if tested and len(tested) < len(runs):
            names = ", ".join(run.name for each, run in runs.items() if each not in tested)
            print(f"left out, not tested yet with the best weights: {names}", file=sys.stderr)
        found.update(tested or runs)
    return list(found.values())


def setting_of(run: Record) -> Setting:
    """What a run was trained as."""
    return Setting.of(run.model, run.persona, run.version, run.model_config.use_context)


def comparable_results(
    runs: Sequence[Record],
) -> tuple[list[TestResult], int | None, list[str]]:
    """The test results of runs on the turns that all of them were tested on.

    Tests of outdated weights do not count.

    Returns:
        The results on the whole split or else on the largest common sample; the number of turns of
        that sample (None: the whole split); and notes on the tests of other samples.

    Raises:
        UsageError: A run was not tested, or they were tested on other data or turns.
        DataError: Ranks are missing or damaged.
    """
    tests = [_current_tests(run) for run in runs]
    samples = {test.turns for each in tests for test in each if test.turns is not None}
    for turns in (None, *sorted(samples, reverse=True)):
        chosen = [[test for test in each if test.is_on(turns)] for each in tests]
        if all(chosen):
            break
    else:
        found = "; ".join(
            f"{run.path}: {' and '.join(test.size for test in each)}"
            for run, each in zip(runs, tests, strict=True)
        )
        raise UsageError(
            f"the runs were tested on different turns ({found}): test all of them with the same "
            "--turns of python -m dim_tf.evaluate, or all without it"
        )
    results = [_load(run, test) for run, each in zip(runs, chosen, strict=True) for test in each]
    _check_same_data(results)
    notes = []
    for run, every, each in zip(runs, tests, chosen, strict=True):
        versions = {test.version for test in each}
        if left := [test.key for test in every if test.version not in versions]:
            size = "the whole split" if turns is None else f"samples of {turns:,} turns"
            notes.append(f"Left out of a comparison on {size}: {run.name}: {'; '.join(left)}.")
    return results, turns, notes


def outdated_tests(run: Record) -> list[str]:
    """The tests of weights that are not the run's best ones any more."""
    return [test.key for test in _own_tests(run) if not test.is_current]


def _load(run: Record, test: _Test) -> TestResult:
    cell = TableCell(setting_of(run), test.version)
    return TestResult(run, cell, ranks.load(run, test.key), test.of, test.update)


def _check_same_data(results: Sequence[TestResult]) -> None:
    """Refuses results on other texts, or on other turns of a table."""
    tables: dict[tuple[str, str], TestResult] = {}
    first = results[0]
    for result in results:
        if result.ranks.fingerprint != first.ranks.fingerprint:
            raise UsageError(
                f"{first.run.path} and {result.run.path} were tested on different data (text "
                f"fingerprints {first.ranks.fingerprint[:12]} and {result.ranks.fingerprint[:12]});"
                " report on each in turn"
            )
        other = tables.setdefault((result.run.persona, result.cell.tested_on), result)
        if not other.ranks.same_turns(result.ranks):
            raise UsageError(
                f"{other.run.path} and {result.run.path} were tested on different turns "
                f"({len(other.ranks):,} and {len(result.ranks):,}) of the same table; "
                "test both again"
            )


class _Test(NamedTuple):
    """An entry of `results.json`."""

    key: str
    version: str
    turns: int | None  # of the sample; None for the whole split
    of: int  # turns of the split
    update: int | None  # of the tested weights
    is_current: bool  # whether these are the best ones

    @property
    def size(self) -> str:
        """The number of its turns, in words."""
        return "the whole split" if self.turns is None else f"{self.turns:,} turns"

    def is_on(self, turns: int | None) -> bool:
        """Whether it is of a sample of that size, or of a split that has no more turns."""
        whole = self.turns is None and turns is not None and self.of <= turns
        return whole or self.turns == turns


def _own_tests(run: Record) -> list[_Test]:
    """The tests with the run's own persona."""
    found = []
    for key, entry in sorted(run.results().items()):
        match = _KEY.fullmatch(key)
        if match and match["persona"] == run.persona:
            turns = match["turns"] and int(match["turns"])
            update, current = entry.get("update"), run.is_current(entry)
            found.append(_Test(key, match["version"], turns, entry["of"], update, current))
    return found


def _current_tests(run: Record) -> list[_Test]:
    """The tests with the best weights; raises an error if there are none."""
    tests = _own_tests(run)
    current = [test for test in tests if test.is_current]
    if not current:
        outdated = " and ".join(test.key for test in tests)
        found = f"only {outdated}, with outdated weights" if tests else "nothing"
        raise UsageError(
            f"{run.path} was not tested yet with persona {run.persona} and its best weights: found "
            f"{found}; run python -m dim_tf.evaluate --run {run.path} --prepared DIR"
        )
    return current
