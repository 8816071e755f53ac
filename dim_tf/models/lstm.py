"""One direction of an LSTM over packed words (equation 5), and its gradient."""

from __future__ import annotations

from keras import ops

from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.packed_sequence import Packing

# Gates of a word that is not there: nothing enters the cell, nothing leaves it.
STANDSTILL = (-1e4, 0.0, 1e4, 0.0)


def run_lstm(packing: Packing, gates, kernel, backward: bool):
    """The state h after each word, [M, units].

    The gates are in TensorFlow 1's order: input, candidate, forget, output; 1.0 is added to the
    forget gate. The states of words that are not there are of no meaning, but for one thing:
    backward they are 0, so that a row begins at its last word.

    Args:
        packing: Of the rows.
        gates: What the inputs and the bias put into the gates of each word, [M, 4 units].
        kernel: What the state puts into them, [units, 4 units].
        backward: From the last words to the first.
    """
    if packing.exact:
        return _run_steps(packing, gates, kernel, backward)
    still = ops.repeat(ops.convert_to_tensor(STANDSTILL, dtype=gates.dtype), kernel.shape[0])
    gates = ops.where(packing.there(), gates, still)
    return _run_segments(packing, gates, kernel, backward)


def _run_segments(packing, gates, kernel, backward):
    """Segment by segment, each of them a loop."""
    units, dtypes = kernel.shape[0], _state_dtypes(gates)

    def step(state, entering):
        state = _cell(entering, *state, kernel)[:2]
        return state, state

    pairs = list(zip(packing.segments, packing.cut(gates), strict=True))
    state, outputs = (None, None), []
    for (_, steps, _, live), words in reversed(pairs) if backward else pairs:
        state = tuple(
            _moved(part, live, units, dtype, backward)
            for part, dtype in zip(state, dtypes, strict=True)
        )
        if steps == 1:
            state, (_, hidden) = step(state, words)
        else:
            words = ops.reshape(words, (steps, live, 4 * units))
            state, (_, hidden) = ops.scan(step, state, words, reverse=backward)
            hidden = ops.reshape(hidden, (-1, units))
        outputs.append(hidden)
    return ops.concatenate(outputs[::-1] if backward else outputs, axis=0)


def _run_steps(packing, gates, kernel, backward):
    """Step by step, with the gradient written out.

    Derived from the steps it would be twice as many operations, most of them about shapes, and
    would hold more of what was computed.
    """
    units, live, dtypes = kernel.shape[0], packing.live, _state_dtypes(gates)
    order = range(packing.steps)
    order = list(reversed(order)) if backward else list(order)

    @ops.custom_gradient
    def run(gates, kernel):
        inputs = packing.cut(gates)
        states, memory, cell, hidden = {}, {}, None, None
        for step in order:
            before = [
                _moved(state, live[step], units, dtype, backward)
                for state, dtype in zip((cell, hidden), dtypes, strict=True)
            ]
            cell, hidden, *activations = _cell(inputs[step], *before, kernel)
            states[step] = hidden
            memory[step] = (*before, *activations)

        def gradient(upstream):
            upstream = packing.cut(upstream)
            totals, d_cell, d_hidden = {}, None, None
            for step in reversed(order):
                cell, _, enter, candidate, forget, leave, seen = memory[step]
                d_cell, d_hidden = (
                    _moved(state, live[step], units, dtype, not backward)
                    for state, dtype in zip((d_cell, d_hidden), dtypes, strict=True)
                )
                d_hidden = ops.cast(d_hidden + upstream[step], dtypes[0])
                d_cell = d_cell + d_hidden * leave * (1.0 - seen * seen)
                parts = [
                    d_cell * candidate * enter * (1.0 - enter),
                    d_cell * enter * (1.0 - candidate * candidate),
                    d_cell * cell * forget * (1.0 - forget),
                    d_hidden * seen * leave * (1.0 - leave),
                ]
                totals[step] = ops.cast(ops.concatenate(parts, axis=-1), gates.dtype)
                d_cell = d_cell * forget
                d_hidden = ops.matmul(totals[step], ops.transpose(kernel))
            d_gates = _joined(totals)
            hidden = _joined({step: kept[1] for step, kept in memory.items()})
            return d_gates, ops.matmul(ops.transpose(hidden), d_gates)

        return _joined(states), gradient

    return run(gates, kernel)


def _cell(entering, cell, hidden, kernel):
    """New cell, new hidden state, and the activations that the gradient needs."""
    total = ops.cast(entering + ops.matmul(hidden, kernel), _state_dtypes(entering)[0])
    enter, candidate, forget, leave = ops.split(total, 4, axis=-1)
    enter, candidate = ops.sigmoid(enter), ops.tanh(candidate)
    forget, leave = ops.sigmoid(forget + 1.0), ops.sigmoid(leave)
    cell = forget * cell + enter * candidate
    seen = ops.tanh(cell)
    hidden = ops.cast(leave * seen, entering.dtype)
    return cell, hidden, enter, candidate, forget, leave, seen


def _state_dtypes(gates):
    """Of the cells and of the hidden states, by that of the gates.

    Cells and activations are float32 at least: a cell sums up what enters over all steps.
    """
    return at_least_float32(gates.dtype), gates.dtype


def _moved(state, live, units, dtype, grows):
    """A state of the rows of one step as one of `live` rows: cut, or with zeros behind it."""
    if state is None:
        return ops.zeros((live, units), dtype=dtype)
    if not grows:
        return state[:live]
    fresh = ops.zeros((live - ops.shape(state)[0], units), dtype=dtype)
    return ops.concatenate([state, fresh], axis=0)


def _joined(parts):
    """One tensor of those of each step, [M, F]."""
    return ops.concatenate([parts[step] for step in sorted(parts)], axis=0)
