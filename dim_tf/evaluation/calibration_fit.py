"""Fits a run's temperature and threshold, and measures what they achieve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dim_tf.errors import DataError
from dim_tf.evaluation import evaluator, metrics
from dim_tf.evaluation.calibration import HIGHEST, LOWEST, Calibration, Figures
from dim_tf.evaluation.results import rank_tables
from dim_tf.io import templates

if TYPE_CHECKING:
    from dim_tf.data.dataset import PreparedData
    from dim_tf.evaluation.evaluator import Result
    from dim_tf.runs.run import Run

BINS = 15
# They choose the turns whose gold reply is masked, on each split.
VALID_SEED, TEST_SEED = 2019, 2020
MIN_TURNS = 2


def calibrate(
    run: Run, data: PreparedData, turns: int | None = None, batch_size: int = evaluator.BATCH
) -> Calibration:
    """Calibrates a run on the validation split and measures the calibration on the test split.

    `data` has the run's words. `turns` is the size of a sample of each split.

    Raises:
        DataError: Too few validation turns have two candidates or more.
        UsageError: The weights were replaced meanwhile.
    """
    splits = ["valid", *(["test"] if data.has("test", run.persona, run.version) else [])]
    tables = [data.table(split, run.persona, run.version) for split in splits]
    ranked = rank_tables(run, data, tables, turns, batch_size)
    valid, test = [*(with_choice(each.result) for each in ranked), None][:2]
    if len(valid.rows) < MIN_TURNS:
        few = turns is not None and turns < len(tables[0])
        advice = "a larger --turns" if few else "a prepared folder with more"
        raise DataError(
            f"{data.path}: {tables[0].name}: found {len(valid.rows)} turns with two candidates or "
            f"more, expected at least {MIN_TURNS}; give {advice}"
        )
    temperature = fit_temperature(valid.logits, valid.target, valid.present)
    present, none_fits = mask_gold(valid.target, valid.present, VALID_SEED)
    threshold = best_threshold(confidence(valid.logits, present, temperature), none_fits)
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        weights=ranked[0].weights,
        prepared=data.fingerprint,
        data=data.manifest["name"],
        persona=run.persona,
        version=run.version,
        valid=measure(valid, len(tables[0]), temperature, threshold, VALID_SEED),
        test=measure(test, len(tables[1]), temperature, threshold, TEST_SEED)
        if test and len(test.rows) >= MIN_TURNS
        else None,
    )


def describe(found: Calibration) -> str:
    """A calibration as text."""
    return templates.render(__package__, "calibration.txt.j2", calibration=found).rstrip("\n")


def with_choice(result: Result) -> Result:
    """The turns that have two candidates or more."""
    kept = result.present.sum(axis=1) >= 2
    columns = result.rows, result.logits, result.target, result.present
    return evaluator.Result(*(column[kept] for column in columns))


def fit_temperature(logits: np.ndarray, target: np.ndarray, present: np.ndarray) -> float:
    """The T of least cross-entropy: argmin_T mean(-log softmax(logits / T)[target]).

    The mean is convex in 1 / T, so it has one minimum. Where T changes nothing, as for equal
    scores, T is 1. The scores 3 and 0 claim that the first candidate is right in 95 of 100 turns;
    it is right in 3 of 4, so 3 / T has to be log 3:

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
    # The search never tries the bounds themselves; and the first of equal losses is that of 1.
    return min([1.0, LOWEST, HIGHEST, float(np.exp(found.x))], key=loss)


def expected_calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """The mean gap between a probability and how often it is right.

    ECE = sum_b |S_b| / N * |mean of `correct` in S_b - mean of `confidences` in S_b|, where S_b
    holds the turns whose best candidate has a probability in ((b - 1) / 15, b / 15], b = 1..15.
    """
    bins = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    # |S_b| * |mean - mean| is the absolute sum of the differences.
    gaps = np.bincount(bins, weights=correct - confidences, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def mask_gold(target: np.ndarray, present: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`present` without the gold reply of a drawn half of the turns, and this half: bool [N]."""
    count = len(target)
    chosen = np.random.default_rng(seed).permutation(count)[: count // 2]
    none_fits = np.zeros(count, bool)
    none_fits[chosen] = True
    present = present.copy()
    present[chosen, target[chosen]] = False
    return present, none_fits


def confidence(logits: np.ndarray, present: np.ndarray, temperature: float) -> np.ndarray:
    """The best score / T of each turn, float64 [N], for logits and bool [N, C]."""
    scaled = np.asarray(logits).astype("float64") / temperature
    return np.where(present, scaled, -np.inf).max(axis=1)


def abstention(
    confidences: np.ndarray, none_fits: np.ndarray, threshold: float
) -> dict[str, float]:
    """Precision (0 if undefined), recall and F1 of "no candidate fits" below the threshold."""
    said = confidences < threshold
    right, found, none = int((said & none_fits).sum()), int(said.sum()), int(none_fits.sum())
    return {
        "precision": right / max(found, 1),
        "recall": right / max(none, 1),
        # 2PR / (P + R), which is undefined where nothing is right.
        "f1": 2 * right / max(found + none, 1),
    }


def best_threshold(confidences: np.ndarray, none_fits: np.ndarray) -> float:
    """The threshold of the best F1: midway between two consecutive confidences.

    Of several, the one that rejects the fewest turns. If it is best to reject all of them, as with
    equal confidences, it is just above the largest one.

    >>> best_threshold(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False]))
    3.5
    """
    values, index = np.unique(confidences, return_inverse=True)
    said = np.bincount(index).cumsum()  # turns at most at each value
    right = np.bincount(index, weights=none_fits).cumsum()
    f1 = 2 * right / (said + none_fits.sum())
    best = int(np.argmax(f1))
    above = np.nextafter(values[best], np.inf)
    if best + 1 < len(values):
        above = max(above, values[best] + (values[best + 1] - values[best]) / 2)
    return float(above)


def measure(result: Result, of: int, temperature: float, threshold: float, seed: int) -> Figures:
    """What a temperature and a threshold achieve on some turns of a split with `of` turns."""
    loss, ece = [], []
    for t in (1.0, temperature):
        logits = result.logits.astype("float64") / t
        best = metrics.probabilities(logits, result.present).max(axis=1)
        loss.append(metrics.cross_entropy(logits, result.target, result.present))
        ece.append(expected_calibration_error(best, result.ranks == 1))
    present, none_fits = mask_gold(result.target, result.present, seed)
    confidences = confidence(result.logits, present, temperature)
    return Figures(
        turns=len(result.rows),
        of=of,
        loss_before=loss[0],
        loss_after=loss[1],
        ece_before=ece[0],
        ece_after=ece[1],
        seed=seed,
        without_gold=int(none_fits.sum()),
        **abstention(confidences, none_fits, threshold),
    )
