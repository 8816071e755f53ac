"""DIM against numbers that the authors' own graph computed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.metrics import cross_entropy
from dim_tf.models import build_model
from dim_tf.steps import Scorer, TrainingStep, adam, value_and_gradients
from dim_tf.tf1 import load_tf1_variables, tf1_name

pytestmark = pytest.mark.backend

SIZES = {
    "max_utterances": "max_utter_num",
    "max_utterance_len": "max_utter_len",
    "max_candidates": "max_response_num",
    "max_response_len": "max_response_len",
    "max_profiles": "max_persona_num",
    "max_profile_len": "max_persona_len",
    "max_word_len": "max_word_length",
    "word_dim": "embedding_dim",
    "rnn_units": "rnn_size",
    "char_vocab_size": "char_vocab",
}
# These two cancel out of the softmaxes: their gradients are rounding noise around a true zero.
TRUE_ZEROS = {"prediction_layer/bias", "aggregation_layer/pers_b"}

# A tensor of the authors' graph -> the layer and output of ours that is the same, but for axes that
# are folded together there. What the packed form never makes (padded outputs of a BiLSTM, the
# four-fold enhanced vectors) has no counterpart.
INTERMEDIATE = {
    "responses_output": ("encoder", 0),
    "utterances_output": ("encoder", 1),
    "personas_output": ("encoder", 2),
    "final_utterances": ("matcher", 0),
    "aggregated_responses_ur": ("matcher", 1),
    "final_personas": ("matcher", 2),
    "aggregated_responses_pr": ("matcher", 3),
    "aggregated_utterances": ("aggregator", 0),
    "aggregated_personas": ("persona_pooling", 0),
    "joined_feature": ("joined_dropout", 0),
}


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/dim_tf1_small.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def part(golden, prefix):
    return {
        name.removeprefix(prefix): value
        for name, value in golden.items()
        if name.startswith(prefix) and name != "in/target"
    }


@pytest.fixture
def model(golden):
    sizes = {ours: int(golden[f"cfg/{theirs}"]) for ours, theirs in SIZES.items()}
    model = build_model("dim", ModelConfig(**sizes), golden["table/word"])
    load_tf1_variables(model, part(golden, "var/"))
    return model


def test_the_variables_are_the_authors(golden, model):
    assert {tf1_name(v) for v in model.trainable_variables} == set(golden["var_names"].tolist())
    assert len(model.trainable_variables) == 24


def test_logits(golden, model):
    logits = np.asarray(model(part(golden, "in/"), training=False))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, golden["out/logits"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("half", "letter"), [("utterances", "u"), ("personas", "p")])
def test_what_is_seen(golden, model, half, letter):
    """Weights @ words, the words of the others side by side; the authors' are padded."""
    inputs = part(golden, "in/")
    outputs = [model.get_layer("encoder").output[0], *model.get_layer(f"{half}_attention").output]
    responses, words, to_responses, to_others, of_places = (
        np.asarray(tensor) for tensor in keras.Model(model.inputs, outputs)(inputs)
    )
    by_responses = to_others @ words[:, None]  # [B, C, R, D]
    expected = golden[f"mid/attended_responses_output_{letter}r"]
    np.testing.assert_allclose(by_responses, expected, rtol=0, atol=1e-5)

    by_others = to_responses @ responses  # [B, C, X, D]
    expected = golden[f"mid/attended_{half}_output_{letter}r"]  # [B, C, N*T, D]
    similarity = golden[f"mid/similarity_matrix_{letter.upper()}R"]  # [B, C, R, N*T]
    for turn, lengths in enumerate(inputs[f"{half}_len"]):
        there = (np.arange(inputs[half].shape[2]) < lengths[:, None]).ravel()
        found = by_others[turn, :, : there.sum()]
        np.testing.assert_allclose(found, expected[turn][:, there], rtol=0, atol=1e-5)
        powers = np.exp(similarity[turn][..., there])
        weights = powers / powers.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(of_places[turn][..., there], weights, rtol=0, atol=1e-5)
        assert not of_places[turn][..., ~there].any()


def test_intermediate_tensors(golden, model):
    tensors = {}
    for name, (layer, index) in INTERMEDIATE.items():
        tensors[name] = keras.tree.flatten(model.get_layer(layer).output)[index]
    found = keras.Model(model.inputs, tensors)(part(golden, "in/"), training=False)
    for name, tensor in found.items():
        expected = golden[f"mid/{name}"]
        np.testing.assert_allclose(
            np.asarray(tensor).reshape(expected.shape), expected, rtol=0, atol=1e-5, err_msg=name
        )


def test_gradients(golden, model):
    inputs = part(golden, "in/")
    loss, gradients = value_and_gradients(model, inputs, golden["in/target"])
    assert abs(loss - golden["out/mean_loss"]) < 1e-6
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        name = tf1_name(variable)
        if name in TRUE_ZEROS:
            continue
        expected = golden[f"grad/{name}"]
        bound = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=bound, err_msg=name)


def test_ten_updates_of_adam(golden, model):
    """Each compiled update against a step of a NumPy Adam fed with the model's own gradients."""
    inputs, target = part(golden, "in/"), golden["in/target"].astype("int32")
    config = TrainingConfig(decay_steps=4)
    model = build_without_dropout(model, golden)
    variables = model.trainable_variables
    step, scorer = TrainingStep(model, adam(config), seed=1), Scorer(model)
    first = second = [0.0] * len(variables)
    losses, expected = [], []
    for update in range(1, 11):
        before = [np.asarray(v).copy() for v in variables]
        loss, gradients = value_and_gradients(model, inputs, target)
        losses.append(loss)
        assert float(step.update(update, inputs, target)[0]) == pytest.approx(loss, abs=1e-6)

        rate = 1e-3 * 0.96 ** ((update - 1) // 4)
        rate *= np.sqrt(1 - 0.999**update) / (1 - 0.9**update)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * m + 0.001 * g**2 for m, g in zip(second, gradients, strict=True)]
        after = [np.asarray(v).copy() for v in variables]
        for variable, value, m, v in zip(variables, before, first, second, strict=True):
            variable.assign((value - rate * m / (np.sqrt(v) + 1e-8)).astype("float32"))
        expected.append(cross_entropy(scorer(inputs), target, inputs["responses_len"] > 0))
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)
    losses.append(cross_entropy(scorer(inputs), target, inputs["responses_len"] > 0))
    assert losses[-1] < losses[0] - 0.1
    np.testing.assert_allclose(losses[1:], expected, rtol=0, atol=1e-5)


def build_without_dropout(model, golden):
    """The same weights in a model that can be trained at keep probability 1."""
    sizes = {ours: int(golden[f"cfg/{theirs}"]) for ours, theirs in SIZES.items()}
    config = ModelConfig(**sizes, dropout=0.0)
    undropped = build_model("dim", config, golden["table/word"])
    load_tf1_variables(undropped, {tf1_name(v): np.asarray(v) for v in model.trainable_variables})
    return undropped
