"""The three BiLSTMs of DIM: over words, over what words saw, and over utterances.

Each works on packed sequences, see `dim_tf.packing.packed_sequence`. Letters as in
`dim_tf.models.layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from dim_tf.models.lstm import run_lstm
from dim_tf.packing.buckets import ALL_PADDED
from dim_tf.packing.packed_sequence import Packing, Sequences


class BiLSTM(keras.layers.Layer):
    """A bidirectional LSTM over packed sequences: the core of the three that DIM has.

    The weights are those of TensorFlow 1's `LSTMCell`: one kernel [input_dim + units, 4 x units] a
    direction, the gates in the order input, candidate, forget, output, and 1.0 added to the forget
    gate at run time. The backward direction starts at the last word of a row.

    Args:
        input_dim: Size of an input vector.
        units: Units of each direction.
        dropout: Fraction dropped from the outputs, not from the last state.
    """

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.input_dim, self.units = input_dim, units
        self.output_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.directions = [self._add_direction(name) for name in ("forward", "backward")]

    def _add_direction(self, name: str):
        shape = (self.input_dim + self.units, 4 * self.units)
        kernel = self.add_weight(name=f"{name}_kernel", shape=shape, initializer="glorot_uniform")
        bias = self.add_weight(name=f"{name}_bias", shape=shape[1:], initializer="zeros")
        return kernel, bias

    def run(self, packing: Packing, gates, training):
        """Runs both directions.

        Args:
            packing: Of the rows.
            gates: For each direction what the inputs and the bias put into the gates of each word,
                [M, 4 units].
            training: Whether to drop.

        Returns:
            The outputs of all words, [M, D], those that are not there of no meaning; and the last
            state h of both directions for each live row, [live[0], D].
        """
        outputs, last = [], []
        for (kernel, _), gate, backward in zip(self.directions, gates, (False, True), strict=True):
            hidden = run_lstm(packing, gate, kernel[self.input_dim :], backward)
            outputs.append(hidden)
            last.append(hidden[: packing.live[0]] if backward else packing.ends(hidden))
        outputs = self.output_dropout(ops.concatenate(outputs, axis=-1), training=training)
        return outputs, ops.concatenate(last, axis=-1)

    def spec(self, *shape):
        """A tensor of the layer, to be computed."""
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def run_whole(self, packing: Packing, inputs, training):
        """`run` on inputs [M, input_dim] that meet the whole kernels."""
        gates = [
            ops.matmul(inputs, kernel[: self.input_dim]) + bias for kernel, bias in self.directions
        ]
        return self.run(packing, gates, training)


class Encoder(BiLSTM):
    """Sentence encoding (equations 4-6): utterances, responses and profiles in one pass."""

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs):
        super().__init__(input_dim, units, dropout, **kwargs)
        self.input_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def call(self, vectors, plan, sizes=ALL_PADDED, training=False):
        """Encodes sentences.

        Args:
            vectors: Of each distinct word, [words, input_dim].
            plan: Of all sentences; `words` int32 [M]: the packed words, as rows of `vectors`.
            sizes: Those of the batch.
            training: Whether to drop.

        Returns:
            The packed outputs, [M, D], and the last states, [live[0], D].
        """
        packing = Packing(plan, sizes.encoder)
        vectors = ops.take(vectors, plan["words"], axis=0)  # [M, input_dim]
        return self.run_whole(packing, self.input_dropout(vectors, training=training), training)

    def compute_output_spec(self, vectors, plan, **options):
        """The shapes that `call` gives; Keras cannot tell which sizes unknown yet are the same."""
        return self.spec(None, 2 * self.units), self.spec(None, 2 * self.units)


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
        halves: What the responses are matched with: "utterances", "personas" or both.
    """

    def __init__(self, width: int, units: int, dropout: float, halves: Sequence[str], **kwargs):
        super().__init__(4 * width, units, dropout, **kwargs)
        self.width, self.halves = width, tuple(halves)

    def call(self, encoded, responses, halves, sizes=ALL_PADDED, training=False):
        """Composes all sequences of a batch.

        Args:
            encoded: The words of all sentences, packed by the encoder, [M, D].
            responses: The plan of the responses, see `Sequences`.
            halves: For each of them the plan of its utterances or profiles, and
                the weights of `CrossAttention`: to_responses [B, C, X, R] and to_others
                [B, C, R, X].
            sizes: Those of the batch.
            training: Whether to drop.

        Returns:
            For each half [max; last state] of the others, [B, N, C, 2D]; and of the responses,
            [B, C, halves, 2D]; 0 for empty rows.
        """
        responses = Sequences(responses, sizes.responses, len(halves))
        # Each word's own part of the gates, and what it puts into the gates of a word that sees it.
        own, seen, kernels = [], [], []
        for kernel, bias in self.directions:
            w1, w2, w3, w4, _ = ops.split(kernel, [self.width * k for k in (1, 2, 3, 4)])
            own.append(ops.matmul(encoded, w1 + w4) + bias)  # [M, 4 units]
            seen.append(ops.matmul(encoded, w2 - w4))
            kernels.append(w3)
        values = [encoded, *seen]
        of_responses = [responses.grid_of(value) for value in values]  # [B, C, R, F]

        features, of_halves = [], []
        for name, (others, to_responses, to_others) in zip(self.halves, halves, strict=True):
            others = Sequences(others, getattr(sizes, name), ops.shape(to_others)[1])
            # x~ of the words of the others, and that times (W2 - W4): [words, C, F]
            attended = [
                others.packed_copies(ops.matmul(to_responses, value)) for value in of_responses
            ]
            features.append(self._compose(others, encoded, own, attended, kernels, training))
            of_halves.append(
                [responses.packed(_attend(to_others, others.grid_of(value))) for value in values]
            )
        attended = [ops.stack(parts, axis=1) for parts in zip(*of_halves, strict=True)]
        features.append(self._compose(responses, encoded, own, attended, kernels, training))
        return features

    def compute_output_spec(self, encoded, responses, halves, **options):
        """The shapes that `call` gives."""
        batch, candidates = responses["ranks"].shape
        counts = [others["ranks"].shape[1] for others, *_ in halves]
        shapes = [(batch, count, candidates) for count in counts]
        shapes.append((batch, candidates, len(halves)))
        return [self.spec(*shape, 4 * self.units) for shape in shapes]

    def _compose(self, sequences, encoded, own, attended, kernels, training):
        """[max; last state] of sequences whose words saw [words, C, F]."""
        packing, (seen, *seen_gates) = sequences.packing, attended

        def with_copies(table):  # [M, F] to [words, 1, F]
            return ops.expand_dims(ops.take(table, sequences.words, axis=0), 1)

        products = _as_rows(with_copies(encoded) * seen)  # [words * C, D]
        gates = [
            ops.matmul(products, kernel) + _as_rows(seen_gate + with_copies(table))
            for kernel, seen_gate, table in zip(kernels, seen_gates, own, strict=True)
        ]
        outputs, last = self.run(packing, gates, training)
        return packing.restore(ops.concatenate([packing.maximum(outputs), last], axis=-1))


class Aggregator(BiLSTM):
    """Utterances to a context (equations 20 and 21)."""

    def call(self, utterances, plan, sizes=ALL_PADDED, training=False):
        """Aggregates.

        Args:
            utterances: [B, U, C, F].
            plan: Of the B contexts, as rows of utterances.
            sizes: Those of the batch.
            training: Whether to drop.

        Returns:
            [max over the utterances; last state], [B, C, D'] with D' = 4 x units.
        """
        copies = ops.shape(utterances)[2]
        packing = Packing(plan, sizes.contexts, copies)
        flat = ops.reshape(utterances, (-1, copies, utterances.shape[-1]))  # [B*U, C, F]
        inputs = _as_rows(ops.take(flat, plan["places"], axis=0))  # [M, F]
        outputs, last = self.run_whole(packing, inputs, training)
        return packing.restore(ops.concatenate([packing.maximum(outputs), last], axis=-1))

    def compute_output_spec(self, utterances, plan, **options):
        """The shape that `call` gives."""
        batch, _, candidates, _ = utterances.shape
        return self.spec(batch, candidates, 4 * self.units)


def _as_rows(tensor):
    """[..., F] to [rows, F]."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _attend(weights, values):
    """Weighted sums of values shared by all candidates; [B, C, Y, X], [B, X, F] -> [B, C, Y, F]."""
    batch, candidates, rows, columns = ops.shape(weights)
    flat = ops.reshape(weights, (batch, candidates * rows, columns))
    return ops.reshape(ops.matmul(flat, values), (batch, candidates, rows, values.shape[-1]))
