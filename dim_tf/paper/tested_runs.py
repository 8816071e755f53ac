"""The test results of runs, and the checks that they can be compared."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import DataError, UsageError
from dim_tf.paper.published import MEASURES, Setting, TableCell
from dim_tf.runs import pretrained, ranks
from dim_tf.runs.ranks import TurnRanks
from dim_tf.runs.record import CONFIG, Record

_KEY = re.compile(r"test_(?P<persona>[a-z]+)_(?P<version>[a-z]+)(, (?P<turns>\d+) turns)?")
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

    @property
    def seed(self) -> int | None:
        """None if the run was not trained here."""
        return self.run.training_config and self.run.training_config.seed

    @property
    def recipe(self) -> dict[str, Any]:
        """What all runs of a cell share: the settings and the run of the initial weights."""
        training = self.run.training_config
        values = {**self.run.model_config.to_dict(), **(training.to_dict() if training else {})}
        values = {name: value for name, value in values.items() if name not in _LEFT_OUT}
        return {**values, "initial": self.run.initial and self.run.initial["run"]}

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
        tested = {each: run for each, run in runs.items() if _own_tests(run)}
        if tested and len(tested) < len(runs):
            names = ", ".join(run.name for each, run in runs.items() if each not in tested)
            print(f"left out, not tested yet: {names}", file=sys.stderr)
        found.update(tested or runs)
    return list(found.values())


def setting_of(run: Record) -> Setting:
    """What a run was trained as."""
    return Setting.of(run.model, run.persona, run.version, run.model_config.use_context)


def comparable_results(runs: Sequence[Record]) -> tuple[list[TestResult], int | None]:
    """The test results of runs on the turns that all of them were tested on.

    Tests of outdated weights do not count.

    Returns:
        The results on the whole split or else on the largest common sample, and the number of turns
        of that sample (None: the whole split).

    Raises:
        UsageError: A run was not tested, or they were tested on other data or turns.
        DataError: Ranks are missing or damaged.
    """
    tests = [_current_tests(run) for run in runs]
    sizes = [{turns for _, turns in each.values()} for each in tests]
    common = set.intersection(*sizes)
    if not common:
        found = "; ".join(
            f"{run.path}: {' and '.join(f'{n:,} turns' if n else 'the whole split' for n in each)}"
            for run, each in zip(runs, sizes, strict=True)
        )
        raise UsageError(
            f"the runs were tested on different turns ({found}): test all of them with the same "
            "--turns of python -m dim_tf.evaluate, or all without it"
        )
    turns = None if None in common else max(common)
    results = [
        _load(run, key, version)
        for run, each in zip(runs, tests, strict=True)
        for key, (version, count) in each.items()
        if count == turns
    ]
    _check_same_data(results)
    return results, turns


def outdated_tests(run: Record) -> list[str]:
    """The tests of weights that are not the run's best ones any more."""
    return [key for key in _own_tests(run) if not ranks.is_current(run, key)]


def _load(run: Record, key: str, version: str) -> TestResult:
    entry, turn_ranks = run.results()[key], ranks.load(run, key)
    for name in MEASURES:
        mean = turn_ranks.measure(name).mean()
        if abs(mean - entry[name]) > 1e-9:
            raise DataError(
                f"found {name} {mean:.6f}, expected {entry[name]:.6f} by results.json; "
                "test the run again",
                path=ranks.path_of(run, key),
            )
    return TestResult(run, TableCell(setting_of(run), version), turn_ranks, entry["of"])


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


def _own_tests(run: Record) -> dict[str, tuple[str, int | None]]:
    """The tests with the run's own persona: key -> version and number of turns (None: all)."""
    matches = map(_KEY.fullmatch, sorted(run.results()))
    return {
        match[0]: (match["version"], match["turns"] and int(match["turns"]))
        for match in matches
        if match and match["persona"] == run.persona
    }


def _current_tests(run: Record) -> dict[str, tuple[str, int | None]]:
    """The tests of `_own_tests` with the best weights; raises an error if there are none."""
    tests = _own_tests(run)
    current = {key: test for key, test in tests.items() if ranks.is_current(run, key)}
    if not current:
        for key in tests:
            ranks.load(run, key)  # names the file if it is missing
        found = f"only {' and '.join(tests)}, with outdated weights" if tests else "nothing"
        raise UsageError(
            f"{run.path} was not tested yet with persona {run.persona} and its best weights: found "
            f"{found}; run python -m dim_tf.evaluate --run {run.path} --prepared DIR"
        )
    return current
