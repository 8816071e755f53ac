"""Significance of a difference between two systems, and confidence intervals of means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.01  # the paper's
SEED = 2019


class PairedTest(NamedTuple):
    """A paired t-test: mean difference, Student's t, and the two-sided p."""

    difference: float
    t: float
    p: float


def paired_t_test(first: np.ndarray, second: np.ndarray) -> PairedTest:
    """Student's t-test of whether two systems differ on the same turns.

    Equal values everywhere are no difference: t = 0, p = 1. Where all N turns differ by the same,
    there is no variance; p is then that of the sign test, 2 / 2^N.

    Args:
        first: float [N]. One system's value of each turn, such as 1 for a hit and 0 for none.
        second: float [N]. The other system's values of the same turns.
    """
    from scipy import stats

    difference = np.asarray(first, "float64") - np.asarray(second, "float64")
    mean = float(difference.mean())
    if not difference.any():
        return PairedTest(mean, 0.0, 1.0)
    if (difference == difference[0]).all():
        return PairedTest(mean, float(np.copysign(np.inf, mean)), 2.0 ** (1 - len(difference)))
    found = stats.ttest_rel(first, second)
    return PairedTest(mean, float(found.statistic), float(found.pvalue))


def holm(ps: Sequence[float]) -> np.ndarray:
    """The p of several tests, adjusted by Holm's method for their number.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps)
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(factors * np.asarray(ps)[order], 1))
    return adjusted


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean over turns.

    Of hits, values of 0 and 1 alone, it is Wilson's; otherwise the bootstrap percentile interval,
    always with the same draws.

    >>> low, high = interval(np.repeat([0.0, 1.0], 200))
    >>> 0.44 < low < 0.46, 0.54 < high < 0.56
    (True, True)
    """
    from scipy import stats

    values = np.asarray(values, "float64")
    if np.isin(values, (0, 1)).all():
        hits = stats.binomtest(int(values.sum()), len(values))
        wilson = hits.proportion_ci(method="wilson")
        return float(wilson.low), float(wilson.high)
    if (values == values[0]).all():
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=2000,
        batch=100,  # not all resamples in memory at once
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
