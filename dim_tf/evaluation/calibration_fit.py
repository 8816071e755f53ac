"""Finds a run's temperature and threshold, and measures what they achieve."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dim_tf.errors import DataError
from dim_tf.evaluation import metrics
from dim_tf.evaluation.calibration import HIGHEST, LOWEST, SIGNALS, Figures

if TYPE_CHECKING:
    from dim_tf.evaluation.evaluator import Result

BINS = 15
# What decides which turns lose their gold reply; another number for the test split.
VALID_SEED, TEST_SEED = 2019, 2020
FEWEST_TURNS = 2


class Rejection(NamedTuple):
    """How well turns without a fitting candidate are told from the others.

    Attributes:
        precision: Of the turns said to have none, the part that has none; 0 if it is said of none.
        recall: Of the turns that have none, the part that is said to.
        f1: Their harmonic mean.
    """

    precision: float
    recall: float
    f1: float


class Threshold(NamedTuple):
    """Of a signal: `value`, and the `f1` that it achieves."""

    value: float
    f1: float


def fit_temperature(logits: np.ndarray, target: np.ndarray, present: np.ndarray) -> float:
    """The T of least cross-entropy: argmin_T mean(-log softmax(logits / T)[target]).

    The mean is convex in 1 / T, so that there is one minimum. Where T changes nothing, as for
    equal scores, it is 1. A model that is always right, or worse than none, has its minimum at 0
    or at infinity, and gets `LOWEST` or `HIGHEST`.

    Args:
        logits: float [N, C].
        target: int [N], the column of the gold reply.
        present: bool [N, C].

    The scores 3 and 0 claim that the first is right in 95 of 100 turns; it is in 3 of 4. So
    3 / T is to be log 3:

    >>> logits, right = np.tile([3.0, 0.0], (4, 1)), np.array([0, 0, 0, 1])
    >>> t = fit_temperature(logits, right, np.ones((4, 2), bool))
    >>> f"{t:.3f}", f"{3 / np.log(3):.3f}"
    ('2.731', '2.731')
    """
    from scipy import optimize

    logits = np.asarray(logits).astype("float64")

    def loss(temperature: float) -> float:
        return metrics.cross_entropy(logits / temperature, target, present)

    found = optimize.minimize_scalar(
        lambda log_t: loss(np.exp(log_t)),
        bounds=np.log([LOWEST, HIGHEST]),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The search never tries the bounds themselves; and the first among equals is 1.
    return min([1.0, LOWEST, HIGHEST, float(np.exp(found.x))], key=loss)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """How far probabilities are from what comes true, on average.

    ECE = sum_b |S_b| / N * |mean of `correct` in S_b - mean of `confidence` in S_b|, where S_b
    holds the turns whose best candidate has a probability in ((b - 1) / 15, b / 15], b = 1..15.

    Args:
        confidence: The best candidate's probability, [N].
        correct: Whether it is the gold reply, [N]; among ties it is not.

    Two of four answers given with 0.9 are right:

    >>> round(expected_calibration_error(np.full(4, 0.9), np.array([1, 1, 0, 0])), 6)
    0.4
    """
    confidence, correct = np.asarray(confidence, "float64"), np.asarray(correct, "float64")
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    # |S_b| * |mean - mean| is the absolute sum of the differences.
    gaps = np.bincount(bins, weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def take_gold_away(
    target: np.ndarray, present: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Makes the gold reply absent in half of the turns; of an odd number, in the smaller half.

    Args:
        target: int [N].
        present: bool [N, C].
        seed: Decides in which.

    Returns:
        bool [N, C], what is present then; and bool [N], where no candidate fits.

    >>> present, none_fits = take_gold_away(np.zeros(4, int), np.ones((4, 3), bool), seed=1)
    >>> int(none_fits.sum()), present.sum(axis=1)[none_fits].tolist()
    (2, [2, 2])
    """
    count = len(target)
    chosen = np.random.default_rng(seed).permutation(count)[: count // 2]
    none_fits = np.zeros(count, bool)
    none_fits[chosen] = True
    present = present.copy()
    present[chosen, target[chosen]] = False
    return present, none_fits


def rejection(signals: np.ndarray, none_fits: np.ndarray, threshold: float) -> Rejection:
    """What saying "no candidate fits" below the threshold achieves.

    >>> rejection(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False]), 3.5)
    Rejection(precision=0.6666666666666666, recall=1.0, f1=0.8)
    """
    said = signals < threshold
    right = int((said & none_fits).sum())
    precision, recall = right / max(int(said.sum()), 1), right / max(int(none_fits.sum()), 1)
    # 2PR / (P + R), which is not defined where nothing is right.
    return Rejection(precision, recall, 2 * right / max(int(said.sum() + none_fits.sum()), 1))


def best_threshold(signals: np.ndarray, none_fits: np.ndarray) -> Threshold:
    """The threshold of the best F1: midway between two signals that follow each other.

    Of several, the one that rejects the fewest turns. If it is best to reject all of them, as with
    equal signals, it is just above the largest signal.

    Args:
        signals: float [N].
        none_fits: bool [N], True somewhere.

    >>> best_threshold(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False]))
    Threshold(value=3.5, f1=0.8)
    """
    values, places = np.unique(signals, return_inverse=True)
    said = np.bincount(places).cumsum()  # turns at most at each value
    right = np.bincount(places, weights=none_fits).cumsum()
    f1 = 2 * right / (said + none_fits.sum())
    place = int(np.argmax(f1))
    above = np.nextafter(values[place], np.inf)
    if place + 1 < len(values):
        above = max(above, values[place] + (values[place + 1] - values[place]) / 2)
    return Threshold(float(above), float(f1[place]))


def choices_only(result: Result) -> Result:
    """The turns that have something to choose from: two candidates or more."""
    kept = result.present.sum(axis=1) >= 2
    fields = [field.name for field in dataclasses.fields(result)]
    return dataclasses.replace(result, **{name: getattr(result, name)[kept] for name in fields})


def choose_threshold(result: Result, temperature: float) -> tuple[str, float, dict[str, float]]:
    """What to compare with which threshold, by the best F1 on the validation split.

    Returns:
        The signal's name, its threshold, and the best F1 of each signal.
    """
    present, none_fits = take_gold_away(result.target, result.present, VALID_SEED)
    found = {
        name: best_threshold(signal(result.logits, present, temperature).max(axis=1), none_fits)
        for name, signal in SIGNALS.items()
    }
    # `max` takes the first among equals.
    best = max(found, key=lambda name: found[name].f1)
    return best, found[best].value, {name: each.f1 for name, each in found.items()}


def measure(
    result: Result, of: int, temperature: float, signal: str, threshold: float, seed: int
) -> Figures:
    """What a temperature and a threshold achieve on some turns."""
    correct = result.ranks == 1
    loss, ece = [], []
    for t in (1.0, temperature):
        logits = result.logits.astype("float64") / t
        confidence = metrics.probabilities(logits, result.present).max(axis=1)
        loss.append(metrics.cross_entropy(logits, result.target, result.present))
        ece.append(expected_calibration_error(confidence, correct))
    present, none_fits = take_gold_away(result.target, result.present, seed)
    signals = SIGNALS[signal](result.logits, present, temperature).max(axis=1)
    return Figures(
        turns=len(result.rows),
        of=of,
        loss_before=loss[0],
        loss_after=loss[1],
        ece_before=ece[0],
        ece_after=ece[1],
        seed=seed,
        without_gold=int(none_fits.sum()),
        **rejection(signals, none_fits, threshold)._asdict(),
    )


def check_enough(result: Result, name: str) -> None:
    """Raises `DataError` if there are too few turns to calibrate on."""
    if len(result.rows) < FEWEST_TURNS:
        raise DataError(
            f"{name}: found {len(result.rows)} turns with two candidates or more, expected at "
            f"least {FEWEST_TURNS}: there is nothing to calibrate on"
        )
