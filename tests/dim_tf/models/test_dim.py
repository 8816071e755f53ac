"""DIM against a slow NumPy version of its equations, where the authors' numbers cannot see."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf.errors import CheckpointError, ConfigError
from dim_tf.models.tf1 import TF1_NAMES, load_tf1_variables
from dim_tf.systems.registry import build_model
from tests.numpy_dim import NumpyDIM
from tests.random_model import CONFIG, random_inputs, random_variables, word_table


def build(use_context=True, use_persona=True):
    return build_model(
        "dim", CONFIG.replace(use_context=use_context, use_persona=use_persona), word_table()
    )


@pytest.fixture(scope="module")
def whole():
    return build()


@pytest.fixture
def model(whole):
    """The one model, with weights that another test may have changed."""
    load_tf1_variables(whole, random_variables(np.random.default_rng(4), whole))
    return whole


def check_equations(model, seed, **ablation):
    rng = np.random.default_rng(seed)
    variables = random_variables(rng, model)
    load_tf1_variables(model, variables)
    inputs = random_inputs(rng)
    expected = NumpyDIM(variables, word_table(), **ablation).logits(inputs)
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, rtol=0, atol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize("seed", [1, 2])
def test_equations(seed, model):
    check_equations(model, seed)


@pytest.mark.parametrize(("use_context", "use_persona"), [(True, False), (False, True)])
def test_equations_of_an_ablation(use_context, use_persona):
    ablation = {"use_context": use_context, "use_persona": use_persona}
    model = build(**ablation)
    for seed in (1, 2):
        check_equations(model, seed, **ablation)


@pytest.mark.backend
def test_persona_scores_pass_a_relu(model):
    """Weights that make every score negative: with the ReLU all profiles count alike."""
    rng = np.random.default_rng(3)
    variables = random_variables(rng, model)
    variables["aggregation_layer/pers_b"] = np.array([-50.0], "float32")
    load_tf1_variables(model, variables)
    inputs = random_inputs(rng)
    logits = np.asarray(model(inputs))
    expected = NumpyDIM(variables, word_table()).logits(inputs)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    variables["aggregation_layer/pers_w"] = variables["aggregation_layer/pers_w"] * 0
    load_tf1_variables(model, variables)
    np.testing.assert_allclose(logits, np.asarray(model(inputs)), rtol=0, atol=1e-5)


@pytest.mark.backend
def test_padding_changes_nothing(model):
    inputs = random_inputs(np.random.default_rng(5))
    logits = np.asarray(model(inputs))
    for name in ("utterances", "responses", "personas"):
        words = inputs[name].shape[-1]
        mask = np.arange(words) < inputs[f"{name}_len"][..., None]
        inputs[name] = inputs[name] * mask
        inputs[f"{name}_char"] = inputs[f"{name}_char"] * mask[..., None]
    assert np.array_equal(logits, np.asarray(model(inputs)))


def test_candidates_are_scored_apart_in_any_number_and_order(model):
    inputs = random_inputs(np.random.default_rng(6))
    logits = np.asarray(model(inputs))
    order = [2, 0, 1, 2, 2]
    for name in ("responses", "responses_char", "responses_len"):
        inputs[name] = inputs[name][:, order]
    np.testing.assert_allclose(np.asarray(model(inputs)), logits[:, order], rtol=1e-6, atol=1e-6)


def test_turns_are_scored_apart(model):
    inputs = random_inputs(np.random.default_rng(7))
    logits = np.asarray(model(inputs))
    for turn in range(len(logits)):
        alone = {name: value[turn : turn + 1] for name, value in inputs.items()}
        np.testing.assert_allclose(np.asarray(model(alone))[0], logits[turn], rtol=1e-6, atol=1e-6)


def test_initial_values():
    config = CONFIG.replace(rnn_units=30, word_dim=40)
    model = build_model("dim", config, np.zeros((9, 40), "float32"))
    values = {v.path: np.asarray(v) for v in model.trainable_variables}
    assert set(values) == set(TF1_NAMES)
    for path, value in values.items():
        if path == "prediction/bias":
            assert value == np.float32(0.1)
        elif path.endswith("bias") and not path.startswith("characters"):
            assert not value.any(), path
        else:  # glorot: for a bias of the CNN too, and for an LSTM's whole kernel at once
            field = np.prod(value.shape[:-2]) if value.ndim > 2 else 1
            fan_in, fan_out = (value.shape * 2)[-2:] if value.ndim == 1 else value.shape[-2:]
            limit = np.sqrt(6 / (field * (fan_in + fan_out)))
            # The limit itself may be drawn, in float32.
            assert 0.8 * limit < np.abs(value).max() <= np.float32(limit), path


def test_weights_file_holds_no_word_vectors(tmp_path, model):
    """The same weights go with other vectors: they belong to the vocabulary."""
    model.save_weights(tmp_path / "a.weights.h5")
    other = build_model("dim", CONFIG, np.ones((5, CONFIG.word_dim), "float32"))
    other.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(np.asarray(other.get_layer("words").vectors), np.ones((5, 7), "float32"))
    for mine, theirs in zip(model.trainable_variables, other.trainable_variables, strict=True):
        assert np.array_equal(np.asarray(mine), np.asarray(theirs))


def test_dropout_is_off_outside_training_and_on_inside(model):
    inputs = random_inputs(np.random.default_rng(8))
    calm, again = np.asarray(model(inputs)), np.asarray(model(inputs, training=False))
    dropped = np.asarray(model(inputs, training=True))
    assert np.array_equal(calm, again)
    assert not np.allclose(calm, dropped)


def test_dropout_has_its_places(model, monkeypatch):
    """Embedded words, encoded, matched and aggregated outputs, joined features, hidden layer."""
    dropped = set()
    real = keras.layers.Dropout.call
    owners = {id(part): layer.name for layer in model.layers for part in layer._flatten_layers()}

    def call(layer, inputs, training=False):
        dropped.add((owners[id(layer)], inputs.shape[-1]))
        return real(layer, inputs, training=training)

    monkeypatch.setattr(keras.layers.Dropout, "call", call)
    model(random_inputs(np.random.default_rng(10)), training=True)
    width = 2 * CONFIG.rnn_units
    assert dropped == {
        ("encoder", CONFIG.word_dim + 150),
        ("encoder", width),
        ("matcher", width),
        ("aggregator", width),
        ("joined_dropout", 8 * width),
        ("prediction", 256),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("aggregation_layer/pers_w"), "pers_w is missing"),
        (
            lambda v: v.update({"aggregation_layer/pers_w": np.zeros((3, 1))}),
            r"found shape \[3, 1\], expected \[16, 1\]",
        ),
        (
            lambda v: v.update({"aggregation_layer/pers_b": np.array([np.nan])}),
            "pers_b holds values that are not finite",
        ),
    ],
)
def test_variables_that_do_not_fit_are_refused_and_nothing_is_set(model, change, message):
    before = model.get_weights()
    variables = random_variables(np.random.default_rng(9), model)
    change(variables)
    with pytest.raises(CheckpointError, match=message):
        load_tf1_variables(model, variables)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_unknown_model_and_vectors_of_another_dimension():
    with pytest.raises(ConfigError, match="did you mean dim"):
        build_model("dmi", CONFIG, np.zeros((9, 7), "float32"))
    with pytest.raises(ConfigError, match=r"found shape \(9, 8\), expected \[V, 7\]"):
        build_model("dim", CONFIG, np.zeros((9, 8), "float32"))
