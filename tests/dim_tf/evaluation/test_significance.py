import math

import numpy as np
import pytest

from dim_tf.evaluation.significance import interval, paired_t_test


def test_t_test_of_an_example_computed_by_hand():
    # Hits of two systems on six turns; differences 1, 1, 1, 0, 0, 0: mean 1/2, variance
    # 6 * (1/4) / 5 = 3/10, standard error sqrt(3/10 / 6) = sqrt(1/20), t = sqrt(5).
    # With 5 degrees of freedom and angle a = atan(t / sqrt(5)) = pi/4:
    # P(|T| <= t) = 2/pi * (a + sin a * (cos a + 2/3 cos^3 a)) = 2/pi * (pi/4 + 1/2 + 1/6).
    found = paired_t_test(np.array([1, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 0, 0]))
    assert found.difference == 0.5
    assert found.t == pytest.approx(math.sqrt(5))
    assert found.p == pytest.approx(1 - 2 / math.pi * (math.pi / 4 + 2 / 3))


def test_t_test_is_paired():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    better = base + rng.normal(0.01, 0.005, 50)
    assert paired_t_test(better, base).p < 1e-6
    assert paired_t_test(better, rng.permutation(base)).p > 0.1


def test_no_difference_and_a_constant_one():
    same = np.array([1.0, 0.0, 1.0])
    assert paired_t_test(same, same) == (0.0, 0.0, 1.0)
    # By chance three turns have the same sign with a probability of 2 / 2^3, a single one always.
    assert paired_t_test(same + 1, same) == (1.0, math.inf, 0.25)
    assert paired_t_test(same, same + 1) == (-1.0, -math.inf, 0.25)
    assert paired_t_test(same[:1], same[1:2]) == (1.0, math.inf, 1.0)


def test_interval_is_that_of_the_normal_distribution_for_many_turns_and_always_the_same():
    values = np.arange(2000) % 10 < 7
    low, high = interval(values)
    half = 1.96 * math.sqrt(0.7 * 0.3 / 2000)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=0.003)
    halves = values / 2  # by the bootstrap
    low, high = interval(halves)
    assert (low, high) == pytest.approx((0.35 - half / 2, 0.35 + half / 2), abs=0.003)
    assert interval(halves) == (low, high)


def test_interval_of_few_hits_is_wilsons():
    # (k + z^2 / 2 +- z sqrt(k (n - k) / n + z^2 / 4)) / (n + z^2): with k = n, n / (n + z^2) to 1.
    squared = 1.959964**2
    assert interval(np.ones(5)) == pytest.approx((5 / (5 + squared), 1))
    assert interval(np.zeros(5)) == pytest.approx((0, squared / (5 + squared)))
