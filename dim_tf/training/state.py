"""Where a training stands, how long it is, and in which order it sees the turns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dim_tf.config import TrainingConfig

# Third numbers of seed sequences, which keep apart what is drawn for one seed and update.
NEGATIVES, DIALOGUES = 1, 2


@dataclasses.dataclass
class State:
    """Where training stands.

    Attributes:
        update: Updates made.
        validated: The update after which the last validation was.
        best: The row of the best validation, or None.
        without_gain: Validations since then.
        seconds: Time spent, over all sittings.
        window: [loss, accuracy] of each update since the last training row.
        window_seconds: Time and...
        window_turns: ...turns of these updates.
    """

    update: int = 0
    validated: int = 0
    best: dict[str, Any] | None = None
    without_gain: int = 0
    seconds: float = 0.0
    window: list[list[float]] = dataclasses.field(default_factory=list)
    window_seconds: float = 0.0
    window_turns: int = 0

    def validation_due(self, config: TrainingConfig, updates: int) -> bool:
        """Whether the next thing to do, of `updates` in all, is to validate."""
        at_a_mark = self.update % config.eval_every == 0 or self.update >= updates
        return at_a_mark and self.update > self.validated

    def finished(self, config: TrainingConfig, updates: int) -> bool:
        """Whether all `updates` are made and validated, or patience is at its end."""
        if self.validation_due(config, updates):
            return False
        patience = config.patience
        return self.update >= updates or (patience is not None and self.without_gain >= patience)


def total_updates(config: TrainingConfig, turns: int) -> int:
    """How many updates training is to make with so many training turns.

    >>> total_updates(TrainingConfig(batch_size=16, epochs=10), 65719)
    41080
    """
    updates = config.epochs * -(-turns // config.batch_size)
    return updates if config.max_updates is None else min(updates, config.max_updates)


def training_rows(dialogue: np.ndarray, config: TrainingConfig) -> np.ndarray:
    """The turns to train on: those of the first `train_dialogues` of the dialogues.

    The order of the dialogues follows from the seed alone, so that a smaller fraction is part of a
    larger one, whatever else is set.

    Args:
        dialogue: int [N]. Number of the dialogue of each turn.
        config: TrainingConfig. Its `train_dialogues` and `seed`.

    Returns:
        Rows in rising order; at least one dialogue is in.

    >>> training_rows(np.array([3, 3, 5, 8, 8, 9]), TrainingConfig(train_dialogues=0.5)).tolist()
    [3, 4, 5]
    """
    dialogues = np.unique(dialogue)
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, DIALOGUES]))
    count = max(1, round(config.train_dialogues * len(dialogues)))
    return np.flatnonzero(np.isin(dialogue, rng.permutation(dialogues)[:count]))


def epoch_order(seed: int, epoch: int, turns: int) -> np.ndarray:
    """The order in which an epoch (from 0) goes through the training turns.

    >>> sorted(epoch_order(1, 0, 4)), (epoch_order(1, 0, 99) == epoch_order(1, 1, 99)).all()
    ([np.int64(0), np.int64(1), np.int64(2), np.int64(3)], np.False_)
    """
    return np.random.default_rng(np.random.SeedSequence([seed, epoch])).permutation(turns)


# Starting a training from the best weights of another run (`--init-from`).
