"""One direction of an LSTM over packed words (equations 4-6), and its gradient."""

from __future__ import annotations

from typing import Any

from keras import ops

from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.layout import Tensor
from dim_tf.packing.packed_sequence import PackedRows

State = tuple[Tensor, Tensor]  # the cells and the hidden states of the rows of a step
# Gate pre-activations of masked words. Input gate 0, forget gate 1: the cell keeps its value.
MASKED_GATES = (-1e4, 0.0, 1e4, 0.0)


def run_lstm(rows: PackedRows, gates: Tensor, kernel: Tensor, backward: bool) -> Tensor:
    """The state h after each word, [M, units].

    The gates are in TensorFlow 1's order: input i, candidate g, forget f, output o; 1.0 is added to
    the forget gate. The states of masked words are undefined, with one exception: backward they are
    0, so that a row begins at its last word.

    Args:
        rows: PackedRows. The packed rows.
        gates: [M, 4 units]. Gate pre-activations of the input and the bias.
        kernel: [units, 4 units]. The recurrent kernel.
        backward: bool. Whether to run from the last words to the first.
    """
    if rows.exact:
        return _run_steps(rows, gates, kernel, backward)
    masked = ops.repeat(ops.convert_to_tensor(MASKED_GATES, dtype=gates.dtype), kernel.shape[0])
    return _run_segments(rows, ops.where(rows.mask(), gates, masked), kernel, backward)


def _run_segments(rows: PackedRows, gates: Tensor, kernel: Tensor, backward: bool) -> Tensor:
    """Segment by segment, each of them a loop."""
    units, dtypes = kernel.shape[0], _state_dtypes(gates)

    def step(state: State, gates: Tensor) -> tuple[State, State]:
        state = _cell(gates, state, kernel)[:2]
        return state, state

    pairs = list(zip(rows.segments, rows.split_steps(gates), strict=True))
    state: State = (None, None)
    outputs = []
    for (steps, _, size), words in reversed(pairs) if backward else pairs:
        state = _resize_rows(state, size, units, dtypes, grows=backward)
        if steps == 1:
            state, (_, hidden) = step(state, words)
        else:
            words = ops.reshape(words, (steps, size, 4 * units))
            state, (_, hidden) = ops.scan(step, state, words, reverse=backward)
            hidden = ops.reshape(hidden, (-1, units))
        outputs.append(hidden)
    return ops.concatenate(outputs[::-1] if backward else outputs, axis=0)


def _run_steps(rows: PackedRows, gates: Tensor, kernel: Tensor, backward: bool) -> Tensor:
    """Step by step, with the gradient written out.

    The automatic gradient is twice as many operations, most of them about shapes, and keeps more
    intermediate results.
    """
    units, sizes, dtypes = kernel.shape[0], rows.batch_sizes, _state_dtypes(gates)
    order = list(range(rows.steps))[:: -1 if backward else 1]

    @ops.custom_gradient
    def run(gates: Tensor, kernel: Tensor) -> Any:
        inputs = rows.split_steps(gates)
        outputs, memory, state = {}, {}, (None, None)
        for step in order:
            before = _resize_rows(state, sizes[step], units, dtypes, grows=backward)
            cell, outputs[step], *activations = _cell(inputs[step], before, kernel)
            state = cell, outputs[step]
            memory[step] = (*before, *activations)

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            upstream = rows.split_steps(upstream)
            totals: dict[int, Tensor] = {}
            d_state: State = (None, None)
            for step in reversed(order):
                cell, _, i, g, f, o, tanh_c = memory[step]
                d_cell, d_hidden = _resize_rows(
                    d_state, sizes[step], units, dtypes, grows=not backward
                )
                d_hidden = ops.cast(d_hidden + upstream[step], dtypes[0])
                d_cell = d_cell + d_hidden * o * (1.0 - tanh_c * tanh_c)
                parts = [
                    d_cell * g * i * (1.0 - i),
                    d_cell * i * (1.0 - g * g),
                    d_cell * cell * f * (1.0 - f),
                    d_hidden * tanh_c * o * (1.0 - o),
                ]
                totals[step] = ops.cast(ops.concatenate(parts, axis=-1), gates.dtype)
                d_state = d_cell * f, ops.matmul(totals[step], ops.transpose(kernel))
            d_gates = _joined(totals)
            hidden = _joined({step: kept[1] for step, kept in memory.items()})
            return d_gates, ops.matmul(ops.transpose(hidden), d_gates)

        return _joined(outputs), gradient

    return run(gates, kernel)


def _cell(gates: Tensor, state: State, kernel: Tensor) -> Any:
    """New cell, new hidden state, and the activations that the gradient needs."""
    cell, hidden = state
    total = ops.cast(gates + ops.matmul(hidden, kernel), _state_dtypes(gates)[0])
    i, g, f, o = ops.split(total, 4, axis=-1)
    i, g, f, o = ops.sigmoid(i), ops.tanh(g), ops.sigmoid(f + 1.0), ops.sigmoid(o)
    cell = f * cell + i * g
    tanh_c = ops.tanh(cell)
    return cell, ops.cast(o * tanh_c, gates.dtype), i, g, f, o, tanh_c


def _state_dtypes(gates: Tensor) -> tuple[Any, Any]:
    """The dtypes of cells and hidden states.

    Cells and activations are at least float32: a cell sums its inputs over all steps.
    """
    return at_least_float32(gates.dtype), gates.dtype


def _resize_rows(
    state: State, size: Tensor, units: int, dtypes: tuple[Any, Any], grows: bool
) -> State:
    """The state for another number of rows: cut, or with zeros at the end."""

    def resized(part: Tensor, dtype: Any) -> Tensor:
        if part is None:
            return ops.zeros((size, units), dtype=dtype)
        if not grows:
            return part[:size]
        fresh = ops.zeros((size - ops.shape(part)[0], units), dtype=dtype)
        return ops.concatenate([part, fresh], axis=0)

    return resized(state[0], dtypes[0]), resized(state[1], dtypes[1])


def _joined(parts: dict[int, Tensor]) -> Tensor:
    """One tensor of those of each step, [M, F]."""
    return ops.concatenate([parts[step] for step in sorted(parts)], axis=0)
