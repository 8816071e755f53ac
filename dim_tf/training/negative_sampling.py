"""The candidates of an update: the gold reply and randomly drawn negatives."""

from __future__ import annotations

import dataclasses

import numpy as np

from dim_tf.config import TrainingConfig
from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.training.state import NEGATIVES


class NegativeSampler:
    """Draws the candidates of training turns; seeded by (seed, update), as resuming requires.

    Args:
        table: TurnTable. The training turns.
        rows: int [N]. Rows of the turns to train on; "split" draws from their replies.
        config: TrainingConfig. Its `negatives`, `negatives_from` and `seed`.
    """

    def __init__(self, table: TurnTable, rows: np.ndarray, config: TrainingConfig):
        self._table, self._config = table, config
        gold = table.gold[rows]
        self._pool = np.unique(gold)
        # Sorted by dialogue, the replies of one dialogue are a slice.
        dialogue = table.dialogue[rows]
        order = np.argsort(dialogue, kind="stable")
        self._replies, self._dialogue = gold[order], dialogue[order]

    def negatives(self, update: int) -> int | None:
        """The number of negatives, K, of an update (from 1); None for all listed candidates."""
        for count, last in self._config.negatives_schedule:
            if last is None or update <= last:
                return count
        return None

    def draw(self, rows: np.ndarray, update: int) -> TurnTable:
        """The turns at `rows` with the candidates of an update.

        Args:
            rows: int [B]. Rows of the table.
            update: int. Number of the update, from 1.

        Returns:
            TurnTable. B turns with at most K + 1 candidates each; listed candidates keep their
            order. A turn with fewer than K negatives has all of them, padded with `ABSENT`.
        """
        turns, count = self._table.take(rows), self.negatives(update)
        if count is None:
            return turns
        rng = np.random.default_rng(np.random.SeedSequence([self._config.seed, update, NEGATIVES]))
        if self._config.negatives_from == "listed":
            return _draw_listed(turns, count, rng)
        return self._draw_from_split(turns, count, rng)

    def _draw_from_split(self, turns: TurnTable, count: int, rng: np.random.Generator) -> TurnTable:
        candidates = np.full((len(turns), count + 1), ABSENT, turns.candidates.dtype)
        candidates[:, 0] = turns.gold
        # The replies of a turn's own dialogue are no negatives of it.
        for row, dialogue in enumerate(turns.dialogue):
            first, end = np.searchsorted(self._dialogue, [dialogue, dialogue + 1])
            excluded = np.append(self._replies[first:end], candidates[row, 0])
            pool = np.delete(self._pool, np.searchsorted(self._pool, np.unique(excluded)))
            drawn = rng.choice(pool, min(count, len(pool)), replace=False)
            candidates[row, 1 : 1 + len(drawn)] = drawn
        return dataclasses.replace(turns, candidates=candidates, target=np.zeros_like(turns.target))


def gold_of_batch(turns: TurnTable) -> tuple[np.ndarray, np.ndarray]:
    """The candidates of an update whose turns are ranked among each other's gold replies.

    Returns:
        The distinct gold replies, int [1, B], padded with `ABSENT`, and the column of that of each
        turn, [B].
    """
    distinct, column = np.unique(turns.gold, return_inverse=True)
    missing = len(turns) - len(distinct)
    candidates = np.pad(distinct, (0, missing), constant_values=ABSENT)[None]
    return candidates, column.astype(turns.target.dtype)


def _draw_listed(turns: TurnTable, count: int, rng: np.random.Generator) -> TurnTable:
    keys = rng.random(turns.candidates.shape)
    keys[turns.candidates == ABSENT] = 2.0  # last
    keys[np.arange(len(turns)), turns.target] = -1.0  # first
    columns = np.sort(np.argsort(keys, axis=1)[:, : count + 1], axis=1)
    return dataclasses.replace(
        turns,
        candidates=np.take_along_axis(turns.candidates, columns, axis=1),
        target=(columns == turns.target[:, None]).argmax(axis=1).astype(turns.target.dtype),
    )
