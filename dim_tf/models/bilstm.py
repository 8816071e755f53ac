"""The three BiLSTMs of DIM: over words, over enhanced words, and over utterances.

Each runs over packed sequences, see `dim_tf.packing.packed_sequence`. Letters as in
`dim_tf.models.layers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from dim_tf.models.layers import AttentionWeights
from dim_tf.models.lstm import run_lstm
from dim_tf.packing.layout import SOURCES, EncoderBatch, PackedBatch, RowLayout, Tensor
from dim_tf.packing.packed_sequence import PackedRows, PackedSentences


class BiLSTM(keras.layers.Layer):
    """A bidirectional LSTM over packed sequences.

    The weights are those of TensorFlow 1's `LSTMCell`: one kernel [input_dim + units, 4 x units] a
    direction, the gates in the order input, candidate, forget, output, and 1.0 added to the forget
    gate at run time. The backward direction starts at the last word of a row.

    Args:
        input_dim: int. Size of an input vector.
        units: int. Units of each direction.
        dropout: float. Fraction of the outputs that is dropped; not of the last state.
    """

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_dim, self.units = input_dim, units
        self.output_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.directions = [self._add_direction(name) for name in ("forward", "backward")]

    def _add_direction(self, name: str) -> tuple[keras.Variable, keras.Variable]:
        shape = (self.input_dim + self.units, 4 * self.units)
        kernel = self.add_weight(name=f"{name}_kernel", shape=shape, initializer="glorot_uniform")
        bias = self.add_weight(name=f"{name}_bias", shape=shape[1:], initializer="zeros")
        return kernel, bias

    def run(self, rows: PackedRows, gates: list[Tensor], training: bool) -> tuple[Tensor, Tensor]:
        """Runs both directions.

        Args:
            rows: PackedRows. The packed rows.
            gates: For each direction the gate pre-activations of input and bias, [M, 4 units].
            training: bool. Whether dropout is active.

        Returns:
            The outputs of all words, [M, D], undefined at masked words; and the last state h of
            both directions of each sorted row, [batch_sizes[0], D].
        """
        outputs, last = [], []
        for (kernel, _), gate, backward in zip(self.directions, gates, (False, True), strict=True):
            hidden = run_lstm(rows, gate, kernel[self.input_dim :], backward)
            outputs.append(hidden)
            last.append(hidden[: rows.batch_sizes[0]] if backward else rows.last_words(hidden))
        joined = self.output_dropout(ops.concatenate(outputs, axis=-1), training=training)
        return joined, ops.concatenate(last, axis=-1)

    def run_on_inputs(
        self, rows: PackedRows, inputs: Tensor, training: bool
    ) -> tuple[Tensor, Tensor]:
        """`run` on input vectors [M, input_dim]."""
        gates = [
            ops.matmul(inputs, kernel[: self.input_dim]) + bias for kernel, bias in self.directions
        ]
        return self.run(rows, gates, training)


class Encoder(BiLSTM):
    """Sentence encoding (equations 4-6): utterances, responses and profiles in one pass."""

    def __init__(self, input_dim: int, units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(input_dim, units, dropout, **kwargs)
        self.input_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def call(
        self, vectors: Tensor, sentences: EncoderBatch, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Encodes sentences.

        Args:
            vectors: [W, input_dim]. The embedded distinct words.
            sentences: EncoderBatch. The sentences.
            training: bool. Whether dropout is active.

        Returns:
            The packed outputs, [M, D], and the last states of the sorted rows, [N, D].
        """
        vectors = ops.take(vectors, sentences.word_index, axis=0)  # [M, input_dim]
        vectors = self.input_dropout(vectors, training=training)
        return self.run_on_inputs(PackedRows(sentences.rows), vectors, training)


class Matcher(BiLSTM):
    """Enhanced representation and its composition (equations 10-19), all sequences in one pass.

    The enhanced representation of a word x with the attended vector x~ is [x; x~; x*x~; x-x~] (in
    the authors' order). With the kernel cut into four parts, its product with the kernel is

        x (W1 + W4) + x~ (W2 - W4) + (x*x~) W3.

    The first term, `input_term`, is the same for all candidates: it is computed once for each
    encoded word. x~ is a weighted sum of values (equations 8 and 9), so the second is the weighted
    sum of values (W2 - W4), `attended_term`: projected once per value rather than once per
    attending word. The four-fold vector is never made.

    Args:
        width: int. D, the size of an encoded word.
        units, dropout: As for `BiLSTM`.
    """

    def __init__(self, width: int, units: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(4 * width, units, dropout, **kwargs)
        self.width = width

    def call(
        self,
        states: Tensor,
        batch: PackedBatch,
        attention: Mapping[str, AttentionWeights],
        training: bool = False,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Composes all sequences of a batch.

        Args:
            states: [M, D]. The encoded words of all sentences.
            batch: PackedBatch. The batch.
            attention: For each source its attention weights.
            training: bool. Whether dropout is active.

        Returns:
            For each source [max; last state] of its sentences, [B, N, C, 2D], and of the responses
            that attend to it, [B, C, 2D]; 0 for empty sentences.
        """
        sources = [source for source in SOURCES if source in attention]
        responses = PackedSentences(batch.responses, len(sources))
        input_terms, value_terms, w3s = [], [], []  # of both directions
        for kernel, bias in self.directions:
            w1, w2, w3, w4, _ = ops.split(kernel, [self.width * k for k in (1, 2, 3, 4)])
            input_terms.append(ops.matmul(states, w1 + w4) + bias)  # [M, 4 units]
            value_terms.append(ops.matmul(states, w2 - w4))  # [M, 4 units]
            w3s.append(w3)
        values = [states, *value_terms]
        response_values = [responses.to_grid(value) for value in values]  # [B, C, R, F]

        def compose(sentences: PackedSentences, attended: list[Tensor]) -> Tensor:
            """[max; last state] of sentences whose words attended to [M, copies, F]."""
            x_tilde, *attended_terms = attended

            def copied(table: Tensor) -> Tensor:  # [M, F] to [M, 1, F]
                return ops.expand_dims(ops.take(table, sentences.word_index, axis=0), 1)

            products = _as_rows(copied(states) * x_tilde)  # [M * copies, D]
            gates = [
                ops.matmul(products, w3) + _as_rows(attended_term + copied(input_term))
                for w3, attended_term, input_term in zip(
                    w3s, attended_terms, input_terms, strict=True
                )
            ]  # (10-11)
            outputs, last = self.run(sentences.rows, gates, training)  # (12-15)
            pooled = sentences.rows.max_pool(outputs)
            return sentences.rows.unsort(ops.concatenate([pooled, last], axis=-1))  # (16-19)

        matched, by_source = {}, []
        for source in sources:
            weights = attention[source]
            sentences = PackedSentences(batch.source(source), ops.shape(weights.to_source)[1])
            attended = [
                sentences.pack_copies(ops.matmul(weights.to_responses, value))  # [M, C, F]  (8)
                for value in response_values
            ]
            matched[source] = compose(sentences, attended)  # [B, N, C, 2D]
            by_source.append(
                [
                    responses.pack(_attend(weights.to_source, sentences.to_grid(value)))  # (9)
                    for value in values
                ]
            )
        attended = [ops.stack(parts, axis=1) for parts in zip(*by_source, strict=True)]
        composed = compose(responses, attended)  # [B, C, sources, 2D]
        return matched, {source: composed[:, :, k] for k, source in enumerate(sources)}


class Aggregator(BiLSTM):
    """Utterances to a context (equations 20 and 21)."""

    def call(self, utterances: Tensor, contexts: RowLayout, training: bool = False) -> Tensor:
        """Aggregates.

        Args:
            utterances: [B, U, C, F]. The vectors of the utterances.
            contexts: RowLayout. The contexts as rows of utterances.
            training: bool. Whether dropout is active.

        Returns:
            [max over the utterances; last state], [B, C, 4 x units].
        """
        copies = ops.shape(utterances)[2]
        rows = PackedRows(contexts, copies)
        flat = ops.reshape(utterances, (-1, copies, utterances.shape[-1]))  # [B*U, C, F]
        inputs = _as_rows(ops.take(flat, contexts.flat_index, axis=0))  # [M, F]
        outputs, last = self.run_on_inputs(rows, inputs, training)  # (20)
        return rows.unsort(ops.concatenate([rows.max_pool(outputs), last], axis=-1))  # (21)


def _as_rows(tensor: Tensor) -> Tensor:
    """[..., F] to [rows, F]."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _attend(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sums of values shared by all candidates; [B, C, Y, X], [B, X, F] -> [B, C, Y, F]."""
    batch, candidates, rows, columns = ops.shape(weights)
    flat = ops.reshape(weights, (batch, candidates * rows, columns))
    return ops.reshape(ops.matmul(flat, values), (batch, candidates, rows, values.shape[-1]))
