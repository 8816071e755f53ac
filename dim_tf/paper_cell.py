"""A cell of the paper's tables as a run: what is done of it, and how long the rest will take."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from dim_tf.paper import Setting
from dim_tf.run_folder import Run


class Cost(NamedTuple):
    """Seconds that an update takes, and the ranking of a turn."""

    update: float
    turn: float


@dataclasses.dataclass
class Cell:
    """A setting with a seed: one run.

    Attributes:
        setting: What is trained.
        run: As it lies on disk, or as it will.
        tested_on: The versions of the test split to test it on.
        updates: To be made in all.
        valid_turns: Turns of a validation.
        test_turns: Turns of its tests together.
        done: Updates that are made.
        trained: Whether training is at its end.
        tested: Whether it was tested on all of `tested_on`, with its best weights.
        diverged: Whether its training ended without a result.
    """

    setting: Setting
    run: Run
    tested_on: tuple[str, ...]
    updates: int
    valid_turns: int
    test_turns: int
    done: int = 0
    trained: bool = False
    tested: bool = False
    diverged: bool = False

    @property
    def name(self) -> str:
        """Of the run folder."""
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
            return "trained, to be tested"
        return f"stopped after {self.done:,}" if self.run.path.exists() else "new"

    @property
    def kind(self) -> str:
        """What its speed depends on."""
        system, *_, use_context = self.setting
        return system if use_context else f"{system} without context"

    @property
    def size(self) -> int:
        """Turns of an update."""
        return self.run.training_config.batch_size

    def cost(self) -> Cost | None:
        """As measured in its training; None before its first validation."""
        rates: dict[str, list[float]] = {"train": [], "valid": []}
        for row in self.run.metrics() if self.run.path.exists() else []:
            rates[row["kind"]].append(row["turns_per_s"])
        if not all(rates.values()):
            return None
        # The first row of a sitting has the time of compilation in it.
        return Cost(self.size / np.median(rates["train"]), 1 / np.median(rates["valid"]))

    def seconds_left(self, cost: Cost) -> float:
        """How long the rest of it will take at such a cost."""
        if self.finished or self.diverged:
            return 0.0
        ranked = 0 if self.tested else self.test_turns
        if self.trained:
            return ranked * cost.turn
        every = self.run.training_config.eval_every
        validations = -(-self.updates // every) - self.done // every
        ranked += validations * self.valid_turns
        return (self.updates - self.done) * cost.update + ranked * cost.turn
