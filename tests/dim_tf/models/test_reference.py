"""The reference against the authors' numbers, and against DIM where these have no cases."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from benchmarks.reference_weights import copy_weights, load_tf1_variables, tf1_gradients
from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.models.reference import build_reference
from dim_tf.models.tf1 import TF1_NAMES
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from dim_tf.training.train_step import TrainingStep, adam
from tests.authors_numbers import SIZES, TRUE_ZEROS, part
from tests.gradients import value_and_gradients
from tests.random_model import CONFIG as WITHOUT_DROPOUT, random_inputs, word_table

CONFIG, TABLE = WITHOUT_DROPOUT.replace(dropout=0.5), word_table()
SHORT = CONFIG.replace(max_utterance_len=2, max_response_len=2, max_profile_len=2, max_utterances=2)


def random_weights(rng, reference, packed) -> None:
    """Gives both models the same weights, large enough for every part to matter."""
    for variable in packed.trainable_variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    copy_weights(packed, reference)


@pytest.fixture
def authors(golden):
    sizes = {ours: int(golden[f"cfg/{theirs}"]) for ours, theirs in SIZES.items()}
    model = build_reference(ModelConfig(**sizes), golden["table/word"])
    load_tf1_variables(model, part(golden, "var/"))
    return model


@pytest.mark.backend
def test_logits_are_the_authors(golden, authors):
    logits = Scorer(authors)(part(golden, "in/"))
    np.testing.assert_allclose(logits, golden["out/logits"], rtol=0, atol=1e-6)


def test_gradients_are_the_authors(golden, authors):
    loss, gradients = value_and_gradients(authors, part(golden, "in/"), golden["in/target"])
    assert abs(loss - golden["out/mean_loss"]) < 1e-6
    found = tf1_gradients(authors, gradients)
    assert set(found) == set(golden["var_names"].tolist())
    for name in set(found) - TRUE_ZEROS:
        expected = golden[f"grad/{name}"]
        bound = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize(
    ("use_context", "use_persona"), [(True, True), (True, False), (False, True)]
)
def test_logits_are_those_of_dim(use_context, use_persona):
    """With empty utterances, contexts and personas, and absent candidates."""
    config = CONFIG.replace(use_context=use_context, use_persona=use_persona)
    rng = np.random.default_rng(1)
    packed, reference = build_model("dim", config, TABLE), build_reference(config, TABLE)
    random_weights(rng, reference, packed)
    inputs = random_inputs(rng)
    expected = np.asarray(packed(inputs, training=False))
    np.testing.assert_allclose(np.asarray(reference(inputs)), expected, rtol=0, atol=1e-5)


def test_gradients_are_those_of_dim():
    rng = np.random.default_rng(2)
    packed, reference = build_model("dim", CONFIG, TABLE), build_reference(CONFIG, TABLE)
    random_weights(rng, reference, packed)
    inputs, target = random_inputs(rng), np.full(4, 1)
    inputs["responses_len"][:, 1] = 3
    loss, expected = value_and_gradients(packed, inputs, target)
    reference_loss, gradients = value_and_gradients(reference, inputs, target)
    assert reference_loss == pytest.approx(loss, abs=1e-5)
    found = tf1_gradients(reference, gradients)
    for variable, gradient in zip(packed.trainable_variables, expected, strict=True):
        name = TF1_NAMES[variable.path]
        if name not in TRUE_ZEROS:
            bound = 1e-4 * np.abs(gradient).max()
            np.testing.assert_allclose(found[name], gradient, rtol=0, atol=bound, err_msg=name)


def test_bfloat16_is_where_dim_has_it():
    config = CONFIG.replace(precision="bfloat16")
    rng = np.random.default_rng(1)
    packed, reference = build_model("dim", config, TABLE), build_reference(config, TABLE)
    random_weights(rng, reference, packed)
    layer = reference.get_layer("reference")
    for bilstm in (layer.encoder, layer.matcher, layer.aggregator):
        assert {lstm.compute_dtype for lstm in bilstm} == {"bfloat16"}
        assert {lstm.variable_dtype for lstm in bilstm} == {"float32"}
    assert layer.hidden.compute_dtype == layer.logits.compute_dtype == "float32"
    inputs = random_inputs(rng)
    logits, expected = np.asarray(reference(inputs)), np.asarray(packed(inputs, training=False))
    assert logits.dtype == np.float32
    exact = build_reference(CONFIG, TABLE)
    exact.set_weights(reference.get_weights())
    coarse = np.abs(logits - np.asarray(exact(inputs))).max()
    assert 1e-4 < coarse < 0.1 * np.abs(expected).max()
    assert np.abs(logits - expected).max() < 3 * coarse


def test_dropout_is_where_the_authors_have_it(monkeypatch):
    """Every output is dropped once: words, LSTM directions, joined features, hidden layer."""
    reference = build_reference(CONFIG, TABLE)
    names = {id(layer): name for name, layer in reference.get_layer("reference").dropouts.items()}
    shapes = {}

    def call(layer, x, training=False):
        assert names[id(layer)] not in shapes
        shapes[names[id(layer)]] = tuple(x.shape)
        return x

    monkeypatch.setattr(keras.layers.Dropout, "call", call)
    inputs = random_inputs(np.random.default_rng(3))
    reference(inputs, training=True)
    assert set(shapes) == set(names.values())
    assert len(shapes) == 21
    units, embedded = CONFIG.rnn_units, CONFIG.word_dim + 150
    sizes = {"embedded": embedded, "joined": 16 * units, "hidden": 256}
    assert {name: shape[-1] for name, shape in shapes.items()} == {
        name: sizes.get(name.rpartition("/")[2], units) for name in shapes
    }
    batch, utterances, words = inputs["utterances"].shape
    candidates = inputs["responses"].shape[1]
    assert shapes["utterances/encoded/backward"] == (batch * utterances, words, units)
    assert shapes["utterances/matched/forward"] == (batch * candidates * utterances, words, units)


@pytest.mark.slow
def test_training_steps_and_scores():
    """Updates follow from seed and number; the scorer uses no dropout."""
    inputs = random_inputs(np.random.default_rng(6), SHORT)
    inputs["responses_len"][:, 1] = 2
    target = np.ones(4, "int32")
    reference = build_reference(SHORT, TABLE)
    packed = build_model("dim", SHORT, TABLE)
    random_weights(np.random.default_rng(7), reference, packed)
    np.testing.assert_allclose(
        Scorer(reference)(inputs), np.asarray(reference(inputs)), rtol=0, atol=1e-6
    )

    step = TrainingStep(reference, adam(TrainingConfig(learning_rate=1e-12)), seed=1)
    losses = [float(step.update(number, inputs, target)[0]) for number in (1, 2, 1)]
    assert losses[0] == pytest.approx(losses[2], abs=1e-6)
    calm = value_and_gradients(reference, inputs, target)[0]
    assert len({round(loss, 4) for loss in (*losses[:2], calm)}) == 3
