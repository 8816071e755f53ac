"""How far a run's probabilities can be trusted, and whether any candidate fits at all.

Two numbers, found on the validation split, turn the raw scores of a run into answers:

temperature  T > 0. softmax(logits / T) is a probability that means what it says: of the turns
             whose best reply has the probability 0.8, about 80 % are answered rightly.
threshold    If the signal of a turn is below it, none of the candidates fits.

The signal is one of the two of `SIGNALS`, whichever does better on the validation split:

probability  The best candidate's probability. It compares the candidates with each other: it is
             low if several fit alike, it falls as candidates are added, and a single candidate
             always has 1.
score        The best candidate's score / T. It looks at each candidate by itself: it means the
             same for one candidate as for a thousand.

See `python -m dim_tf.calibrate`.
"""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from dim_tf.errors import CheckpointError, DataError
from dim_tf.evaluation import metrics
from dim_tf.io import atomic
from dim_tf.runs.run import BEST, weights_fingerprint

CALIBRATION = "calibration.json"
FORMAT = 1
# The range of T. Beyond it all probabilities are near 0 and 1, or all alike.
LOWEST, HIGHEST = 0.05, 20.0
# Of any figure in a file.
LARGEST = 1e300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What a calibration achieves on a split.

    Attributes:
        turns: How many turns were ranked. Those with a single candidate are left out.
        of: How many the split has.
        loss_before: Mean cross-entropy of the gold replies with T = 1.
        loss_after: With the temperature.
        ece_before: `expected_calibration_error` with T = 1.
        ece_after: With the temperature.
        seed: Decides from which turns the gold reply is taken away.
        without_gold: From how many.
        precision: Of the turns said to have no fitting candidate, the part that has none.
        recall: Of the turns that have none, the part that is said to.
        f1: Their harmonic mean.
    """

    turns: int
    of: int
    loss_before: float
    loss_after: float
    ece_before: float
    ece_after: float
    seed: int
    without_gold: int
    precision: float
    recall: float
    f1: float

    @property
    def f1_of_rejecting_all(self) -> float:
        """The F1 of saying of every turn that no candidate fits."""
        return 2 * self.without_gold / (self.turns + self.without_gold)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The calibration of a run: `calibration.json` in its folder.

    Attributes:
        temperature: T.
        signal: What is compared with the threshold: "probability" or "score".
        threshold: Below it no candidate fits.
        weights: The sha256 of the weights file that it belongs to.
        prepared: The fingerprint of the prepared folder that it was found on.
        persona: Of the turns that it was found on.
        version: Of the same.
        f1_by_signal: The best F1 on the validation split by each signal.
        valid: Figures of the validation split, which T and the threshold were chosen on.
        test: Figures of the test split; None if the prepared folder has none.
    """

    temperature: float
    signal: str
    threshold: float
    weights: str
    prepared: str
    persona: str
    version: str
    f1_by_signal: Mapping[str, float]
    valid: Figures
    test: Figures | None

    @property
    def compared(self) -> str:
        """What is compared with the threshold, for people."""
        return "score / temperature" if self.signal == "score" else self.signal

    def probabilities(self, logits: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
        """softmax(logits / T) over the candidates that are there; 0 for the others.

        Args:
            logits: Raw scores, [..., C], any C of at least 1.
            present: bool [..., C], False for absent candidates; all are there if not given.

        Returns:
            float64 [..., C].
        """
        return _softmax(logits, present, self.temperature)

    def fitting(self, logits: np.ndarray) -> np.ndarray:
        """Which of a turn's candidates reach the threshold: bool [C], for arguments as above.

        The figures are of whether any does.
        """
        return SIGNALS[self.signal](logits, None, self.temperature) >= self.threshold

    def notes(self) -> list[str]:
        """What a reader of the figures should know besides."""
        notes = []
        if not LOWEST < self.temperature < HIGHEST:
            notes.append(
                f"The temperature is at the end of its range, {LOWEST:g} to {HIGHEST:g}: the "
                "validation turns do not say where it should be."
            )
        if self.valid.f1 <= self.valid.f1_of_rejecting_all:
            notes.append(
                "On the validation split nothing is better than rejecting every turn: the scores "
                "do not tell whether a candidate fits."
            )
        if self.signal == "probability":
            notes.append(
                "The threshold is for about as many candidates as the validation turns have: the "
                "best probability falls as candidates are added, and a single one always fits."
            )
        if self.test is None:
            notes.append("There are no figures of a test split: it is missing or too small.")
        return notes

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self | None:
        """The calibration in a run folder; None if there is none for its weights.

        Warns:
            UserWarning: There is one, but of other weights: the run was trained further.

        Raises:
            CheckpointError: The file is damaged.
        """
        found = cls.current(path)
        if found is None and cls.read(path) is not None:
            warnings.warn(
                f"{Path(path) / CALIBRATION} is left aside: it belongs to other weights than "
                f"{BEST}; run python -m dim_tf.calibrate again",
                stacklevel=2,
            )
        return found

    @classmethod
    def current(cls, path: str | os.PathLike) -> Self | None:
        """The same without a warning."""
        found = cls.read(path)
        return found if found is not None and found.is_current(path) else None

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self | None:
        """The calibration in a run folder, of whichever weights; None if there is none.

        Raises:
            CheckpointError: The file is damaged.
        """
        file = Path(path) / CALIBRATION
        if not file.exists():
            return None
        try:
            return cls(**_checked(atomic.read_json(file), file))
        except DataError as error:
            raise CheckpointError(f"{error}; run python -m dim_tf.calibrate again") from None

    def save(self, path: str | os.PathLike) -> None:
        """Writes `calibration.json` into a run folder."""
        atomic.write_json(Path(path) / CALIBRATION, {"format": FORMAT, **dataclasses.asdict(self)})

    def is_current(self, path: str | os.PathLike) -> bool:
        """Whether it belongs to the weights that are in the run folder now."""
        return self.weights == weights_fingerprint(path)


def _softmax(logits: np.ndarray, present: np.ndarray | None, temperature: float) -> np.ndarray:
    logits, present = _scaled(logits, present, temperature)
    width = logits.shape[-1]
    chances = metrics.probabilities(logits.reshape(-1, width), present.reshape(-1, width))
    return chances.reshape(logits.shape)


def _scaled(
    logits: np.ndarray, present: np.ndarray | None, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    logits = np.asarray(logits).astype("float64") / temperature
    return logits, np.ones(logits.shape, bool) if present is None else np.asarray(present, bool)


def _score(logits, present, temperature) -> np.ndarray:
    logits, present = _scaled(logits, present, temperature)
    return np.where(present, logits, -np.inf)


# Of each candidate, [..., C]; that of a turn is its best candidate's. Where both do alike on the
# validation split, the first is taken.
SIGNALS: Mapping[str, Callable[..., np.ndarray]] = {"score": _score, "probability": _softmax}


def _checked(content: Any, file: Path) -> dict[str, Any]:
    """The fields of a `Calibration`; raises `DataError` for one that is missing or impossible."""
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise DataError(f"found no calibration of format {FORMAT}", path=file)
    content = _fields(content, Calibration, file, "")
    _number(content, "temperature", file, "", LOWEST, HIGHEST)
    _number(content, "threshold", file, "")
    if not isinstance(content["signal"], str) or content["signal"] not in SIGNALS:
        expected = f"expected {' or '.join(SIGNALS)}"
        raise DataError(f"found {content['signal']!r}, {expected}", path=file, field="signal")
    for name in ("weights", "prepared", "persona", "version"):
        if not isinstance(content[name], str):
            raise DataError(f"found {content[name]!r}, expected a text", path=file, field=name)
    if not isinstance(content["f1_by_signal"], dict):
        raise DataError("expected an F1 a signal", path=file, field="f1_by_signal")
    for name in content["f1_by_signal"]:
        _number(content["f1_by_signal"], name, file, "f1_by_signal.", 0.0, 1.0)
    for split in ("valid", "test"):
        if split == "valid" or content[split] is not None:
            content[split] = Figures(**_figures(content[split], file, f"{split}."))
    return content


def _figures(content: Any, file: Path, place: str) -> dict[str, Any]:
    content = _fields(content, Figures, file, place)
    for field in dataclasses.fields(Figures):
        highest = math.inf if field.type == "int" or field.name.startswith("loss") else 1.0
        _number(content, field.name, file, place, 0.0, highest, whole=field.type == "int")
    return content


def _fields(content: Any, kind: type, file: Path, place: str) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(content, dict):
        raise DataError(f"found {content!r}, expected an object", path=file, field=place[:-1])
    for name in sorted(names ^ content.keys()):
        problem = "the field is missing" if name in names else "no such field is known"
        raise DataError(problem, path=file, field=f"{place}{name}")
    return dict(content)


def _number(
    content: Mapping[str, Any],
    name: str,
    file: Path,
    place: str,
    low: float = -math.inf,
    high: float = math.inf,
    whole: bool = False,
) -> None:
    value = content[name]
    kinds = (int,) if whole else (int, float)
    # Of no use, and too much for a float, are numbers beyond LARGEST.
    if type(value) not in kinds or not (low <= value <= high and abs(value) <= LARGEST):
        limits = "" if low == -math.inf else f" of at least {low:g}"
        limits += "" if high == math.inf else f" and at most {high:g}"
        expected = f"expected a {'whole' if whole else 'finite'} number{limits}"
        raise DataError(f"found {value!r}, {expected}", path=file, field=f"{place}{name}")
