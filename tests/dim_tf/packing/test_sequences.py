"""Sentences in the grid of attention, and packed again."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.models.inputs import KINDS
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import Sizes, largest
from dim_tf.packing.packed_sequence import Sequences, permute
from tests.random_model import random_inputs

HALVES = ("utterances", "personas")
INPUTS = random_inputs(np.random.default_rng(1))
ALL = largest({name: value.shape for name, value in INPUTS.items()}, HALVES)
CANDIDATES = INPUTS["responses"].shape[1]


@pytest.fixture(scope="module", params=["exact", "largest"])
def packed(request):
    """A batch and its sizes."""
    batch = pack(INPUTS, HALVES, None if request.param == "exact" else ALL)
    return batch, Sizes.of(batch)


def sequences_of(packed, kind, copies):
    batch, sizes = packed
    return batch[kind], Sequences(batch[kind], getattr(sizes, kind), copies)


def random_tensor(*shape):
    return np.random.default_rng(2).normal(size=shape).astype("float32")


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_words_go_to_the_grid_and_come_back(packed, kind):
    plan, sequences = sequences_of(packed, kind, None)
    encoded = random_tensor(len(packed[0]["encoder"]["there"]), 3)
    grid = np.asarray(sequences.grid_of(ops.convert_to_tensor(encoded)))
    assert grid.shape == (*plan["grid"].shape, 3)
    there = plan["there"] > 0
    assert there.sum() == plan["mask"].sum() == INPUTS[f"{kind}_len"].sum()
    back = np.asarray(sequences.packed(ops.convert_to_tensor(grid)))
    words = np.asarray(sequences.words)
    assert np.array_equal(back[there], encoded[words[there]])
    assert len(set(words[there])) == there.sum()


@pytest.mark.backend
@pytest.mark.parametrize("kind", HALVES)
def test_the_copies_of_a_word_lie_side_by_side(packed, kind):
    plan, sequences = sequences_of(packed, kind, CANDIDATES)
    batch, size = plan["grid"].shape
    grid = random_tensor(batch, CANDIDATES, size, 3)
    found = np.asarray(sequences.packed_copies(ops.convert_to_tensor(grid)))
    assert found.shape == (len(plan["places"]), CANDIDATES, 3)
    for word, place in enumerate(plan["places"]):
        assert np.array_equal(found[word], grid[place // size, :, place % size])


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_permutation_is_that_of_a_gather(packed, kind):
    """At the places of words: of the others it is of no meaning."""
    plan, sequences = sequences_of(packed, kind, None)
    grid = random_tensor(*plan["grid"].shape, 2)
    weights = random_tensor(len(plan["places"]), 2) * plan["there"][:, None]

    def taken(grid):
        return ops.take(ops.reshape(grid, (-1, 2)), plan["places"], axis=0)

    found, expected = gradient(sequences.packed, grid, weights), gradient(taken, grid, weights)
    there = plan["mask"] > 0
    assert np.array_equal(found[there], expected[there])
    assert not expected[~there].any()


@pytest.mark.backend
@pytest.mark.parametrize("kind", HALVES)
def test_the_gradient_of_copies_is_that_of_a_gather(packed, kind):
    plan, sequences = sequences_of(packed, kind, CANDIDATES)
    batch, size = plan["grid"].shape
    grid = random_tensor(batch, CANDIDATES, size, 2)
    weights = random_tensor(len(plan["places"]), CANDIDATES, 2) * plan["there"][:, None, None]
    found = gradient(sequences.packed_copies, grid, weights)
    expected = np.zeros_like(grid)
    for word in np.flatnonzero(plan["there"]):
        turn, place = divmod(plan["places"][word], size)
        expected[turn, :, place] += weights[word]
    there = np.broadcast_to(plan["mask"][:, None] > 0, found.shape[:-1])
    assert np.array_equal(found[there], expected[there])


@pytest.mark.backend
def test_a_permutation_and_its_inverse():
    rows, order = random_tensor(5, 2), np.array([3, 0, 4, 1, 2], "int32")
    inverse, weights = np.argsort(order).astype("int32"), random_tensor(5, 2) ** 2
    assert np.array_equal(np.asarray(permute(rows, order, inverse)), rows[order])
    found = gradient(lambda rows: permute(rows, order, inverse), rows, weights)
    assert np.array_equal(found, weights[inverse])


def gradient(function, value, weights):
    """Of the sum of function(value) * weights, by the backend."""

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
