"""The ranks of the gold replies of tested turns, kept for later comparisons."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np

from dim_tf.errors import DataError
from dim_tf.io import atomic
from dim_tf.runs.record import RANKS, Record

ARRAYS = ("rows", "ranks", "gold")


@dataclasses.dataclass(frozen=True)
class TurnRanks:
    """Ranks of turns of a table.

    Attributes:
        rows: int [N]. Rows of the turns in their table.
        ranks: int [N]. Ranks of the gold replies, from 1.
        gold: int [N]. Rows of the gold replies in the sentence store of the prepared folder; with
            the fingerprint they distinguish the turns of two tables.
        fingerprint: str. The `text_fingerprint` of the prepared folder.
    """

    rows: np.ndarray
    ranks: np.ndarray
    gold: np.ndarray
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ranks)

    def measure(self, name: str) -> np.ndarray:
        """The values whose mean is "hits@1" or "MRR", float64 [N].

        >>> ranks = TurnRanks(np.array([0, 1]), np.array([1, 4]), np.array([7, 7]), "")
        >>> ranks.measure("hits@1").tolist(), ranks.measure("MRR").tolist()
        ([1.0, 0.0], [1.0, 0.25])
        """
        return {"hits@1": (self.ranks == 1).astype("float64"), "MRR": 1.0 / self.ranks}[name]

    def shared_turns(self, other: Self) -> int:
        """The number of leading turns that both rank; 0 if the tables begin differently.

        A table of revised personas may lack turns; the others then have other rows.

        >>> rows = np.arange(3)
        >>> first = TurnRanks(rows, rows + 1, np.array([5, 6, 7]), "")
        >>> second = TurnRanks(rows[:2], rows[:2] + 1, np.array([5, 6]), "")
        >>> other = dataclasses.replace(second, gold=np.array([6, 7]))
        >>> first.shared_turns(second), first.shared_turns(other)
        (2, 0)
        """
        count = min(len(self), len(other))
        return count if self._first(count).same_turns(other._first(count)) else 0

    def _first(self, count: int) -> Self:
        columns = {name: getattr(self, name)[:count] for name in ARRAYS}
        return dataclasses.replace(self, **columns)

    def same_turns(self, other: Self) -> bool:
        """Whether both are ranks of the same turns in the same order."""
        return (
            self.fingerprint == other.fingerprint
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.gold, other.gold)
        )


def path_of(run: Record, key: str) -> Path:
    """The file with the ranks of a result, such as "test_self_original, 500 turns"."""
    return run.path / RANKS / f"{key.replace(', ', '_').replace(' ', '_')}.npz"


def save(run: Record, key: str, ranks: TurnRanks) -> None:
    """Writes ranks into the run folder."""
    path = path_of(run, key)
    path.parent.mkdir(exist_ok=True)
    arrays = {name: getattr(ranks, name) for name in ARRAYS}
    fingerprint = np.array(ranks.fingerprint)
    atomic.write_npz(path, {**arrays, "fingerprint": fingerprint}, compressed=True)


def load(run: Record, key: str) -> TurnRanks:
    """Reads what `save` wrote.

    Raises:
        DataError: The file is missing, damaged, or holds something else than `results.json` says.
    """
    path = path_of(run, key)
    if not path.is_file():
        raise DataError(
            "the ranks of the turns are missing: test the run again with python -m "
            "dim_tf.evaluate, or copy the record again",
            path=path,
        )
    arrays = atomic.read_npz(path)
    count = np.size(arrays.get("rows", ()))
    for name in ARRAYS:
        array = arrays.get(name, np.zeros(0))
        if array.shape != (count,) or array.dtype.kind not in "iu" or not count:
            found = f"found {array.dtype} {array.shape}, expected integers ({count},)"
            raise DataError(found, path=path, field=name)
    if arrays["ranks"].min() < 1:
        raise DataError("found a rank below 1", path=path, field="ranks")
    fingerprint = arrays.get("fingerprint", np.zeros(0))
    if fingerprint.shape != () or fingerprint.dtype.kind != "U":
        raise DataError("expected a text", path=path, field="fingerprint")
    ranks = TurnRanks(**{name: arrays[name] for name in ARRAYS}, fingerprint=str(fingerprint))
    for name in ("hits@1", "MRR"):
        mean, expected = ranks.measure(name).mean(), run.results()[key][name]
        if abs(mean - expected) > 1e-9:
            raise DataError(
                f"found {name} {mean:.6f}, expected {expected:.6f} by results.json; "
                "test the run again",
                path=path,
            )
    return ranks


def has_current(run: Record, key: str) -> bool:
    """Whether the run has the result `key`, of its current best weights."""
    entry = run.results().get(key)
    return entry is not None and run.is_current(entry) and path_of(run, key).is_file()
