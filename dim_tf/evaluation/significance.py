"""Significance of a difference between two systems, and confidence intervals of means."""

from __future__ import annotations

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

    Equal values everywhere are no difference: t = 0, p = 1. A single turn shows none either.

    Args:
        first: float [N]. One system's value of each turn, such as 1 for a hit and 0 for none.
        second: float [N]. The other system's values of the same turns.
    """
    from scipy import stats

    difference = np.asarray(first, "float64") - np.asarray(second, "float64")
    mean = float(difference.mean())
    if len(difference) == 1 or not difference.any():
        return PairedTest(mean, 0.0, 1.0)
    if (difference == difference[0]).all():  # no variance
        return PairedTest(mean, float(np.copysign(np.inf, mean)), 0.0)
    found = stats.ttest_rel(first, second)
    return PairedTest(mean, float(found.statistic), float(found.pvalue))


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap percentile interval of a mean over turns, always with the same draws.

    >>> low, high = interval(np.repeat([0.0, 1.0], 200))
    >>> 0.44 < low < 0.46, 0.54 < high < 0.56
    (True, True)
    """
    from scipy import stats

    values = np.asarray(values, "float64")
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
