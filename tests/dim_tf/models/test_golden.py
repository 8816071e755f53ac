"""DIM against numbers that the authors' own graph computed."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.models.tf1 import load_tf1_variables, tf1_name
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, largest_shape
from dim_tf.systems.registry import build_model
from dim_tf.training.losses import masked_cross_entropy
from dim_tf.training.train_step import TrainingStep, adam
from tests.authors_numbers import SIZES, TRUE_ZEROS, part
from tests.gradients import value_and_gradients
from tests.random_model import KINDS

pytestmark = pytest.mark.backend

# A tensor of the authors' graph -> ours that is the same, but for axes that are folded together
# there. What the packed form never makes (padded outputs of a BiLSTM, the four-fold enhanced
# vectors) has no counterpart.
TENSORS = {
    "final_utterances": lambda found: found["matched"]["utterances"].swapaxes(1, 2),
    "aggregated_responses_ur": lambda found: found["responses"]["utterances"],
    "final_personas": lambda found: found["matched"]["personas"].swapaxes(1, 2),
    "aggregated_responses_pr": lambda found: found["responses"]["personas"],
    "aggregated_utterances": lambda found: found["context"],
    "aggregated_personas": lambda found: found["persona"],
    "joined_feature": lambda found: found["joined"],
}


@pytest.fixture(scope="module")
def built(golden):
    """Without dropout: it is to be trained at keep probability 1."""
    sizes = {ours: int(golden[f"cfg/{theirs}"]) for ours, theirs in SIZES.items()}
    return build_model("dim", ModelConfig(**sizes, dropout=0.0), golden["table/word"])


@pytest.fixture
def model(golden, built):
    """The one model with the authors' weights, whatever another test gave it."""
    load_tf1_variables(built, part(golden, "var/"))
    return built


def padded_value_and_gradients(model):
    """`value_and_gradients` of the padded form, compiled once for all calls."""
    variables = model.trainable_variables

    def loss_of(logits, inputs, target):
        return masked_cross_entropy(target, logits, inputs["responses_len"] > 0)

    if keras.backend.backend() == "jax":
        import jax

        others = [variable.value for variable in model.non_trainable_variables]

        @jax.jit
        def compiled(trainable, inputs, target):
            def loss(trainable):
                logits, _ = model.stateless_call(trainable, others, inputs, training=False)
                return loss_of(logits, inputs, target)

            return jax.value_and_grad(loss)(trainable)

        def call(inputs, target):
            return compiled([variable.value for variable in variables], inputs, target)

    else:
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def compiled(inputs, target):
            with tf.GradientTape() as tape:
                loss = loss_of(model(inputs, training=False), inputs, target)
            return loss, tape.gradient(loss, [variable.value for variable in variables])

        def call(inputs, target):
            inputs = {name: tf.constant(value) for name, value in inputs.items()}
            return compiled(inputs, tf.constant(target))

    def as_numpy(inputs, target):
        loss, gradients = call(inputs, np.asarray(target, "int32"))
        return float(loss), [np.asarray(gradient) for gradient in gradients]

    return as_numpy


@pytest.fixture(scope="module")
def gradients_of(built):
    """The functions of loss and gradients with the current weights, by form."""
    return {
        "packed": functools.partial(value_and_gradients, built),
        "padded": padded_value_and_gradients(built),
    }


@pytest.fixture(scope="module")
def tensors(golden, built):
    """The intermediate tensors of the model, and their batch."""
    load_tf1_variables(built, part(golden, "var/"))
    inputs = part(golden, "in/")

    def compute(batch):
        return built.intermediates(batch)

    if keras.backend.backend() == "jax":
        import jax

        # Of all buckets the largest compiles fastest.
        shapes = {name: value.shape for name, value in inputs.items()}
        batch = pack(inputs, built.sources, largest_shape(shapes, built.sources))
        found = jax.jit(compute)(batch)
    else:
        batch = pack(inputs, built.sources, EXACT)
        found = compute(batch)
    return keras.tree.map_structure(np.asarray, found), batch


def mask_of(golden, kind):
    """True for words, [B, N, T]."""
    return np.arange(golden[f"in/{kind}"].shape[2]) < golden[f"in/{kind}_len"][..., None]


def test_the_variables_are_the_authors(golden, model):
    assert {tf1_name(v) for v in model.trainable_variables} == set(golden["var_names"].tolist())
    assert len(model.trainable_variables) == 24


def test_logits(golden, model, tensors):
    logits = np.asarray(model(part(golden, "in/"), training=False))
    assert logits.dtype == np.float32
    for found in (logits, tensors[0]["logits"]):
        np.testing.assert_allclose(found, golden["out/logits"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_words(golden, tensors, kind):
    found, batch = tensors
    mask, layout = mask_of(golden, kind), getattr(batch, kind)
    expected = golden[f"mid/{kind}_output"].reshape(*mask.shape, -1)
    padded = np.zeros_like(expected)
    padded[mask] = found["states"][layout.grid[layout.grid_mask > 0]]
    np.testing.assert_allclose(padded, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("source", "letter"), [("utterances", "u"), ("personas", "p")])
def test_attention(golden, tensors, source, letter):
    """Weights @ words, the words of a source side by side; the authors' are padded."""
    found, batch = tensors
    responses = found["states"][batch.responses.grid]  # [B, C, R, D]
    words = found["states"][getattr(batch, source).grid]  # [B, X, D]
    to_responses, to_source = found["attention"][source]
    mask = mask_of(golden, "responses")  # [B, C, R]
    attended = to_source @ words[:, None]  # [B, C, R, D]
    expected = golden[f"mid/attended_responses_output_{letter}r"]
    np.testing.assert_allclose(attended[mask], expected[mask], rtol=0, atol=1e-5)
    assert not to_source[~mask].any()

    attended = to_responses @ responses  # [B, C, X, D]
    expected = golden[f"mid/attended_{source}_output_{letter}r"]  # [B, C, N*T, D]
    similarity = golden[f"mid/similarity_matrix_{letter.upper()}R"]  # [B, C, R, N*T]
    for turn, source_mask in enumerate(mask_of(golden, source)):
        source_mask, count = source_mask.ravel(), source_mask.sum()
        wanted = expected[turn][:, source_mask]
        np.testing.assert_allclose(attended[turn, :, :count], wanted, rtol=0, atol=1e-5)
        assert not to_responses[turn, :, count:].any()
        powers = np.exp(similarity[turn][..., source_mask])
        weights = (powers / powers.sum(axis=-1, keepdims=True))[mask[turn]]
        found_weights = to_source[turn][mask[turn]]
        np.testing.assert_allclose(found_weights[:, :count], weights, rtol=0, atol=1e-5)
        assert not found_weights[:, count:].any()


@pytest.mark.parametrize("name", TENSORS)
def test_intermediate_tensors(golden, tensors, name):
    expected = golden[f"mid/{name}"]
    found = TENSORS[name](tensors[0]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["packed", "padded"])
def test_gradients(golden, model, gradients_of, form):
    loss, gradients = gradients_of[form](part(golden, "in/"), golden["in/target"])
    assert abs(loss - golden["out/mean_loss"]) < 1e-6
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        name = tf1_name(variable)
        if name in TRUE_ZEROS:
            continue
        expected = golden[f"grad/{name}"]
        bound = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=bound, err_msg=name)


def test_ten_updates_of_adam(golden, model, gradients_of):
    """Each compiled update against a step of a NumPy Adam fed with the padded form's gradients."""
    inputs, target = part(golden, "in/"), golden["in/target"].astype("int32")
    value_and_gradients = gradients_of["padded"]
    variables = model.trainable_variables
    step = TrainingStep(model, adam(TrainingConfig(decay_steps=4)), seed=1)
    first = second = [0.0] * len(variables)
    losses, expected = [], []
    loss, gradients = value_and_gradients(inputs, target)
    for update in range(1, 11):
        before = [np.asarray(v.value) for v in variables]
        assert float(step.update(update, inputs, target)[0]) == pytest.approx(loss, abs=1e-6)

        rate = 1e-3 * 0.96 ** ((update - 1) // 4)
        rate *= np.sqrt(1 - 0.999**update) / (1 - 0.9**update)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * m + 0.001 * g**2 for m, g in zip(second, gradients, strict=True)]
        after = [np.asarray(v.value) for v in variables]
        for variable, value, m, v in zip(variables, before, first, second, strict=True):
            variable.assign((value - rate * m / (np.sqrt(v) + 1e-8)).astype("float32"))
        expected.append(value_and_gradients(inputs, target)[0])
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)
        loss, gradients = value_and_gradients(inputs, target)
        losses.append(loss)
    assert losses[-1] < golden["out/mean_loss"] - 0.1
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)
