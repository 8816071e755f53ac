"""The progress of a training, its length, and the order of the turns."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from dim_tf.config import TrainingConfig

# Seed sequences: [seed, epoch] for the order of turns, [seed, update] for dropout, [seed, update,
# NEGATIVES], [seed, DIALOGUES]. Some are equal; they serve different draws.
NEGATIVES, DIALOGUES = 1, 2


@dataclasses.dataclass
class State:
    """The progress of a training.

    Attributes:
        update: int. Updates made.
        validated: int. The update of the last validation; -1 before the first.
        best: dict. The row of the best validation, or None.
        without_gain: int. Validations since then.
        seconds: float. Time of updates and validations, summed over restarts.
        window: list. [loss, accuracy] of each update since the last training row.
        window_seconds: float. The time of these updates.
        window_turns: int. The turns of these updates.
    """

    update: int = 0
    validated: int = -1
    best: dict[str, Any] | None = None
    without_gain: int = 0
    seconds: float = 0.0
    window: list[list[float]] = dataclasses.field(default_factory=list)
    window_seconds: float = 0.0
    window_turns: int = 0

    def validation_due(self, config: TrainingConfig, updates: int) -> bool:
        """Whether a validation comes next, in a training of `updates` updates."""
        due = self.update % config.eval_every == 0 and self.update > 0
        return (due or self.update >= updates) and self.update > self.validated

    def finished(self, config: TrainingConfig, updates: int) -> bool:
        """Whether all `updates` are made and validated, or patience is exhausted."""
        if self.validation_due(config, updates):
            return False
        impatient = config.patience is not None and self.without_gain >= config.patience
        return self.update >= updates or impatient


def total_updates(config: TrainingConfig, turns: int) -> int:
    """The number of updates of a training on `turns` training turns.

    >>> total_updates(TrainingConfig(batch_size=16, epochs=10), 65719)
    41080
    """
    updates = config.epochs * -(-turns // config.batch_size)
    return updates if config.max_updates is None else min(updates, config.max_updates)


def training_rows(dialogue: np.ndarray, config: TrainingConfig) -> np.ndarray:
    """The turns to train on: those of a random fraction, `train_dialogues`, of the dialogues.

    The dialogues are drawn in an order that depends on the seed alone, so a smaller fraction is a
    subset of a larger one.

    Args:
        dialogue: int [N]. Number of the dialogue of each turn.
        config: TrainingConfig. Its `train_dialogues` and `seed`.

    Returns:
        int. Rows in ascending order, of at least one dialogue.

    >>> training_rows(np.array([3, 3, 5, 8, 8, 9]), TrainingConfig(train_dialogues=0.5)).tolist()
    [2, 5]
    """
    dialogues = np.unique(dialogue)
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, DIALOGUES]))
    count = max(1, round(config.train_dialogues * len(dialogues)))
    return np.flatnonzero(np.isin(dialogue, rng.permutation(dialogues)[:count]))


@functools.lru_cache(maxsize=1)  # every update asks for it
def epoch_order(seed: int, epoch: int, turns: int) -> np.ndarray:
    """The order of the training turns in an epoch (from 0).

    >>> sorted(epoch_order(1, 0, 4)), (epoch_order(1, 0, 99) == epoch_order(1, 1, 99)).all()
    ([np.int64(0), np.int64(1), np.int64(2), np.int64(3)], np.False_)
    """
    return np.random.default_rng(np.random.SeedSequence([seed, epoch])).permutation(turns)
