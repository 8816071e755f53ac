"""DIM drops where the authors do: with the same masks it gives what the plain model gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from benchmarks.plain_weights import copy_weights, tf1_gradients
from dim_tf.models.reference import build_plain, dropout_places
from dim_tf.models.tf1 import tf1_name
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT
from dim_tf.packing.packed_sequence import pack_rows
from dim_tf.systems.registry import build_model
from dim_tf.training.losses import masked_cross_entropy
from tests.authors_numbers import TRUE_ZEROS
from tests.random_model import CONFIG, random_inputs, random_variables, room_for, word_table

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes minutes where nothing is compiled"
)

HALVES = ("utterances", "personas")
KINDS = (*HALVES, "responses")  # in the order in which the encoder takes them


def draw_masks(rng, inputs) -> dict[str, np.ndarray]:
    """Of each place where the authors drop a mask of 0 and 2, in the shape of the plain model."""
    units, masks = CONFIG.rnn_units, {}
    batch, candidates, _ = inputs["responses"].shape
    for place in dropout_places(CONFIG):
        kind, *rest = place.split("/")
        if not rest:  # joined, hidden
            shape = (batch, candidates, 16 * units if kind == "joined" else 256)
        else:
            _, count, steps = inputs[kind].shape
            shape = {
                "embedded": (batch, count, steps, CONFIG.word_dim + 150),
                "encoded": (batch * count, steps, units),
                "matched": (batch * candidates * count, steps, units),
                "responses": (batch * candidates, inputs["responses"].shape[2], units),
                "aggregated": (batch * candidates, count, units),
            }[rest[0]]
        masks[place] = 2.0 * rng.integers(0, 2, shape).astype("float32")
    return masks


def packed_masks(masks, inputs, sizes) -> dict[str, list[np.ndarray]]:
    """The same masks as the packed form needs them: layer -> masks in the order of its calls."""
    batch, candidates, words = inputs["responses"].shape

    def both(place):
        return np.concatenate([masks[f"{place}/forward"], masks[f"{place}/backward"]], axis=-1)

    def places_of(kind):
        lengths, steps = inputs[f"{kind}_len"].ravel(), inputs[kind].shape[2]
        live = getattr(sizes, kind)
        return pack_rows(lengths, np.full(lengths.size, steps), steps, live)["places"]

    # All sentences one below the other, padded to the longest.
    longest = max(inputs[kind].shape[2] for kind in KINDS)
    embedded, encoded, lengths = [], [], []
    for kind in KINDS:
        missing = longest - inputs[kind].shape[2]
        for rows, mask in (
            (embedded, masks[f"{kind}/embedded"]),
            (encoded, both(f"{kind}/encoded")),
        ):
            mask = mask.reshape(-1, *mask.shape[-2:])
            rows.append(np.pad(mask, ((0, 0), (0, missing), (0, 0))))
        lengths.append(inputs[f"{kind}_len"].ravel())
    lengths = np.concatenate(lengths)
    places = pack_rows(lengths, np.full(len(lengths), longest), longest, sizes.encoder)["places"]

    def of_sentences(rows):
        rows = np.concatenate(rows)
        return rows.reshape(-1, rows.shape[-1])[places]

    # The copies of a word side by side: those of the candidates...
    matched = []
    for half in HALVES:
        _, count, steps = inputs[half].shape
        mask = both(f"{half}/matched").reshape(batch, candidates, count * steps, -1)
        mask = mask.swapaxes(1, 2).reshape(batch * count * steps, candidates, -1)
        matched.append(mask[places_of(half)])
    # ... and of a response's words those that saw the context and the persona.
    mask = np.stack([both(f"{half}/responses") for half in HALVES], axis=2)
    mask = mask.reshape(batch * candidates * words, len(HALVES), -1)
    matched.append(mask[places_of("responses")])

    number, count = inputs["utterances_num"], inputs["utterances"].shape[1]
    contexts = pack_rows(number, np.full(batch, count), count, sizes.contexts)["places"]
    mask = both("utterances/aggregated").reshape(batch, candidates, count, -1)
    aggregated = mask.swapaxes(1, 2).reshape(batch * count, candidates, -1)[contexts]

    return {
        "encoder.input_dropout": [of_sentences(embedded)],
        "encoder.output_dropout": [of_sentences(encoded)],
        "matcher.output_dropout": [_as_rows(mask) for mask in matched],
        "aggregator.output_dropout": [_as_rows(aggregated)],
        "joined_dropout": [masks["joined"]],
        "prediction.dropout": [masks["hidden"]],
    }


def _as_rows(mask):
    return mask.reshape(-1, mask.shape[-1])


def dropout_layers(model) -> dict[int, str]:
    names = ("encoder.input_dropout", "joined_dropout", "prediction.dropout")
    names += tuple(f"{name}.output_dropout" for name in ("encoder", "matcher", "aggregator"))
    found = {}
    for name in names:
        layer, _, attribute = name.partition(".")
        layer = model.get_layer(layer)
        found[id(getattr(layer, attribute) if attribute else layer)] = name
    return found


def loss_and_gradients(model, call, inputs, target):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = masked_cross_entropy(target, call(), inputs["responses_len"] > 0)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return float(loss), [np.asarray(gradient) for gradient in gradients]


@pytest.fixture(scope="module")
def case():
    """Inputs with empty rows, masks, the model, and what the plain model makes of them."""
    rng = np.random.default_rng(1)
    inputs, target = random_inputs(rng), np.ones(4, "int32")
    inputs["responses_len"][:, 1] = 3
    masks = draw_masks(rng, inputs)
    fast = build_model("dim", CONFIG.replace(dropout=0.5), word_table())
    variables = random_variables(rng, fast, 0.3)
    variables["aggregation_layer/pers_b"] = np.ones(1)
    for variable in fast.trainable_variables:
        variable.assign(variables[tf1_name(variable)])
    plain = build_plain(CONFIG, word_table(), lambda x, place: x * masks[place])
    copy_weights(fast, plain)
    loss, gradients = loss_and_gradients(plain, lambda: plain(inputs), inputs, target)
    return inputs, target, masks, fast, loss, tf1_gradients(plain, gradients)


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "fixed"])
def test_the_same_masks_give_the_same_loss_and_gradients(case, monkeypatch, fill):
    inputs, target, masks, fast, expected_loss, expected = case
    sizes = room_for(inputs) if fill else EXACT
    left, layers = packed_masks(masks, inputs, sizes), dropout_layers(fast)

    def dropped(layer, values, training=False):
        assert training
        mask = left[layers[id(layer)]].pop(0)
        assert mask.shape == tuple(values.shape)
        return values * mask

    monkeypatch.setattr(keras.layers.Dropout, "call", dropped)
    batch = pack(inputs, fast.halves, sizes)
    loss, gradients = loss_and_gradients(
        fast, lambda: fast.packed(batch, sizes, training=True), inputs, target
    )
    assert not any(left.values())
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    for variable, gradient in zip(fast.trainable_variables, gradients, strict=True):
        name = tf1_name(variable)
        if name not in TRUE_ZEROS:
            bound = 1e-4 * np.abs(expected[name]).max()
            assert bound > 0
            np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=bound, err_msg=name)
