"""Packed sequences against plain loops over padded rows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.packing.packed_sequence import Packing, pack_rows
from tests.packed_rows import (
    EXACT_LIVE,
    LENGTHS,
    LIMITS,
    LIVE,
    MODES,
    ROWS,
    STEPS,
    make,
    on_tensorflow,
    packed_of,
)

SIZE = 4


def random_words(copies=None):
    shape = (ROWS, STEPS, SIZE) if copies is None else (ROWS, STEPS, copies, SIZE)
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("live", list(LIVE.values()), ids=list(LIVE))
def test_a_plan_lays_out_every_word_once(live):
    plan = pack_rows(LENGTHS, LIMITS, STEPS, live)
    assert {array.dtype for array in plan.values()} == {np.dtype("int32")}
    assert tuple(plan["live"]) == (live or EXACT_LIVE)
    rows, steps = np.divmod(plan["places"], STEPS)
    assert np.array_equal(steps, np.repeat(np.arange(STEPS), plan["live"]))
    there = plan["there"] > 0
    assert np.array_equal(there, LENGTHS[rows] > steps)
    words = {(row, step) for row, length in enumerate(LENGTHS) for step in range(length)}
    assert sorted(zip(rows[there], steps[there], strict=True)) == sorted(words)
    for step in range(STEPS):
        # The rows stand in one order at all steps, and those that are there come first.
        assert np.array_equal(rows[steps == step], rows[: plan["live"][step]])
        assert np.all(np.diff(plan["there"][steps == step]) <= 0)


@pytest.mark.parametrize("live", list(LIVE.values()), ids=list(LIVE))
def test_a_plan_says_where_rows_are_and_end(live):
    plan = pack_rows(LENGTHS, LIMITS, STEPS, live)
    first = plan["live"][0]
    assert len(plan["ends"]) == len(plan["padded"]) == first
    for row, (length, limit, rank) in enumerate(zip(LENGTHS, LIMITS, plan["ranks"], strict=True)):
        if length == 0:
            assert rank == first
        else:
            assert plan["places"][rank] == row * STEPS
            assert plan["places"][plan["ends"][rank]] == row * STEPS + length - 1
            assert plan["padded"][rank] == (length < limit)


def test_rows_of_one_length_keep_their_order():
    plan = pack_rows(np.array([1, 2, 1, 2]), np.full(4, 2), steps=2)
    assert plan["places"].tolist() == [2, 6, 0, 4, 3, 7]


def test_a_plan_of_nothing_but_empty_rows():
    plan = pack_rows(np.zeros(2, int), np.full(2, 3), steps=3)
    assert plan["live"].tolist() == [0, 0, 0]
    assert plan["ranks"].tolist() == [0, 0]
    assert len(plan["places"]) == len(plan["ends"]) == 0


@pytest.mark.backend
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_cut_gives_the_words_of_each_segment(mode, copies):
    plan, packing = make(mode, copies)
    packed = packed_of(plan, random_words(copies))
    pieces = [np.asarray(piece) for piece in packing.cut(ops.convert_to_tensor(packed))]
    sizes = [steps * int(live) for _, steps, _, live in packing.segments]
    assert [len(piece) for piece in pieces] == sizes
    assert np.array_equal(np.concatenate(pieces), packed)
    assert sum(steps for _, steps, _, _ in packing.segments) == packing.steps == STEPS
    there = np.asarray(packing.there())
    assert there.shape == (len(packed), 1)
    assert np.array_equal(there[:, 0], np.repeat(plan["there"] > 0, copies or 1))
    assert packing.exact == (mode == "exact")
    assert [int(live) for live in packing.live] == [n * (copies or 1) for n in plan["live"]]


@pytest.mark.backend
def test_steps_with_as_many_rows_are_one_segment():
    def segments(mode):
        return [tuple(map(int, segment)) for segment in make(mode, 2)[1].segments]

    assert segments("padded") == [(0, 3, 0, 12)]
    if keras.backend.backend() == "tensorflow":
        assert segments("rounded") == [(0, 1, 0, 10), (1, 1, 10, 10), (2, 1, 20, 4)]
    else:
        assert segments("rounded") == [(0, 2, 0, 10), (2, 1, 20, 4)]


@pytest.mark.backend
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_ends_and_restore_bring_last_words_back(mode, copies):
    plan, packing = make(mode, copies)
    padded = random_words(copies).astype("float32")
    found = packing.restore(packing.ends(ops.convert_to_tensor(packed_of(plan, padded))))
    expected = padded[np.arange(ROWS), np.maximum(LENGTHS - 1, 0)]
    expected[LENGTHS == 0] = 0
    assert np.array_equal(np.asarray(found), expected)


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_maximum_sees_the_padding_only_where_there_is_some(mode, copies, dtype):
    plan, packing = make(mode, copies)
    padded = np.round(random_words(copies).astype("float32") - 0.5, 1)
    padded = np.asarray(ops.cast(ops.cast(padded, dtype), "float32"))
    found = packing.maximum(ops.convert_to_tensor(packed_of(plan, padded), dtype=dtype))
    found = np.asarray(ops.cast(packing.restore(found), "float32"))
    for row, (length, limit) in enumerate(zip(LENGTHS, LIMITS, strict=True)):
        words = padded[row, :length]
        floor = 0.0 if length < limit else -np.inf
        expected = words.max(axis=0, initial=floor) if length else np.zeros(padded.shape[2:])
        assert np.array_equal(found[row], expected), row


@pytest.mark.backend
def test_restore_gives_the_shape_of_the_ranks():
    plan, _ = make("fixed")
    plan["ranks"] = plan["ranks"].reshape(2, 3)
    vectors = np.arange(8.0, dtype="float32").reshape(4, 2)
    restored = Packing(plan, EXACT_LIVE).restore(ops.convert_to_tensor(vectors))
    assert np.array_equal(np.asarray(restored), np.vstack([vectors, [[0, 0]]])[plan["ranks"]])


@on_tensorflow
@pytest.mark.parametrize("copies", [None, 2])
def test_gradients_by_hand_are_those_that_tensorflow_finds(copies):
    """Of the maximum and of the cut: exact packings have them by hand, fixed ones have not."""
    import tensorflow as tf

    plan, exact = make("exact", copies)
    _, fixed = make("fixed", copies)
    packed = tf.constant(packed_of(plan, random_words(copies)))
    upstream = np.random.default_rng(2).normal(size=(4 * (copies or 1), SIZE)).astype("float32")
    results = []
    for packing in (exact, fixed):
        with tf.GradientTape() as tape:
            tape.watch(packed)
            pooled = packing.maximum(packed)
            first, *_, last = packing.cut(packed)
            total = tf.reduce_sum(pooled * upstream) + tf.reduce_sum(first**2)
            total += tf.reduce_sum(last**3)
        results.append((pooled.numpy(), tape.gradient(total, packed).numpy()))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.abs(results[0][1]).min() < 1e-9 < np.abs(results[0][1]).max()
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=0, atol=1e-6)


@on_tensorflow
def test_of_equal_words_in_bfloat16_the_first_gets_the_gradient():
    import tensorflow as tf

    plan, packing = make("exact")
    words = tf.ones((len(plan["places"]), SIZE), tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(words)
        total = tf.reduce_sum(packing.maximum(words))
    found = tf.cast(tape.gradient(total, words), tf.float32).numpy()
    assert np.array_equal(found, np.repeat(plan["places"] % STEPS == 0, SIZE).reshape(-1, SIZE))
