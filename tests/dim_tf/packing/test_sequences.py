"""Sentences in the grid of attention, and packed for matching."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, largest_shape
from dim_tf.packing.layout import SOURCES
from dim_tf.packing.packed_sequence import PackedSentences, permute
from tests.random_model import KINDS, random_inputs

INPUTS = random_inputs(np.random.default_rng(1))
LARGEST = largest_shape({name: value.shape for name, value in INPUTS.items()}, SOURCES)
CANDIDATES = INPUTS["responses"].shape[1]


@pytest.fixture(scope="module", params=["exact", "largest"])
def packed(request):
    """A batch, exact or filled."""
    return pack(INPUTS, SOURCES, EXACT if request.param == "exact" else LARGEST)


def sentences_of(packed, kind, copies):
    """The layout of one kind of sentences, and what packs them."""
    layout = getattr(packed, kind)
    return layout, PackedSentences(layout, copies)


def random_tensor(*shape):
    return np.random.default_rng(2).normal(size=shape).astype("float32")


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_words_are_gathered_into_the_grid_and_packed_again(packed, kind):
    layout, sentences = sentences_of(packed, kind, None)
    encoded = random_tensor(len(packed.sentences.word_index), 3)
    grid = np.asarray(sentences.to_grid(ops.convert_to_tensor(encoded)))
    assert grid.shape == (*layout.grid.shape, 3)
    mask = layout.rows.mask > 0
    assert mask.sum() == layout.grid_mask.sum() == INPUTS[f"{kind}_len"].sum()
    back = np.asarray(sentences.pack(ops.convert_to_tensor(grid)))
    words = np.asarray(sentences.word_index)
    assert np.array_equal(back[mask], encoded[words[mask]])
    assert len(set(words[mask])) == mask.sum()


@pytest.mark.backend
@pytest.mark.parametrize("kind", SOURCES)
def test_the_copies_of_a_word_are_adjacent(packed, kind):
    layout, sentences = sentences_of(packed, kind, CANDIDATES)
    batch, size = layout.grid.shape
    grid = random_tensor(batch, CANDIDATES, size, 3)
    found = np.asarray(sentences.pack_copies(ops.convert_to_tensor(grid)))
    assert found.shape == (len(layout.rows.flat_index), CANDIDATES, 3)
    for word, cell in enumerate(layout.rows.flat_index):
        assert np.array_equal(found[word], grid[cell // size, :, cell % size])


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_permutation_is_that_of_a_gather(packed, kind):
    """In the cells with words; in empty cells it is undefined."""
    layout, sentences = sentences_of(packed, kind, None)
    grid = random_tensor(*layout.grid.shape, 2)
    weights = random_tensor(len(layout.rows.flat_index), 2) * layout.rows.mask[:, None]

    def taken(grid):
        return ops.take(ops.reshape(grid, (-1, 2)), layout.rows.flat_index, axis=0)

    found, expected = gradient(sentences.pack, grid, weights), gradient(taken, grid, weights)
    mask = layout.grid_mask > 0
    assert np.array_equal(found[mask], expected[mask])
    assert not expected[~mask].any()


@pytest.mark.backend
@pytest.mark.parametrize("kind", SOURCES)
def test_the_gradient_of_copies_is_that_of_a_gather(packed, kind):
    layout, sentences = sentences_of(packed, kind, CANDIDATES)
    batch, size = layout.grid.shape
    grid = random_tensor(batch, CANDIDATES, size, 2)
    weights = (
        random_tensor(len(layout.rows.flat_index), CANDIDATES, 2) * layout.rows.mask[:, None, None]
    )
    found = gradient(sentences.pack_copies, grid, weights)
    expected = np.zeros_like(grid)
    for word in np.flatnonzero(layout.rows.mask):
        turn, cell = divmod(layout.rows.flat_index[word], size)
        expected[turn, :, cell] += weights[word]
    mask = np.broadcast_to(layout.grid_mask[:, None] > 0, found.shape[:-1])
    assert np.array_equal(found[mask], expected[mask])


@pytest.mark.backend
def test_a_permutation_and_its_inverse():
    rows, order = random_tensor(5, 2), np.array([3, 0, 4, 1, 2], "int32")
    inverse, weights = np.argsort(order).astype("int32"), random_tensor(5, 2) ** 2
    assert np.array_equal(np.asarray(permute(rows, order, inverse)), rows[order])
    found = gradient(lambda rows: permute(rows, order, inverse), rows, weights)
    assert np.array_equal(found, weights[inverse])


def gradient(function, value, weights):
    """The gradient of the sum of function(value) * weights, by the backend."""

    def total(value):
        return ops.sum(function(value) * weights)

    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(total)(value))
    import tensorflow as tf

    value = tf.constant(value)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = total(value)
    return np.asarray(tape.gradient(result, value))
