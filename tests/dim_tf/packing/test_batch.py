"""Packed batches: nothing is lost, and all forms of a model give the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf.models.tf1 import load_tf1_variables, tf1_name
from dim_tf.packing import batch as batch_module
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, BucketShape
from dim_tf.packing.layout import SOURCES
from dim_tf.packing.packed_sequence import pack_rows
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests.authors_numbers import TRUE_ZEROS
from tests.gradients import value_and_gradients
from tests.random_model import (
    CONFIG,
    KINDS,
    random_inputs,
    random_variables,
    room_for,
    word_table,
)

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def mask_of(inputs, kind):
    """True for words, [B, N, T]."""
    return np.arange(inputs[kind].shape[2]) < inputs[f"{kind}_len"][..., None]


def unpacked(batch, encoded):
    """Ids and characters of encoded words."""
    words = batch.sentences.word_index[encoded]
    return batch.sentences.words[words], batch.sentences.characters[words]


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "filled"])
def test_every_word_is_listed_once_and_none_is_lost(fill):
    inputs = random_inputs(np.random.default_rng(1))
    for kind in KINDS:  # the same word in all of them
        inputs[kind][0, 0, 0] = 5
        inputs[f"{kind}_char"][0, 0, 0] = 2
        inputs[f"{kind}_len"][0, 0] = 2
    batch = pack(inputs, bucket=room_for(inputs) if fill else EXACT)
    for kind in KINDS:
        layout, mask = getattr(batch, kind), mask_of(inputs, kind)
        words, characters = unpacked(batch, layout.grid)
        filled = layout.grid_mask > 0
        assert np.array_equal(words[filled], inputs[kind][mask])
        assert np.array_equal(characters[filled], inputs[f"{kind}_char"][mask])
        assert layout.grid_mask.dtype == np.float32
    sentences = batch.sentences
    used = np.unique(sentences.word_index[sentences.rows.mask > 0])
    listed = np.concatenate([sentences.words[:, None], sentences.characters], axis=1)[used]
    assert len(np.unique(listed, axis=0)) == len(listed)
    assert sum(np.array_equal(row, [5, *[2] * CONFIG.max_word_len]) for row in listed) == 1


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "filled"])
def test_words_are_packed_for_matching_in_the_order_of_their_rows(fill):
    inputs = random_inputs(np.random.default_rng(2))
    sizes = room_for(inputs) if fill else EXACT
    batch = pack(inputs, bucket=sizes)
    for kind in KINDS:
        layout, (_, count, steps) = getattr(batch, kind), inputs[kind].shape
        lengths = inputs[f"{kind}_len"].ravel()
        rows = pack_rows(lengths, np.full(lengths.size, steps), steps, getattr(sizes, kind))
        for name in ("batch_sizes", "mask", "last_index", "is_padded"):
            assert np.array_equal(getattr(layout.rows, name), getattr(rows, name))
        assert np.array_equal(
            layout.rows.unsorted_indices, rows.unsorted_indices.reshape(-1, count)
        )
        mask, cells = rows.mask > 0, layout.rows.flat_index
        words, _ = unpacked(batch, layout.grid.ravel()[cells])
        assert np.array_equal(words[mask], inputs[kind].ravel()[rows.flat_index][mask])
        assert np.array_equal(layout.packed_index.ravel()[cells][mask], np.flatnonzero(mask))
    number, limit = inputs["utterances_num"], inputs["utterances"].shape[1]
    contexts = pack_rows(number, np.full(len(number), limit), limit, sizes.contexts)
    for found, values in zip(
        keras.tree.flatten(batch.contexts), keras.tree.flatten(contexts), strict=True
    ):
        assert np.array_equal(found, values)


def test_padding_is_not_listed():
    inputs = random_inputs(np.random.default_rng(3))
    expected = pack(inputs)
    for kind in KINDS:
        past = ~mask_of(inputs, kind)
        inputs[kind][past] = 8
        inputs[f"{kind}_char"][past] = 1
    found = pack(inputs)
    assert np.array_equal(found.sentences.words, expected.sentences.words)
    assert np.array_equal(found.sentences.characters, expected.sentences.characters)


def test_words_that_differ_in_one_character_stay_apart():
    inputs = {kind: np.full((1, 1, 2), 7) for kind in KINDS}
    inputs |= {f"{kind}_char": np.zeros((1, 1, 2, 5), int) for kind in KINDS}
    inputs |= {f"{kind}_len": np.array([[2]]) for kind in KINDS}
    inputs |= {f"{half}_num": np.array([1]) for half in SOURCES}
    inputs["personas_char"][0, 0, 1, 4] = 1
    batch = pack(inputs)
    assert len(batch.sentences.words) == 2
    words = batch.sentences.word_index
    first, second = batch.personas.grid[0]
    assert words[first] != words[second]
    assert words[first] == words[batch.responses.grid[0, 0, 1]]


def test_words_may_be_long():
    sizes = CONFIG.replace(max_word_len=150)
    inputs = random_inputs(np.random.default_rng(2), sizes)
    sentences = pack(inputs).sentences
    assert sentences.characters.shape == (len(sentences.words), 150)
    short = pack({n: v[..., :6] if n.endswith("_char") else v for n, v in inputs.items()})
    assert len(short.sentences.words) <= len(sentences.words)


def test_a_collision_of_hashes_is_noticed(monkeypatch):
    inputs = random_inputs(np.random.default_rng(2))
    expected = pack(inputs)
    monkeypatch.setattr(batch_module, "_multipliers", lambda count: np.zeros(count, np.uint64))
    found = pack(inputs)
    assert len(found.sentences.words) == len(expected.sentences.words)
    for kind in KINDS:
        pairs = zip(
            unpacked(found, getattr(found, kind).grid),
            unpacked(expected, getattr(expected, kind).grid),
            strict=True,
        )
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_batch_is_filled_up_to_its_sizes():
    inputs = random_inputs(np.random.default_rng(3))
    exact, sizes = pack(inputs), room_for(inputs)
    filled = pack(inputs, bucket=sizes)
    assert sizes.covers(BucketShape.of(exact))
    assert BucketShape.of(filled) == sizes
    assert len(filled.sentences.characters) == len(filled.sentences.words)
    leaves, expected = keras.tree.flatten_with_path(filled), keras.tree.flatten_with_path(exact)
    for (path, values), (expected_path, needed) in zip(leaves, expected, strict=True):
        assert path == expected_path
        if path[-1] in ("mask", "grid_mask"):
            assert values.sum() == needed.sum()


@pytest.mark.parametrize("sources", [["utterances"], ["personas"]])
def test_a_source_that_is_left_out_is_not_in_the_batch(sources):
    inputs = random_inputs(np.random.default_rng(4))
    batch = pack(inputs, sources)
    kinds = ("responses", *sources)
    assert {kind for kind in KINDS if getattr(batch, kind) is not None} == set(kinds)
    assert (batch.contexts is not None) == ("utterances" in sources)
    words = sum(inputs[f"{kind}_len"].sum() for kind in kinds)
    assert batch.sentences.rows.mask.sum() == words


def build(config, rng):
    model = build_model("dim", config, word_table())
    # Logits so large that all counts, so small that float32 holds them to 1e-6.
    variables = random_variables(rng, model, 0.25)
    if config.use_persona:  # not all scores are to fall to the ReLU
        variables["aggregation_layer/pers_b"] = np.ones(1)
    load_tf1_variables(model, variables)
    return model


def padded(model):
    """The same model, called padded whatever its inputs are."""
    return keras.Model(model.inputs, model.output)


@pytest.fixture(scope="module")
def model():
    return build(CONFIG, np.random.default_rng(4))


@pytest.mark.backend
def test_all_forms_give_the_same_logits(model):
    """A public call; packed exactly or to a bucket; padded, as traced programs are."""
    rng = np.random.default_rng(5)
    inputs, *others = (random_inputs(rng) for _ in range(4))
    logits = {"public": np.asarray(model(inputs, training=False)), "scorer": Scorer(model)(inputs)}
    if ON_TENSORFLOW:
        import tensorflow as tf

        for name, sizes in (("exact", EXACT), ("fixed", room_for(inputs))):
            logits[name] = model.forward(pack(inputs, bucket=sizes))
        logits["traced"] = tf.function(model)(
            {name: tf.constant(value) for name, value in inputs.items()}
        )
    else:
        logits["bucket"] = Scorer(model, samples=[inputs, *others])(inputs)
    assert np.ptp(logits["public"]) > 0.1
    for name, found in logits.items():
        np.testing.assert_allclose(
            np.asarray(found), logits["public"], rtol=0, atol=1e-6, err_msg=name
        )


@pytest.mark.skipif(not ON_TENSORFLOW, reason="does not depend on the backend")
@pytest.mark.parametrize("ablation", ["use_persona", "use_context"])
def test_all_forms_of_an_ablation_give_the_same_logits(ablation):
    rng = np.random.default_rng(6)
    model = build(CONFIG.replace(**{ablation: False}), rng)
    inputs = random_inputs(rng)
    logits = np.asarray(model(inputs))
    np.testing.assert_allclose(padded(model)(inputs), logits, rtol=0, atol=1e-6)
    found = model.forward(pack(inputs, model.sources, room_for(inputs, model.sources)))
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-6)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exact layouts are TensorFlow's")
def test_all_forms_give_the_same_gradients(model):
    """Those of exact layouts are written by hand; on JAX see `test_golden`."""
    rng = np.random.default_rng(7)
    inputs, target = random_inputs(rng), np.ones(4, "int32")
    inputs["responses_len"][:, 1] = 3
    loss, gradients = value_and_gradients(model, inputs, target)
    padded_loss, expected = value_and_gradients(model, inputs, target, padded=True)
    assert padded_loss == pytest.approx(loss, abs=1e-6)
    assert len(gradients) == 24
    for variable, gradient, wanted in zip(
        model.trainable_variables, gradients, expected, strict=True
    ):
        if tf1_name(variable) not in TRUE_ZEROS:
            bound = 1e-4 * np.abs(wanted).max()
            assert bound > 0
            np.testing.assert_allclose(gradient, wanted, rtol=0, atol=bound, err_msg=variable.path)
