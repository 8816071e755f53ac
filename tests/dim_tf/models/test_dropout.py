"""DIM drops where the authors do: with the same masks it equals the reference."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from benchmarks.reference_weights import copy_weights, tf1_gradients
from dim_tf.models.reference import build_reference
from dim_tf.models.tf1 import tf1_name
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT
from dim_tf.packing.layout import SOURCES
from dim_tf.packing.packed_sequence import pack_rows
from dim_tf.systems.registry import build_model
from dim_tf.training.losses import masked_cross_entropy
from tests.authors_numbers import TRUE_ZEROS
from tests.random_model import CONFIG, random_inputs, random_variables, room_for, word_table

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes minutes where nothing is compiled"
)

KINDS = (*SOURCES, "responses")  # in the order in which the encoder takes them


def draw_masks(rng, inputs, names) -> dict[str, np.ndarray]:
    """For each point where the authors drop a mask of 0 and 2, in the shape of the reference."""
    units, masks = CONFIG.rnn_units, {}
    batch, candidates, _ = inputs["responses"].shape
    for name in names:
        kind, *rest = name.split("/")
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
        masks[name] = 2.0 * rng.integers(0, 2, shape).astype("float32")
    return masks


def packed_masks(masks, inputs, sizes) -> dict[str, list[np.ndarray]]:
    """The same masks as the packed form needs them: layer -> masks in the order of its calls."""
    batch, candidates, words = inputs["responses"].shape

    def both(name):
        return np.concatenate([masks[f"{name}/forward"], masks[f"{name}/backward"]], axis=-1)

    def flat_index(kind):
        lengths, steps = inputs[f"{kind}_len"].ravel(), inputs[kind].shape[2]
        limits = np.full(lengths.size, steps)
        return pack_rows(lengths, limits, steps, getattr(sizes, kind)).flat_index

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
    limits = np.full(len(lengths), longest)
    packed = pack_rows(lengths, limits, longest, sizes.sentences).flat_index

    def of_sentences(rows):
        rows = np.concatenate(rows)
        return rows.reshape(-1, rows.shape[-1])[packed]

    # The copies of a word are adjacent: those of the candidates...
    matched = []
    for source in SOURCES:
        _, count, steps = inputs[source].shape
        mask = both(f"{source}/matched").reshape(batch, candidates, count * steps, -1)
        mask = mask.swapaxes(1, 2).reshape(batch * count * steps, candidates, -1)
        matched.append(mask[flat_index(source)])
    # ... and of a response's word those that attended to the context and to the persona.
    mask = np.stack([both(f"{source}/responses") for source in SOURCES], axis=2)
    mask = mask.reshape(batch * candidates * words, len(SOURCES), -1)
    matched.append(mask[flat_index("responses")])

    number, count = inputs["utterances_num"], inputs["utterances"].shape[1]
    contexts = pack_rows(number, np.full(batch, count), count, sizes.contexts).flat_index
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
    """Inputs with empty rows, masks, the model, and the results of the reference."""
    rng = np.random.default_rng(1)
    inputs, target = random_inputs(rng), np.ones(4, "int32")
    inputs["responses_len"][:, 1] = 3
    reference = build_reference(CONFIG, word_table())
    dropouts = reference.get_layer("reference").dropouts
    masks = draw_masks(rng, inputs, dropouts)
    packed = build_model("dim", CONFIG.replace(dropout=0.5), word_table())
    variables = random_variables(rng, packed, 0.3)
    variables["aggregation_layer/pers_b"] = np.ones(1)
    for variable in packed.trainable_variables:
        variable.assign(variables[tf1_name(variable)])
    copy_weights(packed, reference)
    names = {id(layer): name for name, layer in dropouts.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.layers.Dropout, "call", lambda layer, x, training: x * masks[names[id(layer)]]
        )
        loss, gradients = loss_and_gradients(reference, lambda: reference(inputs), inputs, target)
    return inputs, target, masks, packed, loss, tf1_gradients(reference, gradients)


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "fixed"])
def test_the_same_masks_give_the_same_loss_and_gradients(case, monkeypatch, fill):
    inputs, target, masks, packed, expected_loss, expected = case
    sizes = room_for(inputs) if fill else EXACT
    left, layers = packed_masks(masks, inputs, sizes), dropout_layers(packed)

    def dropped(layer, values, training=False):
        assert training
        mask = left[layers[id(layer)]].pop(0)
        assert mask.shape == tuple(values.shape)
        return values * mask

    monkeypatch.setattr(keras.layers.Dropout, "call", dropped)
    batch = pack(inputs, packed.sources, sizes)
    loss, gradients = loss_and_gradients(
        packed, lambda: packed.forward(batch, training=True), inputs, target
    )
    assert not any(left.values())
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    for variable, gradient in zip(packed.trainable_variables, gradients, strict=True):
        name = tf1_name(variable)
        if name not in TRUE_ZEROS:
            bound = 1e-4 * np.abs(expected[name]).max()
            assert bound > 0
            np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=bound, err_msg=name)
