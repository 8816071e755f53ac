"""Calibrated probabilities of a run, and whether any candidate fits at all.

Two numbers, fitted on the validation split, turn the raw scores of a run into answers:

temperature  T > 0. softmax(logits / T) is a calibrated probability: of the turns whose best
             candidate has probability 0.8, about 80 % are answered correctly.
threshold    If the best score / T of a turn is below it, none of the candidates fits. The score
             looks at each candidate by itself: it means the same for one candidate as for many.

See `python -m dim_tf.calibrate`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from dim_tf.errors import CheckpointError, DataError
from dim_tf.evaluation import metrics
from dim_tf.io import atomic, json_model
from dim_tf.io.json_model import STRICT
from dim_tf.runs.run import BEST, weights_fingerprint

CALIBRATION = "calibration.json"
# The range of T. Beyond it all probabilities are close to 0 and 1, or to each other; cosines, which
# differ by hundredths, need a small one.
LOWEST, HIGHEST = 0.001, 20.0

Count = Annotated[int, Field(ge=0)]
Loss = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Figures:
    """What a calibration achieves on a split.

    `before` is with T = 1, `after` with the temperature. Precision, recall and F1 are those of
    finding the turns whose gold reply is masked.
    """

    turns: Count  # ranked, without those that have a single candidate
    of: Count  # of the split
    loss_before: Loss  # mean cross-entropy of the gold replies
    loss_after: Loss
    ece_before: Fraction  # expected calibration error
    ece_after: Fraction
    seed: Count  # chooses the turns whose gold reply is masked
    without_gold: Count  # number of these turns
    precision: Fraction
    recall: Fraction
    f1: Fraction

    @property
    def f1_of_rejecting_all(self) -> float:
        """The F1 of saying of every turn that no candidate fits."""
        return 2 * self.without_gold / (self.turns + self.without_gold)


# Files of earlier versions have one more key, "f1_by_signal".
@dataclass(frozen=True, kw_only=True, config=STRICT | {"extra": "ignore"})
class Calibration:
    """The calibration of a run: `calibration.json` in its folder."""

    temperature: Annotated[float, Field(ge=LOWEST, le=HIGHEST)]
    threshold: float  # no candidate fits if the best score / T is below it
    weights: str  # sha256 of the weights file that the calibration belongs to
    prepared: str  # fingerprint of the prepared folder that it was fitted on
    data: str = ""  # its name; empty if an earlier version fitted it
    persona: str  # of the turns that it was fitted on
    version: str  # of their personas
    valid: Figures
    test: Figures | None  # None if the prepared folder has no test split
    # What the threshold is compared with. Earlier versions could choose "probability"; such a
    # calibration is never current.
    signal: Literal["score", "probability"] = "score"
    format: Literal[1] = 1

    def probabilities(self, logits: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
        """softmax(logits / T) over the present candidates; 0 for the absent ones: [..., C]."""
        scaled = np.asarray(logits).astype("float64") / self.temperature
        present = np.ones(scaled.shape, bool) if present is None else np.asarray(present, bool)
        width = scaled.shape[-1]
        found = metrics.probabilities(scaled.reshape(-1, width), present.reshape(-1, width))
        return found.reshape(scaled.shape)

    def fitting(self, logits: np.ndarray) -> np.ndarray:
        """Which of a turn's candidates reach the threshold: bool [C], for logits [C]."""
        return np.asarray(logits).astype("float64") / self.temperature >= self.threshold

    def splits(self) -> dict[str, Figures]:
        """The figures by the name of their split."""
        return {"validation": self.valid, **({"test": self.test} if self.test else {})}

    def notes(self) -> list[str]:
        """Warnings about the figures."""
        notes = []
        if not LOWEST < self.temperature < HIGHEST:
            notes.append(
                f"The temperature is at the end of its range, {LOWEST:g} to {HIGHEST:g}: the "
                "validation turns do not determine it."
            )
        if self.valid.f1 <= self.valid.f1_of_rejecting_all:
            notes.append(
                "On the validation split nothing is better than rejecting every turn: the scores "
                "do not tell whether a candidate fits."
            )
        if self.test is None:
            notes.append("There are no figures of a test split: it is missing or too small.")
        return notes

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self | None:
        """The current calibration in a run folder; None if there is none.

        Warns:
            UserWarning: The calibration was fitted on other weights, or by an earlier version of
                this package, and is ignored.

        Raises:
            CheckpointError: The file is damaged.
        """
        found = cls.read(path)
        if found is None or found.is_current(path):
            return found
        reason = f"it was fitted on other weights than {BEST}"
        if found.signal != "score":
            reason = f"a threshold for the {found.signal} is no longer supported"
        file = Path(path) / CALIBRATION
        warnings.warn(
            f"{file} is ignored: {reason}; run python -m dim_tf.calibrate again", stacklevel=2
        )
        return None

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self | None:
        """The calibration in a run folder, current or not; None if there is none.

        Raises:
            CheckpointError: The file is damaged.
        """
        file = Path(path) / CALIBRATION
        if not file.exists():
            return None
        try:
            return json_model.read(file, cls, advice="run python -m dim_tf.calibrate again")
        except DataError as error:
            raise CheckpointError(str(error)) from None

    def save(self, path: str | os.PathLike) -> None:
        """Writes `calibration.json` into a run folder."""
        atomic.write_json(Path(path) / CALIBRATION, json_model.plain(self))

    def is_current(self, path: str | os.PathLike) -> bool:
        """Whether it can be used with the weights in the run folder."""
        return self.signal == "score" and self.weights == weights_fingerprint(path)
