"""bfloat16 against float32: scores, gradients, training, runs."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from dim_tf.config import TrainingConfig
from dim_tf.evaluation.metrics import probabilities
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from dim_tf.training.train_step import TrainingStep, adam
from tests.gradients import value_and_gradients
from tests.random_model import CONFIG, random_inputs, word_table
from tests.tiny_run import SHORT, saved, tiny_run

TURNS = 48
ON_JAX = keras.backend.backend() == "jax"
# It compiles for a minute there.
SLOW_ON_JAX = [pytest.mark.slow] if ON_JAX else []
SMALL = CONFIG.replace(
    max_utterances=2,
    max_utterance_len=3,
    max_response_len=3,
    max_profiles=2,
    max_profile_len=3,
    rnn_units=8,
)


def build(name, precision, **changes):
    """A model with the same random weights in each precision."""
    model = build_model(name, SMALL.replace(precision=precision, **changes), word_table())
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    return model


def random_batch():
    inputs = random_inputs(np.random.default_rng(1), SMALL, TURNS)
    inputs["responses_len"][:, 1] = 2
    return inputs, np.ones(TURNS, "int32")


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.backend
@pytest.mark.parametrize(
    "name",
    [pytest.param("dim", marks=SLOW_ON_JAX), pytest.param("imn_utr", marks=pytest.mark.slow)],
)
def test_scores_and_gradients_are_near_those_of_float32(name):
    inputs, target = random_batch()
    logits, losses, gradients = [], [], []
    for precision in ("float32", "bfloat16"):
        model = build(name, precision)
        logits.append(Scorer(model)(inputs))
        assert model.output.dtype == "float32"
        assert {weight.dtype for weight in model.weights} == {"float32"}
        loss, each = value_and_gradients(model, inputs, target)
        losses.append(loss)
        gradients.append([gradient.astype("float64") for gradient in each])
    assert np.isfinite(logits[1]).all()
    assert not np.array_equal(*logits)
    expected, found = (probabilities(each, inputs["responses_len"] > 0) for each in logits)
    assert np.quantile(np.abs(found - expected), 0.99) < 2e-2
    assert losses[1] == pytest.approx(losses[0], abs=1e-2)
    paths = [variable.path for variable in model.trainable_variables]
    for path, expected, found in zip(paths, *gradients, strict=True):
        assert np.isfinite(found).all(), path
        # These two cancel out of the softmaxes.
        if path not in ("prediction/bias", "persona_pooling/bias"):
            assert cosine(found, expected) > 0.9, path
    together = [np.concatenate([each.ravel() for each in every]) for every in gradients]
    assert cosine(*together) > 0.99


@pytest.mark.backend
@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("float32", marks=pytest.mark.slow),
        pytest.param("bfloat16", marks=SLOW_ON_JAX),
    ],
)
def test_updates_lower_the_loss(precision):
    model = build("dim", precision, use_persona=False, dropout=0.1)
    optimizer = adam(TrainingConfig(learning_rate=0.02))
    step = TrainingStep(model, optimizer, seed=1)
    batch = random_batch()
    losses = [float(step.update(number, *batch)[0]) for number in range(1, 16)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 0.1
    moments = [variable.dtype for variable in optimizer.variables if len(variable.shape)]
    assert set(moments) == {"float32"}


@pytest.mark.backend
def test_a_run_ranks_in_its_own_precision_or_in_another(tmp_path):
    new = saved(tiny_run(tmp_path / "run", persona="none", precision="bfloat16", **SHORT))
    run = Run.open(new.path)
    assert run.model_config.precision == "bfloat16"
    assert run.load_model().compute_dtype == "bfloat16"
    turn = {"context": ["hello you"], "candidates": ["i like dogs", "i'm fine", "tea"]}
    own, other = (
        [row["score"] for row in sorted(ranking, key=lambda row: row["index"])]
        for ranking in (
            Ranker.load(run.path).rank(**turn),
            Ranker.load(run.path, precision="float32").rank(**turn),
        )
    )
    assert own != other
    np.testing.assert_allclose(own, other, rtol=0, atol=2e-2)
    config = run.model_config.replace(precision="float32")
    model = dataclasses.replace(run, model_config=config).load_model()
    assert [row["score"] for row in Ranker(run, model).rank(**turn)] == sorted(other, reverse=True)


def test_a_reply_is_explained_in_float32(tmp_path):
    """NumPy's bfloat16 can be neither drawn nor written with decimals everywhere."""
    run = tiny_run(tmp_path / "run", precision="bfloat16", **SHORT)
    ranker = Ranker(run, run.build_model())
    explained = ranker.explain(["hello you"], ["i like dogs"], "i'm fine")
    assert [found.weights.dtype for found in explained.maps] == [np.float32, np.float32]
