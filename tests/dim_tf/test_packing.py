"""Packed sequences against plain loops over padded rows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.packing import Packing

pytestmark = pytest.mark.backend

LENGTHS = np.array([2, 0, 3, 1, 3, 0], "int32")
STEPS = 3
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def make(live):
    """A packing that counts for itself, or with given counts."""
    return Packing(ops.convert_to_tensor(LENGTHS), STEPS, live)


# None: exact on TensorFlow, every row at every step elsewhere; then exact and rounded-up counts.
@pytest.fixture(params=[None, (4, 3, 2), (5, 5, 2)], ids=["own", "exact", "rounded"])
def packing(request):
    return make(request.param)


def steps_of(packing, padded):
    """The words of padded rows [N, T, F] step by step, as the packing orders them."""
    return [
        ops.take(ops.convert_to_tensor(padded[:, step]), packing.rows(step), axis=0)
        for step in range(STEPS)
    ]


def test_live_rows_are_those_that_are_long_enough(packing):
    for step in range(STEPS):
        rows = np.asarray(packing.rows(step))
        there = LENGTHS[rows] > step
        assert sorted(rows[there]) == sorted(np.flatnonzero(step < LENGTHS))
        assert np.array_equal(np.asarray(packing.mask(step))[:, 0], there)
        assert not there[np.argmin(there) :].any() or there.all()  # the live ones stand first


def test_unpack_brings_words_back_and_fills_with_zeros(packing):
    padded = np.random.default_rng(1).normal(size=(len(LENGTHS), STEPS, 4)).astype("float32")
    packed = ops.concatenate(steps_of(packing, padded), axis=0)
    whole, first = packing.unpack(packed, [(2, 2, 3), (2, 2)])
    expected = padded * (np.arange(STEPS) < LENGTHS[:, None])[..., None]
    assert np.array_equal(np.asarray(whole), expected[:4].reshape(2, 2, 3, 4))
    assert np.array_equal(np.asarray(first), expected[4:, :2])


def test_restore_brings_rows_back_and_leaves_empty_ones_zero(packing):
    vectors = np.random.default_rng(2).normal(size=(len(LENGTHS), 4)).astype("float32")
    taken = ops.take(ops.convert_to_tensor(vectors), packing.rows(0), axis=0)
    first, second = packing.restore(taken, [(2, 1), (4,)])
    expected = vectors * (LENGTHS > 0)[:, None]
    assert np.array_equal(np.asarray(first), expected[:2].reshape(2, 1, 4))
    assert np.array_equal(np.asarray(second), expected[2:])


def test_maximum_sees_the_padding_only_where_there_is_some(packing):
    padded = -1 - np.random.default_rng(3).random((len(LENGTHS), STEPS, 4)).astype("float32")
    padding = LENGTHS < STEPS
    floor = ops.take(np.where(padding, 0.0, -1e30).astype("float32"), packing.order)
    found = packing.maximum(steps_of(packing, padded), floor)
    found = np.asarray(packing.restore(found, [(len(LENGTHS),)])[0])
    for row, length in enumerate(LENGTHS):
        words = padded[row, :length]
        expected = words.max(axis=0, initial=0.0 if padding[row] else -np.inf)
        assert np.array_equal(found[row], expected if length else np.zeros(4)), row


@pytest.mark.skipif(not ON_TENSORFLOW, reason="counts inside the graph are TensorFlow's")
def test_exact_counts_need_no_mask():
    packing = make(None)
    assert packing.exact
    assert [int(live) for live in packing.live] == [4, 3, 2]
    assert not make((4, 3, 2)).exact
