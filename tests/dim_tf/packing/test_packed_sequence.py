"""Packed sequences against plain loops over padded rows."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.packing.packed_sequence import PackedRows, pack_rows
from tests.packed_rows import (
    EXACT_SIZES,
    LENGTHS,
    LIMITS,
    MODES,
    ROWS,
    SIZES,
    STEPS,
    layout_of,
    make,
    on_tensorflow,
    packed_of,
)

SIZE = 4


def random_words(copies=None):
    shape = (ROWS, STEPS, SIZE) if copies is None else (ROWS, STEPS, copies, SIZE)
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("mode", [*SIZES, "padded"])
def test_a_layout_has_every_word_once(mode):
    layout = layout_of(mode)
    assert {array.dtype for array in keras.tree.flatten(layout)} == {np.dtype("int32")}
    expected = {**SIZES, "exact": EXACT_SIZES, "padded": (ROWS,) * STEPS}[mode]
    assert tuple(layout.batch_sizes) == expected
    rows, steps = np.divmod(layout.flat_index, STEPS)
    assert np.array_equal(steps, np.repeat(np.arange(STEPS), layout.batch_sizes))
    mask = layout.mask > 0
    assert np.array_equal(mask, LENGTHS[rows] > steps)
    words = {(row, step) for row, length in enumerate(LENGTHS) for step in range(length)}
    assert sorted(zip(rows[mask], steps[mask], strict=True)) == sorted(words)
    for step in range(STEPS):
        # The rows have one order at all steps, and rows with a word come first.
        assert np.array_equal(rows[steps == step], rows[: layout.batch_sizes[step]])
        assert np.all(np.diff(layout.mask[steps == step]) <= 0)


@pytest.mark.parametrize("mode", [*SIZES, "padded"])
def test_a_layout_has_the_position_and_the_end_of_each_row(mode):
    layout = layout_of(mode)
    first = layout.batch_sizes[0]
    assert len(layout.last_index) == len(layout.is_padded) == first
    for row, (length, limit, position) in enumerate(
        zip(LENGTHS, LIMITS, layout.unsorted_indices, strict=True)
    ):
        if length == 0:
            assert position == first
        else:
            assert layout.flat_index[position] == row * STEPS
            assert layout.flat_index[layout.last_index[position]] == row * STEPS + length - 1
            assert layout.is_padded[position] == (length < limit)


def test_rows_of_one_length_keep_their_order():
    layout = pack_rows(np.array([1, 2, 1, 2]), np.full(4, 2), steps=2)
    assert layout.flat_index.tolist() == [2, 6, 0, 4, 3, 7]


def test_a_layout_of_empty_rows():
    layout = pack_rows(np.zeros(2, int), np.full(2, 3), steps=3)
    assert layout.batch_sizes.tolist() == [0, 0, 0]
    assert layout.unsorted_indices.tolist() == [0, 0]
    assert len(layout.flat_index) == len(layout.last_index) == 0


@pytest.mark.backend
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_steps_are_split_into_segments(mode, copies):
    layout, rows = make(mode, copies)
    packed = packed_of(layout, random_words(copies))
    pieces = [np.asarray(piece) for piece in rows.split_steps(ops.convert_to_tensor(packed))]
    assert [len(piece) for piece in pieces] == [n * int(size) for n, _, size in rows.segments]
    assert np.array_equal(np.concatenate(pieces), packed)
    assert sum(steps for steps, _, _ in rows.segments) == rows.steps == STEPS
    mask = np.asarray(rows.mask())
    assert mask.shape == (len(packed), 1)
    assert np.array_equal(mask[:, 0], np.repeat(layout.mask > 0, copies or 1))
    assert rows.exact == (mode == "exact")
    sizes = [n * (copies or 1) for n in layout.batch_sizes]
    assert [int(size) for size in rows.batch_sizes] == sizes


@pytest.mark.backend
def test_steps_with_as_many_rows_are_one_segment():
    def segments(mode):
        return [tuple(map(int, segment)) for segment in make(mode, 2)[1].segments]

    assert segments("padded") == [(3, 0, 12)]
    if keras.backend.backend() == "tensorflow":
        assert segments("rounded") == [(1, 0, 10), (1, 10, 10), (1, 20, 4)]
    else:
        assert segments("rounded") == [(2, 0, 10), (1, 20, 4)]


@pytest.mark.backend
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_last_words_return_to_their_rows(mode, copies):
    layout, rows = make(mode, copies)
    padded = random_words(copies).astype("float32")
    found = rows.unsort(rows.last_words(ops.convert_to_tensor(packed_of(layout, padded))))
    expected = padded[np.arange(ROWS), np.maximum(LENGTHS - 1, 0)]
    expected[LENGTHS == 0] = 0
    assert np.array_equal(np.asarray(found), expected)


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_the_maximum_includes_padding_only_in_short_rows(mode, copies, dtype):
    layout, rows = make(mode, copies)
    padded = np.round(random_words(copies).astype("float32") - 0.5, 1)
    padded = np.asarray(ops.cast(ops.cast(padded, dtype), "float32"))
    found = rows.max_pool(ops.convert_to_tensor(packed_of(layout, padded), dtype=dtype))
    found = np.asarray(ops.cast(rows.unsort(found), "float32"))
    for row, (length, limit) in enumerate(zip(LENGTHS, LIMITS, strict=True)):
        words = padded[row, :length]
        floor = 0.0 if length < limit else -np.inf
        expected = words.max(axis=0, initial=floor) if length else np.zeros(padded.shape[2:])
        assert np.array_equal(found[row], expected), row


@pytest.mark.backend
def test_unsorted_vectors_have_the_shape_of_the_indices():
    layout, _ = make("fixed")
    indices = layout.unsorted_indices.reshape(2, 3)
    layout = dataclasses.replace(layout, unsorted_indices=indices)
    vectors = np.arange(8.0, dtype="float32").reshape(4, 2)
    unsorted = PackedRows(layout).unsort(ops.convert_to_tensor(vectors))
    assert np.array_equal(np.asarray(unsorted), np.vstack([vectors, [[0, 0]]])[indices])


@on_tensorflow
@pytest.mark.parametrize("copies", [None, 2])
def test_gradients_by_hand_are_those_that_tensorflow_finds(copies):
    """Exact rows have gradients of maximum and split by hand, fixed ones automatic ones."""
    import tensorflow as tf

    layout, exact = make("exact", copies)
    _, fixed = make("fixed", copies)
    packed = tf.constant(packed_of(layout, random_words(copies)))
    upstream = np.random.default_rng(2).normal(size=(4 * (copies or 1), SIZE)).astype("float32")
    results = []
    for rows in (exact, fixed):
        with tf.GradientTape() as tape:
            tape.watch(packed)
            pooled = rows.max_pool(packed)
            first, *_, last = rows.split_steps(packed)
            total = tf.reduce_sum(pooled * upstream) + tf.reduce_sum(first**2)
            total += tf.reduce_sum(last**3)
        results.append((pooled.numpy(), tape.gradient(total, packed).numpy()))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.abs(results[0][1]).min() < 1e-9 < np.abs(results[0][1]).max()
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=0, atol=1e-6)


@on_tensorflow
def test_of_equal_words_in_bfloat16_the_first_gets_the_gradient():
    import tensorflow as tf

    layout, rows = make("exact")
    words = tf.ones((len(layout.flat_index), SIZE), tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(words)
        total = tf.reduce_sum(rows.max_pool(words))
    found = tf.cast(tape.gradient(total, words), tf.float32).numpy()
    first = np.repeat(layout.flat_index % STEPS == 0, SIZE).reshape(-1, SIZE)
    assert np.array_equal(found, first)
