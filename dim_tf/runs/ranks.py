"""The rank of each tested turn's right reply, kept in the run folder for later comparisons."""

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
    """Ranks of some turns of a table.

    Attributes:
        rows: The turns' rows in their table, int [N].
        ranks: The rank of each right reply, from 1, int [N].
        gold: The right reply's row in the sentence store of the prepared folder, int [N]: with the
            fingerprint it tells turns of two tables apart.
        fingerprint: The prepared folder's `text_fingerprint`.
    """

    rows: np.ndarray
    ranks: np.ndarray
    gold: np.ndarray
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ranks)

    def measure(self, name: str) -> np.ndarray:
        """What "hits@1" or "MRR" is the mean of, float64 [N].

        >>> ranks = TurnRanks(np.array([0, 1]), np.array([1, 4]), np.array([7, 7]), "")
        >>> ranks.measure("hits@1").tolist(), ranks.measure("MRR").tolist()
        ([1.0, 0.0], [1.0, 0.25])
        """
        if name == "hits@1":
            return (self.ranks == 1).astype("float64")
        return 1.0 / self.ranks

    def same_turns(self, other: Self) -> bool:
        """Whether both are ranks of the same turns in the same order."""
        return (
            self.fingerprint == other.fingerprint
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.gold, other.gold)
        )


def path_of(run: Record, key: str) -> Path:
    """Where the ranks behind an entry of `results.json` lie.

    Args:
        run: The run.
        key: Name of the entry, such as `test_self_original` or `test_self_original, 500 turns`.
    """
    return run.path / RANKS / f"{key.replace(', ', '_').replace(' ', '_')}.npz"


def save(run: Record, key: str, ranks: TurnRanks) -> None:
    """Keeps ranks in the run folder."""
    path = path_of(run, key)
    path.parent.mkdir(exist_ok=True)
    arrays = {name: getattr(ranks, name) for name in ARRAYS}
    fingerprint = np.array(ranks.fingerprint)
    atomic.write_npz(path, {**arrays, "fingerprint": fingerprint}, compressed=True)


def load(run: Record, key: str) -> TurnRanks:
    """Reads what `save` wrote.

    Raises:
        DataError: The file is missing, damaged, or holds something else.
    """
    path = path_of(run, key)
    if not path.is_file():
        raise DataError(
            "the ranks of the turns are missing: test the run again with python -m "
            "dim_tf.evaluate, or copy the record again",
            path=path,
        )
    arrays = atomic.read_npz(path)
    for name in ARRAYS:
        array = arrays.get(name)
        if array is None or array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
            raise DataError("expected whole numbers, one a turn", path=path, field=name)
        if len(array) != len(arrays["rows"]):
            expected = f"found {len(array)} turns, expected {len(arrays['rows'])}, those of rows"
            raise DataError(expected, path=path, field=name)
    if arrays["ranks"].min() < 1:
        raise DataError("found a rank below 1", path=path, field="ranks")
    fingerprint = arrays.get("fingerprint")
    if fingerprint is None or fingerprint.shape != () or fingerprint.dtype.kind != "U":
        raise DataError("expected a text", path=path, field="fingerprint")
    return TurnRanks(**{name: arrays[name] for name in ARRAYS}, fingerprint=str(fingerprint))


def is_current(run: Record, key: str) -> bool:
    """Whether the run was tested as `key` says, with the weights that are its best ones now."""
    entry = run.results().get(key)
    same_weights = entry is not None and entry.get("update") == run.best_update()
    return same_weights and path_of(run, key).is_file()
