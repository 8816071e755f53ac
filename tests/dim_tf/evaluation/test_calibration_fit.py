import numpy as np
import pytest

from dim_tf.evaluation import calibration_fit, metrics
from dim_tf.evaluation.calibration import HIGHEST, LOWEST
from dim_tf.evaluation.evaluator import Result


def drawn(temperature, turns=20000, candidates=5, seed=0):
    """Turns whose gold reply is drawn with the probability softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (turns, candidates))
    noise = rng.gumbel(size=logits.shape)
    present = np.ones(logits.shape, bool)
    return Result(np.arange(turns), logits, np.argmax(logits / temperature + noise, 1), present)


def test_temperature_of_turns_drawn_with_a_temperature_is_found():
    for temperature in (0.5, 1.0, 3.0):
        some = drawn(temperature)
        found = calibration_fit.fit_temperature(some.logits, some.target, some.present)
        assert found == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_lower_cross_entropy():
    some = drawn(2.0, turns=300)
    some.present[:, 4] = some.target == 4
    best = calibration_fit.fit_temperature(some.logits, some.target, some.present)
    losses = [
        metrics.cross_entropy(some.logits / t, some.target, some.present)
        for t in (best, *np.geomspace(LOWEST, HIGHEST, 200))
    ]
    assert losses[0] <= min(losses) + 1e-9


def test_temperature_is_1_for_equal_scores_and_bounded_where_all_is_right_or_wrong():
    present, target = np.ones((4, 3), bool), np.zeros(4, int)
    right = np.tile([5.0, 0.0, -1.0], (4, 1))
    assert calibration_fit.fit_temperature(np.zeros((4, 3)), target, present) == 1.0
    assert calibration_fit.fit_temperature(-right, target, present) == HIGHEST
    assert calibration_fit.fit_temperature(right / 10_000, target, present) == LOWEST


def test_calibration_error_by_hand_with_values_on_the_borders_of_bins():
    confidence = np.array([1 / 15, 1 / 15, 2 / 15, 1.0, 0.0])
    correct = np.array([1, 0, 0, 1, 0])
    # Bin 1 holds 1/15, 1/15 and 0; bin 2 holds 2/15; bin 15 holds 1.
    expected = abs(1 - 2 / 15) / 5 + (2 / 15) / 5 + 0
    found = calibration_fit.expected_calibration_error(confidence, correct)
    assert found == pytest.approx(expected)


def test_calibration_lowers_the_error_on_turns_that_it_has_not_seen():
    valid, test = drawn(3.0), drawn(3.0, seed=1)
    t = calibration_fit.fit_temperature(valid.logits, valid.target, valid.present)
    figures = calibration_fit.measure(test, 20000, t, 0.0, seed=1)
    assert figures.ece_before > 0.2
    assert figures.ece_after < 0.02
    assert figures.loss_after < figures.loss_before


def test_gold_is_masked_in_the_smaller_half_by_the_seed_alone():
    target, present = np.arange(7) % 3, np.ones((7, 3), bool)
    left, none_fits = calibration_fit.mask_gold(target, present, 1)
    assert none_fits.sum() == 3
    assert present.all()
    np.testing.assert_array_equal(left[np.arange(7), target], ~none_fits)
    assert (left.sum(axis=1) == 3 - none_fits).all()
    np.testing.assert_array_equal(calibration_fit.mask_gold(target, present, 1)[1], none_fits)


def test_no_other_threshold_is_better():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 8, 20).astype("float64")
        none_fits = rng.random(20) < 0.5
        none_fits[0] = True
        found = calibration_fit.best_threshold(values, none_fits)
        f1 = [
            calibration_fit.abstention(values, none_fits, t)["f1"]
            for t in np.arange(-0.5, 9.0, 0.5)
        ]
        assert calibration_fit.abstention(values, none_fits, found)["f1"] == pytest.approx(max(f1))


def test_threshold_lies_midway_and_above_all_where_rejecting_all_is_best():
    apart = np.array([1.0, 2.0, 6.0, 7.0])
    below = np.array([True, True, False, False])
    assert calibration_fit.best_threshold(apart, below) == 4.0
    above = calibration_fit.best_threshold(np.ones(4), below)
    assert 1.0 < above < 1.0 + 1e-9
    next_to = np.array([1.0, np.nextafter(1.0, 2.0)])
    found = calibration_fit.best_threshold(next_to, np.array([True, False]))
    assert next_to[0] < found <= next_to[1]


def test_precision_and_recall_of_no_abstention_are_zero():
    none_fits = np.array([True, False])
    found = calibration_fit.abstention(np.ones(2), none_fits, 0.0)
    assert found == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
