"""What runs were tested on, and whether their tests can stand side by side."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import DataError, UsageError
from dim_tf.paper.published import MEASURES, Place, Setting
from dim_tf.runs.ranks import TurnRanks, is_current, path_of
from dim_tf.runs.ranks import load as load_ranks
from dim_tf.runs.record import Record
from dim_tf.systems import registry

_TEST = re.compile(r"test_(?P<persona>[a-z]+)_(?P<version>[a-z]+)(, (?P<turns>\d+) turns)?")
# Settings that say nothing about how well a model can become, or that stand elsewhere.
_LEFT_ASIDE = ("char_vocab_size", "use_persona", "use_context", "seed", "save_every", "recipe")
_LENGTH = ("epochs", "max_updates")
DEFAULTS = {
    name: default
    for config in (ModelConfig, TrainingConfig)
    for name, default in config.defaults().items()
    if name not in (*_LEFT_ASIDE, *_LENGTH)
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A run, tested on a table of the persona that it was trained with.

    Attributes:
        run: The run.
        place: What it was trained as, and the version it was tested on.
        ranks: Of the table's turns.
        of: How many turns the table has.
    """

    run: Record
    place: Place
    ranks: TurnRanks
    of: int

    @property
    def seed(self) -> int | None:
        """None if it was not trained here."""
        return self.run.training_config and self.run.training_config.seed

    @property
    def settings(self) -> dict[str, Any]:
        """Those of `DEFAULTS`."""
        return {name: value for name, value in self._values.items() if name in DEFAULTS}

    @property
    def recipe(self) -> dict[str, Any]:
        """What the runs of a cell have in common: settings, length, the weights they began with."""
        length = {name: self._values[name] for name in _LENGTH if name in self._values}
        return {**self.settings, **length, "initial": self.initial}

    @property
    def initial(self) -> str | None:
        """The run whose weights it started from; None if from fresh ones."""
        return self.run.initial and self.run.initial["run"]

    @property
    def updates(self) -> int | None:
        """How many were made; None if it was not trained here."""
        return max((row["update"] for row in self.run.metrics()), default=None)

    @property
    def _values(self) -> dict[str, Any]:
        training = self.run.training_config
        return {**self.run.model_config.to_dict(), **(training.to_dict() if training else {})}


def setting_of(run: Record) -> Setting:
    """What a run was trained as; without persona DIM, IMN_ctx and IMN_utr are IMN."""
    config = run.model_config
    base = registry.find(run.model).base
    if base and not config.use_persona and config.use_context:
        return Setting(base, run.persona, run.version)
    return Setting(run.model, run.persona, run.version, config.use_context)


def is_tested(run: Record) -> bool:
    """Whether it was ever tested with the persona that it was trained with."""
    return bool(_own_tests(run))


def common_turns(runs: Sequence[Record]) -> int | None:
    """How many turns of the test split all runs were tested on; None if all of them.

    The most, if there are several such numbers. A whole split that is no larger than a sample
    counts as one. Tests with other weights than a run's best ones of now do not count.
    """
    tests = [_current_tests(run) for run in runs]
    found = {
        turns: {
            (place, key)
            for place, of_run in enumerate(tests)
            for key, test in of_run.items()
            if test.counts_as(turns)
        }
        for turns in {test.turns for of_run in tests for test in of_run.values()}
    }
    there = [
        {turns for turns, counted in found.items() if any(place == run for run, _ in counted)}
        for place in range(len(runs))
    ]
    for run, numbers in zip(runs, there, strict=True):
        if not numbers & there[0]:
            raise UsageError(
                f"{runs[0].path} was tested on {_numbers(there[0])}, {run.path} on "
                f"{_numbers(numbers)}: test both on the same with python -m dim_tf.evaluate"
            )
    common = set.intersection(*there)
    if not common:
        raise UsageError(
            "there is no number of test turns that all runs were tested on; test them again with "
            "python -m dim_tf.evaluate, each with the same --turns or each without"
        )
    samples = sorted(common - {None}, reverse=True)
    if None not in common:
        return samples[0]
    # Whole splits, unless these are all small and samples of larger ones stand beside them.
    return next((turns for turns in samples if found[turns] > found[None]), None)


def outcomes_of(run: Record, turns: int | None) -> list[Outcome]:
    """The tests of a run on so many turns, with the persona that it was trained with."""
    found = []
    for key, test in _current_tests(run).items():
        if not test.counts_as(turns):
            continue
        entry, ranks = run.results()[key], load_ranks(run, key)
        for name in MEASURES:
            mean = ranks.measure(name).mean()
            if abs(mean - entry[name]) > 1e-9:
                raise DataError(
                    f"found {name} {mean:.6f}, expected {entry[name]:.6f}, that of results.json; "
                    "test the run again",
                    path=path_of(run, key),
                )
        found.append(Outcome(run, Place(setting_of(run), test.version), ranks, entry["of"]))
    return found


def outdated_tests(run: Record) -> list[str]:
    """The tests that do not count: with weights that are not the run's best ones any more."""
    return sorted(_own_tests(run).keys() - _current_tests(run).keys())


def check_same_data(outcomes: Sequence[Outcome]) -> None:
    """Raises `UsageError` if the texts or the vocabularies of their prepared folders differ."""
    first = outcomes[0]
    for outcome in outcomes:
        if outcome.ranks.fingerprint != first.ranks.fingerprint:
            raise UsageError(
                f"{first.run.path} and {outcome.run.path} were tested on different data (prepared "
                "folders whose texts and vocabularies have the fingerprints "
                f"{first.ranks.fingerprint[:12]} and {outcome.ranks.fingerprint[:12]}); report on "
                "each in turn"
            )


def check_same_turns(first: Outcome, second: Outcome) -> None:
    """Raises `UsageError` if they ranked different turns of a table."""
    if not first.ranks.same_turns(second.ranks):
        raise UsageError(
            f"{first.run.path} and {second.run.path} were tested on different turns "
            f"({len(first.ranks):,} and {len(second.ranks):,}) of the same table; test both again"
        )


@dataclasses.dataclass(frozen=True)
class _Test:
    """One test of a run: on which version, and on how many turns (None: all) of the split's."""

    version: str
    turns: int | None
    of: int

    def counts_as(self, turns: int | None) -> bool:
        """Whether a test on so many turns (None: all) would have ranked the same ones."""
        return self.turns == turns or (self.turns is None and self.of <= (turns or 0))


def _own_tests(run: Record) -> dict[str, _Test]:
    """Tests with the persona that the run was trained with, by their keys."""
    results = run.results()
    matches = [_TEST.fullmatch(key) for key in sorted(results)]
    return {
        match[0]: _Test(
            match["version"], match["turns"] and int(match["turns"]), results[match[0]]["of"]
        )
        for match in matches
        if match and match["persona"] == run.persona
    }


def _current_tests(run: Record) -> dict[str, _Test]:
    """Of `_own_tests` those with the run's best weights of now.

    Raises:
        UsageError: There are none.
        DataError: The ranks are missing.
    """
    again = f"python -m dim_tf.evaluate --run {run.path} --prepared DIR"
    tests = _own_tests(run)
    if not tests:
        raise UsageError(
            f"{run.path} was not tested yet with persona {run.persona}, that it was trained with: "
            f"{again}"
        )
    current = {key: test for key, test in tests.items() if is_current(run, key)}
    if not current:
        for key in tests:
            load_ranks(run, key)  # says so if they are missing
        raise UsageError(
            f"{run.path} was tested on {' and '.join(tests)} with other weights than its best ones "
            f"of now; test it again: {again}"
        )
    return current


def _numbers(turns: Iterable[int | None]) -> str:
    each = sorted(turns, key=lambda count: count or 0)
    return " and ".join("the whole split" if n is None else f"{n:,} turns" for n in each)
