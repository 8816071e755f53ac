"""Where a training stands, how long it is, and in which order it sees the turns."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.cli.flags import DATA_FIELDS
from dim_tf.config import TrainingConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    import keras


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


def epoch_order(seed: int, epoch: int, turns: int) -> np.ndarray:
    """The order in which an epoch (from 0) goes through the training turns.

    >>> sorted(epoch_order(1, 0, 4)), (epoch_order(1, 0, 99) == epoch_order(1, 1, 99)).all()
    ([np.int64(0), np.int64(1), np.int64(2), np.int64(3)], np.False_)
    """
    return np.random.default_rng(np.random.SeedSequence([seed, epoch])).permutation(turns)


# Starting a training from the best weights of another run (`--init-from`).


def check(initial: Run, run: Run, data: PreparedData) -> None:
    """Raises `UsageError` if the weights of `initial` would mean something else in `run`."""
    words, settings = initial.differences_from(data), []
    if initial.model != run.model:
        settings.append(f"the model ({initial.model} there, {run.model} here)")
    there, here = initial.model_config.to_dict(), run.model_config.to_dict()
    # How much of a turn is read is nothing to the weights.
    for name in sorted(there.keys() - {"dropout", "precision", *DATA_FIELDS}):
        if not name.startswith("max_") and there[name] != here[name]:
            settings.append(f"{name} ({there[name]} there, {here[name]} here)")
    if words or settings:
        remedies = [f"prepare the data with --like {initial.path}"] * bool(words)
        remedies += ["train with the settings of that run"] * bool(settings)
        raise UsageError(
            f"--init-from {initial.path}: its weights would mean nothing here, since these differ: "
            f"{', '.join([*words, *settings])}; {', and '.join(remedies)}"
        )


def described(initial: Run) -> dict[str, Any]:
    """What the new run says of them: whose they are, and what that run began with itself."""
    return {"run": initial.name, "prepared": initial.prepared, "initial": initial.initial}


def copy(initial: Run, model: keras.Model) -> None:
    """Gives a model of the new run the best weights of `initial`."""
    trained = initial.load_model().trainable_variables
    for variable, source in zip(model.trainable_variables, trained, strict=True):
        variable.assign(source.value)
