"""The three BiLSTMs of DIM: over words, over what words saw, and over utterances.

Each works on packed sequences, see `dim_tf.packing`. Letters as in `dim_tf.layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from dim_tf.layers import attend
from dim_tf.packing import Packing

NO_FLOOR = -1e30


class BiLSTM(keras.layers.Layer):
    """A bidirectional LSTM over packed sequences: the core of the three that DIM has.

    The weights are those of TensorFlow 1's `LSTMCell`: one kernel [input_dim + units, 4 x units] a
    direction, the gates in the order input, candidate, forget, output, and 1.0 added to the forget
    gate at run time. The backward direction starts at the last word of a row. Past its end a row
    has output 0, and its state stands still.

    Args:
        input_dim: Size of an input vector.
        units: Units of each direction.
        dropout: Fraction dropped from the outputs, not from the last state.
    """

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.input_dim, self.units = input_dim, units
        self.output_dropout = keras.layers.Dropout(dropout)
        self.directions = [self._add_direction(name) for name in ("forward", "backward")]

    def _add_direction(self, name: str):
        shape = (self.input_dim + self.units, 4 * self.units)
        kernel = self.add_weight(name=f"{name}_kernel", shape=shape, initializer="glorot_uniform")
        bias = self.add_weight(name=f"{name}_bias", shape=shape[1:], initializer="zeros")
        return kernel, bias

    def run(self, packing: Packing, inputs, kernels, gates, training):
        """Runs both directions.

        Args:
            packing: Of N rows of T words.
            inputs: For each step t, [live[t], K].
            kernels: For each direction, [K + units, 4 units].
            gates: For each direction and step t, what else goes into the gates, the bias included:
                [live[t], 4 units] or [4 units].
            training: Whether to drop.

        Returns:
            For each step t the outputs, [live[t], D]; and the last state h of both directions,
            [live[0], D].
        """
        forward, forward_last = _run_forward(packing, inputs, kernels[0], gates[0])
        backward, backward_last = _run_backward(packing, inputs, kernels[1], gates[1])
        outputs = [
            self.output_dropout(ops.concatenate(pair, axis=-1), training=training)
            for pair in zip(forward, backward, strict=True)
        ]
        return outputs, ops.concatenate([forward_last, backward_last], axis=-1)

    def run_whole(self, packing: Packing, inputs, training):
        """`run` on inputs [live[t], input_dim] that meet the whole kernels."""
        kernels = [kernel for kernel, _ in self.directions]
        gates = [[bias] * packing.steps for _, bias in self.directions]
        return self.run(packing, inputs, kernels, gates, training)


def _run_forward(packing, inputs, kernel, gates):
    """Outputs of every step, and the last states."""
    units = kernel.shape[1] // 4
    cell = hidden = ops.zeros((packing.live[0], units))
    outputs, finished = [], []
    for step, live in enumerate(packing.live):
        finished.append(hidden[live:])
        cell, hidden = cell[:live], hidden[:live]
        cell, hidden, output = _step(packing, step, inputs, cell, hidden, kernel, gates)
        outputs.append(output)
    return outputs, ops.concatenate([hidden, *reversed(finished)], axis=0)


def _run_backward(packing, inputs, kernel, gates):
    """The same from the last words to the first."""
    units = kernel.shape[1] // 4
    cell = hidden = ops.zeros((0, units))
    outputs = []
    for step in reversed(range(packing.steps)):
        fresh = ops.zeros((packing.joining(step), units))
        cell, hidden = ops.concatenate([cell, fresh]), ops.concatenate([hidden, fresh])
        cell, hidden, output = _step(packing, step, inputs, cell, hidden, kernel, gates)
        outputs.append(output)
    return outputs[::-1], hidden


def _step(packing, step, inputs, cell, hidden, kernel, gates):
    """One step of one direction: new cell, new hidden state, output."""
    total = ops.matmul(ops.concatenate([inputs[step], hidden], axis=-1), kernel) + gates[step]
    enter, candidate, forget, leave = ops.split(total, 4, axis=-1)
    new_cell = ops.sigmoid(forget + 1.0) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
    new_hidden = ops.sigmoid(leave) * ops.tanh(new_cell)
    if packing.exact:
        return new_cell, new_hidden, new_hidden
    there = packing.mask(step)
    new_cell = ops.where(there, new_cell, cell)
    return new_cell, ops.where(there, new_hidden, hidden), ops.where(there, new_hidden, 0.0)


def max_and_last(packing: Packing, outputs, last, limits):
    """[max over the words; last state] (equations 16-19) of the live rows, [live[0], 2D].

    The padding of a row takes part in the maximum with its zeros; a row has padding if it is
    shorter than its limit, int32 [N].
    """
    floor = ops.where(packing.lengths < ops.take(limits, packing.order), 0.0, NO_FLOOR)
    pooled = packing.maximum(outputs, floor)
    return ops.concatenate([pooled, last], axis=-1)


class Encoder(BiLSTM):
    """Sentence encoding (equations 4-6): utterances, responses and profiles in one pass."""

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs):
        super().__init__(input_dim, units, dropout, **kwargs)
        self.input_dropout = keras.layers.Dropout(dropout)

    def call(self, vectors, words, lengths, live=None, training=False):
        """Encodes sentences.

        Args:
            vectors: Of each distinct word, float32 [words, input_dim].
            words: For each kind of sentence, its words as rows of `vectors`, int32 [B, N, T].
            lengths: For each kind, int32 [B, N].
            live: See `Packing`.
            training: Whether to drop.

        Returns:
            For each kind the outputs, [B, N, T, D], 0 past the end.
        """
        steps = max(kind.shape[-1] for kind in words)
        rows = ops.concatenate([_pad_rows(kind, steps) for kind in words], axis=0)  # [N, T]
        lengths = ops.concatenate([ops.reshape(kind, (-1,)) for kind in lengths])
        packing = Packing(lengths, steps, live)
        inputs = []
        for step in range(steps):
            word = ops.take(rows[:, step], packing.rows(step))
            vector = ops.take(vectors, word, axis=0)  # [live, input_dim]
            inputs.append(self.input_dropout(vector, training=training))
        outputs, _ = self.run_whole(packing, inputs, training)
        return packing.unpack(ops.concatenate(outputs, axis=0), [ops.shape(kind) for kind in words])


class Matcher(BiLSTM):
    """Enhanced representation and its composition (equations 10-19), all sequences in one pass.

    The enhanced representation of a word x that saw x~ is [x; x~; x*x~; x-x~] (in the authors'
    order), and it meets the kernel W. With W cut into four, that is

        x (W1 + W4) + x~ (W2 - W4) + (x*x~) W3.

    The first term is the same for all candidates: it is computed once for each encoded word. x~ is
    a weighted sum of values (equation 9), so the second is the weighted sum of values (W2 - W4): a
    product with as many rows as there are values, not as there are words that saw them. The
    four-fold vector is never made.

    Args:
        width: D, the size of an encoded word.
        units, dropout: As for `BiLSTM`.
        response_limit: R.
        limits: For each half, context and persona, how long an utterance or a profile can be.
    """

    def __init__(
        self,
        width: int,
        units: int,
        dropout: float,
        response_limit: int,
        limits: Sequence[int],
        **kwargs,
    ):
        super().__init__(4 * width, units, dropout, **kwargs)
        self.width, self.response_limit, self.limits = width, response_limit, tuple(limits)

    def call(self, responses, responses_len, halves, live=None, training=False):
        """Composes all sequences of a batch.

        Args:
            responses: Encoded, [B, C, R, D].
            responses_len: int32 [B, C].
            halves: For each half what `CrossAttention` gives, without the last, and the lengths of
                the utterances or profiles that its words form one behind the other, int32 [B, N].
            live: See `Packing`.
            training: Whether to drop.

        Returns:
            For each half [max; last state] of the others, [B, C, N, 2D], and of the responses,
            [B, C, 1, 2D]; 0 for empty rows.
        """
        products, gate_tables, kernels = [], [[], []], []
        for words, to_responses, to_others, _ in halves:
            products.append(ops.expand_dims(words, 1) * ops.matmul(to_responses, responses))
            products.append(responses * attend(to_others, words))
        for (kernel, bias), tables in zip(self.directions, gate_tables, strict=True):
            own_kernel, seen_kernel, kernel = self._cut(kernel)
            kernels.append(kernel)  # [D + units, 4 units]
            own_of_responses = ops.matmul(responses, own_kernel) + bias  # [B, C, R, 4 units]
            seen_of_responses = ops.matmul(responses, seen_kernel)
            for words, to_responses, to_others, _ in halves:
                own_of_others = ops.matmul(words, own_kernel) + bias  # [B, X, 4 units]
                seen_of_others = ops.matmul(words, seen_kernel)
                tables.append(
                    ops.expand_dims(own_of_others, 1) + ops.matmul(to_responses, seen_of_responses)
                )  # [B, C, X, 4 units]
                tables.append(own_of_responses + attend(to_others, seen_of_others))
        rows, shapes = self._rows(products, responses_len, [half[-1] for half in halves])
        products = _joined(products)  # [words, D]
        gate_tables = [_joined(tables) for tables in gate_tables]  # [words, 4 units]

        packing = Packing(rows["lengths"], max(self.response_limit, *self.limits), live)
        inputs, gates = [], ([], [])
        for step in range(packing.steps):
            # What a rounded-up step takes too much may point anywhere inside.
            word = ops.take(rows["starts"], packing.rows(step)) + step
            word = ops.minimum(word, ops.shape(products)[0] - 1)
            inputs.append(ops.take(products, word, axis=0))  # [live, D]
            for direction in (0, 1):
                gates[direction].append(ops.take(gate_tables[direction], word, axis=0))
        outputs, last = self.run(packing, inputs, kernels, gates, training)
        pooled = max_and_last(packing, outputs, last, rows["limits"])  # [live[0], 2D]
        return packing.restore(pooled, shapes)

    def _rows(self, groups, responses_len, others_lens):
        """The lengths, limits and starts of all rows, int32; and [B, C, N] of each group of them.

        A row starts at the place of its first word among the words of all `groups` [B, C, X, F]:
        for each half the others and the responses.
        """
        lengths, limits = [], []
        for others_len, limit in zip(others_lens, self.limits, strict=True):
            lengths += [ops.expand_dims(others_len, 1), ops.expand_dims(responses_len, 2)]
            limits += [limit, self.response_limit]
        rows, shapes, words = {"lengths": [], "limits": [], "starts": []}, [], 0
        for group, length, limit in zip(groups, lengths, limits, strict=True):
            batch, candidates, size, _ = ops.shape(group)
            shape = (batch, candidates, ops.shape(length)[2])
            pairs = ops.reshape(ops.arange(batch * candidates, dtype="int32"), (*shape[:2], 1))
            before = ops.cumsum(length, axis=2) - length  # words of the earlier rows
            values = {"lengths": length, "limits": limit, "starts": words + pairs * size + before}
            for name, value in values.items():
                rows[name].append(ops.reshape(ops.broadcast_to(value, shape), (-1,)))
            shapes.append(shape)
            words += batch * candidates * size
        return {
            name: ops.cast(ops.concatenate(parts), "int32") for name, parts in rows.items()
        }, shapes

    def _cut(self, kernel):
        """W1 + W4, W2 - W4 and [W3; recurrent] of a kernel [W1; W2; W3; W4; recurrent]."""
        w1, w2, w3, w4, recurrent = ops.split(kernel, [self.width * k for k in (1, 2, 3, 4)])
        return w1 + w4, w2 - w4, ops.concatenate([w3, recurrent])


class Aggregator(BiLSTM):
    """Utterances to a context (equations 20 and 21)."""

    def call(self, utterances, count, live=None, training=False):
        """Aggregates.

        Args:
            utterances: [B, C, U, F].
            count: How many of them are there, int32 [B].
            live: See `Packing`.
            training: Whether to drop.

        Returns:
            [max over the utterances; last state], [B, C, D'] with D' = 4 x units.
        """
        batch, candidates, limit, width = ops.shape(utterances)
        lengths = ops.broadcast_to(ops.expand_dims(count, 1), (batch, candidates))
        lengths = ops.reshape(lengths, (-1,))
        packing = Packing(lengths, limit, live)
        flat = ops.reshape(utterances, (-1, width))  # [B*C*U, F]
        inputs = [
            ops.take(flat, packing.rows(step) * limit + step, axis=0) for step in range(limit)
        ]
        outputs, last = self.run_whole(packing, inputs, training)
        pooled = max_and_last(packing, outputs, last, ops.full_like(lengths, limit))
        return packing.restore(pooled, [(batch, candidates)])[0]


def _joined(tensors):
    """Tensors [..., F] as the rows of one, [rows, F]."""
    return ops.concatenate([_as_rows(tensor) for tensor in tensors], axis=0)


def _as_rows(tensor):
    """[..., F] to [rows, F]."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _pad_rows(words, steps: int):
    """[B, N, T] to [B*N, steps]."""
    return ops.pad(_as_rows(words), ((0, 0), (0, steps - words.shape[-1])))
