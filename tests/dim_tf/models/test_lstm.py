"""An LSTM over packed words against a plain loop over padded rows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.models.lstm import _run_segments, run_lstm
from dim_tf.packing.packed_sequence import PackedRows, pack_rows
from tests.packed_rows import LENGTHS, MODES, ROWS, STEPS, make, on_tensorflow, packed_of

UNITS = 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_row(gates, kernel, backward):
    """The states of one row [length, 4 units], word by word."""
    cell, hidden = np.zeros(UNITS), np.zeros(UNITS)
    states = np.zeros((len(gates), UNITS))
    steps = range(len(gates))
    for step in reversed(steps) if backward else steps:
        i, g, f, o = np.split(gates[step] + hidden @ kernel, 4)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        hidden = states[step] = sigmoid(o) * np.tanh(cell)
    return states


def random_case(copies):
    """Gates [N, T, C, 4 units], large enough for every gate to matter, and a kernel."""
    rng = np.random.default_rng(3)
    gates = rng.normal(0, 1.5, (ROWS, STEPS, copies or 1, 4 * UNITS))
    return gates, rng.normal(0, 1, (UNITS, 4 * UNITS))


@pytest.mark.backend
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("copies", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_states_are_those_of_a_plain_loop(mode, copies, backward):
    gates, kernel = random_case(copies)
    expected = np.zeros((*gates.shape[:3], UNITS))
    for row, length in enumerate(LENGTHS):
        for copy in range(copies or 1):
            states = plain_row(gates[row, :length, copy], kernel, backward)
            expected[row, :length, copy] = states
    layout, rows = make(mode, copies)
    packed = ops.convert_to_tensor(packed_of(layout, gates))
    found = run_lstm(rows, packed, ops.convert_to_tensor(kernel, dtype="float32"), backward)
    found, expected = np.asarray(found), packed_of(layout, expected)
    mask = np.repeat(layout.mask > 0, copies or 1)
    np.testing.assert_allclose(found[mask], expected[mask], rtol=0, atol=1e-6)
    if backward:
        assert not found[~mask].any()


@pytest.mark.backend
@pytest.mark.parametrize("mode", [pytest.param(None, marks=on_tensorflow), "fixed"])
def test_a_cell_sums_up_in_float32_what_bfloat16_would_lose(mode):
    steps, entering = 300, 0.0025  # to 0.75: from 0.5 on bfloat16 cannot tell it from nothing
    rows = PackedRows(pack_rows(np.array([steps]), np.array([steps]), steps, mode and (1,) * steps))
    gates = np.tile([20.0, np.arctanh(entering), 20.0, 20.0], (steps, 1))
    gates = ops.convert_to_tensor(gates, dtype="bfloat16")
    states = run_lstm(rows, gates, ops.zeros((1, 4), dtype="bfloat16"), backward=False)
    assert keras.backend.standardize_dtype(states.dtype) == "bfloat16"
    last = float(np.asarray(ops.cast(states, "float32"))[-1, 0])
    assert last == pytest.approx(np.tanh(steps * entering), rel=1e-2)


@on_tensorflow
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 2e-6), ("bfloat16", 6e-2)], ids=["float32", "bfloat16"]
)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("copies", [None, 2])
def test_the_gradient_by_hand_is_the_one_that_tensorflow_finds(copies, backward, dtype, tolerance):
    import tensorflow as tf

    gates, kernel = random_case(copies)
    layout, exact = make("exact", copies)
    _, fixed = make("fixed", copies)
    sources = [tf.cast(packed_of(layout, gates), dtype), tf.cast(kernel, dtype)]
    weights = np.random.default_rng(4).normal(size=(len(sources[0]), UNITS)).astype("float32")
    results = []
    for run, rows in ((run_lstm, exact), (_run_segments, fixed)):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            states = run(rows, *sources, backward)
            total = tf.reduce_sum(tf.cast(states, "float32") * weights)
        found = [states, *tape.gradient(total, sources)]
        assert {tensor.dtype.name for tensor in found} == {dtype}
        results.append([tf.cast(tensor, "float32").numpy() for tensor in found])
    for name, found, expected in zip(("states", "gates", "kernel"), *results, strict=True):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name)
