"""The three BiLSTMs of DIM: over words, over what words saw, and over utterances.

Each works on packed sequences, see `dim_tf.packing`. Letters as in `dim_tf.layers`.
"""

from __future__ import annotations

import keras
from keras import ops

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
    """[max over the words; last state] (equations 16-19) of all rows, [N, 2D]; 0 for empty rows.

    The padding of a row takes part in the maximum with its zeros; a row has padding if it is
    shorter than its limit, int32 [N].
    """
    floor = ops.where(packing.lengths < ops.take(limits, packing.order), 0.0, NO_FLOOR)
    pooled = packing.maximum(outputs, floor)
    return packing.restore(ops.concatenate([pooled, last], axis=-1))


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
            For each kind the outputs, [B, N, T, D], 0 past the end; all outputs as they are packed,
            [words that are there, D]; and for each kind where its words stand there, [B, N, T].
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
        packed = ops.concatenate(outputs, axis=0)
        all_places = packing.places()  # [N, T]
        padded = packing.unpack(packed)  # [N, T, D]
        encoded, places, start = [], [], 0
        for kind in words:
            batch, count, length = ops.shape(kind)
            end = start + batch * count
            shape = (batch, count, length, 2 * self.units)
            encoded.append(ops.reshape(padded[start:end, :length], shape))
            places.append(ops.reshape(all_places[start:end, :length], (batch, count, length)))
            start = end
        return encoded, packed, places


class Matcher(BiLSTM):
    """Enhanced representation and its composition (equations 10-19), all sequences in one pass.

    The enhanced representation of a word x that saw x~ is [x; x~; x*x~; x-x~] (in the authors'
    order), and it meets the kernel W. With W cut into four, that is

        x (W1 + W4) + x~ (W2 - W4) + (x*x~) W3.

    The first term is the same for all candidates: it is computed once for each encoded word. The
    four-fold vector is never made.

    Args:
        width: D, the size of an encoded word.
        units, dropout: As for `BiLSTM`.
    """

    def __init__(self, width: int, units: int, dropout: float, **kwargs):
        super().__init__(4 * width, units, dropout, **kwargs)
        self.width = width

    def call(self, packed, responses, halves, live=None, training=False):
        """Composes what was seen.

        Args:
            packed: The encoder's outputs, [words that are there, D].
            responses: Their lengths [B, C], and where their words stand in `packed` [B, C, R].
            halves: For each half, context and persona: the lengths of the others [B, N], where
                their words stand in `packed` [B, N, T], what each word of the others saw
                [B, C, X, D], and what each word of the responses saw [B, C, R, D].
            live: See `Packing`.
            training: Whether to drop.

        Returns:
            For each half [max; last state] of the others, [B, C, N, 2D], and of the responses,
            [B, C, 2D]; 0 for empty rows.
        """
        rows, seen = _matched_rows(responses, halves)
        places = [responses[1], *(half[1] for half in halves)]
        steps = max(kind.shape[-1] for kind in places)
        places = ops.concatenate([_pad_rows(kind, steps) for kind in places], axis=0)
        packing = Packing(rows["lengths"], steps, live)
        kernels, own_gates = [], []
        for kernel, bias in self.directions:
            kernel, own_kernel = self._cut(kernel)
            kernels.append(kernel)  # [2D + units, 4 units]
            own_gates.append(ops.matmul(packed, own_kernel) + bias)  # [words there, 4 units]
        inputs, gates = [], ([], [])
        for step in range(steps):
            live_rows = packing.rows(step)
            # What a rounded-up step takes too much may point anywhere inside.
            own = ops.take(places[:, step], ops.take(rows["own"], live_rows))
            own = ops.minimum(own, ops.shape(packed)[0] - 1)
            x_place = ops.minimum(ops.take(rows["seen"], live_rows) + step, ops.shape(seen)[0] - 1)
            x, x_seen = ops.take(packed, own, axis=0), ops.take(seen, x_place, axis=0)
            inputs.append(ops.concatenate([x_seen, x * x_seen], axis=-1))  # [live, 2D]
            for direction in (0, 1):
                gates[direction].append(ops.take(own_gates[direction], own, axis=0))
        outputs, last = self.run(packing, inputs, kernels, gates, training)
        pooled = max_and_last(packing, outputs, last, rows["limits"])
        return _by_half(pooled, responses, halves)

    def _cut(self, kernel):
        """[[W2 - W4; W3; recurrent], W1 + W4] of a kernel [[W1; W2; W3; W4; recurrent]]."""
        w1, w2, w3, w4, recurrent = ops.split(kernel, [self.width * k for k in (1, 2, 3, 4)])
        return ops.concatenate([w2 - w4, w3, recurrent]), w1 + w4


def _matched_rows(responses, halves):
    """All sequences that the matcher runs over, and all that was seen, one after the other.

    Returns int32 vectors over the sequences: their `lengths`; the `limits` of the lengths; the row
    of the encoder's sentence that is their `own` one; where what it saw starts among all that was
    `seen`, which is [places, D].
    """
    responses_len, responses_places = responses
    batch, candidates = ops.shape(responses_len)
    turns = ops.arange(batch, dtype="int32")[:, None, None]
    pairs = turns * candidates + ops.arange(candidates, dtype="int32")[:, None]  # [B, C, 1]
    rows = {"lengths": [], "limits": [], "own": [], "seen": []}
    seen, seen_start, own_start = [], 0, batch * candidates

    def add(shape, lengths, limit, own, seen_starts):
        values = {"lengths": lengths, "limits": limit, "own": own, "seen": seen_starts}
        for name, value in values.items():
            rows[name].append(ops.reshape(ops.broadcast_to(value, shape), (-1,)))

    for others_len, others_places, seen_by_others, seen_by_responses in halves:
        _, count, words = ops.shape(others_places)
        size = ops.shape(seen_by_others)[2]  # X
        own = own_start + turns * count + ops.arange(count, dtype="int32")  # [B, 1, N]
        before = ops.cumsum(others_len, axis=1) - others_len  # words of the turn's earlier rows
        starts = seen_start + pairs * size + ops.expand_dims(before, 1)  # [B, C, N]
        add((batch, candidates, count), ops.expand_dims(others_len, 1), words, own, starts)
        seen_start += batch * candidates * size
        length = responses_places.shape[-1]
        starts = seen_start + pairs * length
        add((batch, candidates, 1), ops.expand_dims(responses_len, 2), length, pairs, starts)
        seen_start += batch * candidates * length
        own_start += batch * count
        seen += [ops.reshape(x, (-1, x.shape[-1])) for x in (seen_by_others, seen_by_responses)]
    rows = {name: ops.cast(ops.concatenate(parts), "int32") for name, parts in rows.items()}
    return rows, ops.concatenate(seen, axis=0)


def _by_half(pooled, responses, halves):
    """[all sequences, 2D] to a pair ([B, C, N, 2D], [B, C, 2D]) for each half."""
    batch, candidates = ops.shape(responses[0])
    width = pooled.shape[-1]
    features, start = [], 0
    for half in halves:
        count = half[0].shape[1]
        middle = start + batch * candidates * count
        end = middle + batch * candidates
        others = ops.reshape(pooled[start:middle], (batch, candidates, count, width))
        features.append((others, ops.reshape(pooled[middle:end], (batch, candidates, width))))
        start = end
    return features


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
        flat = ops.reshape(utterances, (-1, limit, width))  # [B*C, U, F]
        inputs = [ops.take(flat[:, step], packing.rows(step), axis=0) for step in range(limit)]
        outputs, last = self.run_whole(packing, inputs, training)
        pooled = max_and_last(packing, outputs, last, ops.full_like(lengths, limit))
        return ops.reshape(pooled, (batch, candidates, 4 * self.units))


def _pad_rows(words, steps: int):
    """[B, N, T] to [B*N, steps]."""
    flat = ops.reshape(words, (-1, words.shape[-1]))
    return ops.pad(flat, ((0, 0), (0, steps - words.shape[-1])))
