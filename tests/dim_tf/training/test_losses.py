import keras
import numpy as np
import pytest

from dim_tf.config import TrainingConfig
from dim_tf.training import losses
from dim_tf.training.losses import margin_ranking, masked_accuracy, masked_cross_entropy
from tests.gradients import value_and_gradients

pytestmark = pytest.mark.backend


class FreeLogits(keras.layers.Layer):
    """Logits that are weights: the gradient of the loss for them is known in closed form."""

    def __init__(self, values):
        super().__init__()
        self.logits = self.add_weight(shape=values.shape, initializer="zeros", name="logits")
        self.logits.assign(values)

    def call(self, lengths):
        return self.logits + 0.0 * keras.ops.cast(lengths, "float32")


def gradient(logits, target, present):
    lengths = keras.Input(batch_shape=logits.shape, dtype="int32", name="responses_len")
    model = keras.Model({"responses_len": lengths}, FreeLogits(logits)(lengths))
    inputs = {"responses_len": 3 * present.astype("int32")}
    loss, gradients = value_and_gradients(model, inputs, target)
    return loss, gradients[0]


def test_gradient_is_softmax_less_one_hot_and_exactly_zero_where_absent():
    logits = np.array([[0.5, -1.0, 2.0, 50.0], [1.0, 1.0, -3.0, 0.0]], "float32")
    present = np.array([[True, True, True, False], [True, True, True, True]])
    target = np.array([2, 1], "int32")
    weights = np.exp(logits.astype("float64")) * present
    softmax = weights / weights.sum(axis=1, keepdims=True)
    loss, found = gradient(logits, target, present)
    assert loss == pytest.approx(-np.log(softmax[[0, 1], target]).mean(), rel=1e-6)
    np.testing.assert_allclose(found, (softmax - np.eye(4)[target]) / 2, atol=1e-7)
    assert found[0, 3] == 0.0


@pytest.mark.parametrize("scale", [1e4, 1e20])
def test_extreme_logits_give_finite_loss_and_gradient(scale):
    logits = np.array([[scale, -scale, 0.0]], "float32")
    for target in range(3):
        loss, found = gradient(logits, np.array([target], "int32"), np.ones((1, 3), bool))
        assert loss == pytest.approx(float(logits.max()) - float(logits[0, target]), rel=1e-6)
        assert np.isfinite(found).all()


def test_absent_candidate_changes_nothing_whatever_its_logit():
    target, present = np.array([0], "int32"), np.array([[True, True, False]])
    for logit in (-1e30, 0.0, 1e30, np.inf):
        logits = np.array([[1.0, 0.5, logit]], "float32")
        loss = masked_cross_entropy(target, logits, present)
        assert float(loss) == pytest.approx(np.log1p(np.exp(-0.5)), rel=1e-6)


def test_accuracy_counts_ties_as_mistakes_and_skips_absent_candidates():
    logits = np.array([[1, 2, 9], [2, 2, 0], [3, 2, 1], [0, 0, 0]], "float32")
    present = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 1], [0, 1, 0]], bool)
    accuracy = masked_accuracy(np.array([1, 0, 0, 1], "int32"), logits, present)
    assert float(accuracy) == 0.75


def test_margin_ranking_is_the_mean_hinge_of_the_negatives_that_violate_the_margin():
    logits = np.array([[0.5, 0.45, 0.42, 9.0], [0.0, 0.3, 0.35, -1.0], [1, 0, 0, 0]], "float32")
    present = np.array([[True, True, True, False], *[[True] * 4] * 2])
    target = np.array([0, 1, 0], "int32")
    expected = ((0.05 + 0.02) / 2 + 0.15 + 0) / 3
    for shown in (present, present[:1]):
        loss = margin_ranking(target, logits, shown, 0.1)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_the_config():
    logits = np.array([[0.5, 0.45, 0.2]], "float32")
    arguments = np.array([0], "int32"), logits, np.ones((1, 3), bool)
    margin = losses.of(TrainingConfig(loss="margin", margin=0.1))(*arguments)
    assert float(margin) == pytest.approx(0.05, rel=1e-5)
    assert losses.of(TrainingConfig()) is masked_cross_entropy
