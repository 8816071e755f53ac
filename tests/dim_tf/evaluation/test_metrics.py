import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, log_loss

from dim_tf.errors import DataError, DivergedError
from dim_tf.evaluation import metrics


def all_present(logits):
    return np.ones(np.shape(logits), bool)


def test_ranks_count_ties_against_the_gold_reply():
    logits = np.array([[4, 3, 2, 1], [1, 1, 1, 1], [2, 3, 3, 1]], "float32")
    found = metrics.ranks(logits, np.array([0, 2, 1]), all_present(logits))
    assert found.tolist() == [1, 4, 2]


def test_absent_candidates_do_not_count_whatever_their_score():
    logits = np.array([[1.0, 5.0, np.nan, 1.0]], "float32")
    present = np.array([[True, False, False, True]])
    assert metrics.ranks(logits, np.array([0]), present).tolist() == [2]


def test_differences_below_float32_of_the_probability_still_rank():
    # Both probabilities are 1 in float32; the logits tell them apart.
    logits = np.array([[200.0, 200.00002]], "float32")
    assert metrics.ranks(logits, np.array([0]), all_present(logits)).tolist() == [2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    logits = np.array([[1.0, 2.0], [1.0, bad]])
    with pytest.raises(DivergedError, match="1 of 2 turns hold NaN or infinity"):
        metrics.ranks(logits, np.array([0, 0]), all_present(logits))


def test_an_absent_gold_reply_is_refused():
    with pytest.raises(DataError, match="gold reply of turn 1 is absent"):
        present = np.array([[True, True], [True, False]])
        metrics.ranks(np.zeros((2, 2)), np.array([1, 1]), present)


def test_summary_in_closed_form():
    summary = metrics.summarise(np.array([1, 2, 4, 10, 20]))
    assert summary == {
        "hits@1": 0.2,
        "hits@2": 0.4,
        "hits@5": 0.6,
        "hits@10": 0.8,
        "MRR": pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10 + 1 / 20) / 5),
        "MAP": summary["MRR"],
    }


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(3)
    logits, target = rng.normal(size=(200, 20)), rng.integers(0, 20, 200)
    present = all_present(logits)
    gold = np.eye(20)[target]
    assert metrics.summarise(metrics.ranks(logits, target, present))["MAP"] == pytest.approx(
        label_ranking_average_precision_score(gold, logits)
    )
    probabilities = metrics.probabilities(logits, present)
    assert metrics.cross_entropy(logits, target, present) == pytest.approx(
        log_loss(gold, probabilities)
    )


def test_probabilities_of_extreme_logits_add_up_to_one():
    logits = np.array([[1e30, -1e30, 3.0], [np.nan, -5000.0, -5001.0]], "float32")
    present = np.array([[True, True, True], [False, True, True]])
    found = metrics.probabilities(logits, present)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found[1].tolist() == [0.0, pytest.approx(0.7310585786), pytest.approx(0.2689414214)]
