"""The parts of DIM, each with its equation in Gu et al. (2019).

Shapes: B batch, U utterances, P profiles, C candidates, L words of an utterance, R of a response, Q
of a profile, W characters of a word, D = 2 x units; N of T words, X = N*T in all, stands for the U
utterances of L words or the P profiles of Q words.
Masks are arguments: 1.0 where there is a word, 0.0 elsewhere; Keras' own masking is not used.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, PROJECTION_UNITS

MASKED_SCORE = -1e9


def length_mask(lengths, size: int):
    """1.0 before each length and 0.0 from there on.

    Args:
        lengths: int, shape [...].
        size: Length of the new last axis.

    Returns:
        float32, shape [..., size].

    >>> ops.convert_to_numpy(length_mask(np.array([2, 0]), 3)).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    positions = ops.arange(size, dtype="int32")
    return ops.cast(ops.less(positions, ops.expand_dims(lengths, -1)), "float32")


def masked_softmax(scores, mask, axis: int = -1):
    """Softmax along `axis` over what the mask lets through; uniform where it lets nothing through.

    >>> scores = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    >>> mask = np.array([[1.0, 0.0], [0.0, 0.0]], "float32")
    >>> ops.convert_to_numpy(masked_softmax(scores, mask)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    return ops.softmax(scores * mask + MASKED_SCORE * (1.0 - mask), axis=axis)


class WordEmbedding(keras.layers.Layer):
    """Frozen word vectors; [...] int -> [..., word_dim].

    The table belongs to the vocabulary, not to the weights: a weights file does not hold it.

    Args:
        vectors: float32, shape [V, word_dim]. Every row is a row like any other.
    """

    def __init__(self, vectors: np.ndarray, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.vectors = self.add_weight(
            name="vectors", shape=vectors.shape, dtype="float32", initializer="zeros"
        )
        self.vectors.assign(vectors)

    def call(self, words):
        return ops.take(self.vectors, words, axis=0)

    def save_own_variables(self, store):
        """Saves nothing: the run folder keeps the vectors beside the words."""

    def load_own_variables(self, store):
        """Loads nothing: the vectors are given when the model is built."""


class CharacterCNN(keras.layers.Layer):
    """Character features of words: one-hot, convolution, ReLU, max; [..., W] int -> [..., 150].

    Id 0 is a row of zeros. The maximum goes over all windows, those in the padding too, so that a
    word of padding alone has max(0, bias) for its features.

    Args:
        vocabulary_size: Rows of the character table, row 0 included.
    """

    def __init__(self, vocabulary_size: int, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.convolutions = [
            keras.layers.Conv1D(
                CHARACTER_FILTERS,
                width,
                activation="relu",
                bias_initializer="glorot_uniform",
                name=f"width_{width}",
            )
            for width in CHARACTER_WIDTHS
        ]

    def build(self, input_shape):
        for convolution in self.convolutions:
            convolution.build((None, input_shape[-1], self.vocabulary_size))

    def call(self, characters):
        shape = ops.shape(characters)
        flat = ops.reshape(characters, (-1, shape[-1]))  # [N, W]
        # Column 0 of the one-hot rows stands for id 0, which is to be all zero.
        one_hot = ops.one_hot(flat, self.vocabulary_size) * ops.cast(
            ops.expand_dims(flat > 0, -1), "float32"
        )  # [N, W, vocabulary]
        features = [ops.max(layer(one_hot), axis=1) for layer in self.convolutions]
        features = ops.concatenate(features, axis=-1)  # [N, 150]
        return ops.reshape(features, (*shape[:-1], CHARACTER_FILTERS * len(CHARACTER_WIDTHS)))


class BiLSTM(keras.layers.Layer):
    """A bidirectional LSTM over sequences of given lengths (equations 4-6, 12-15 and 20).

    Past the length the output is 0 and the state stands still; the backward direction starts at
    the last real step. An empty sequence has output and state 0. The weights are those of
    TensorFlow 1's `LSTMCell`: one kernel [input_dim + units, 4 x units] a direction, the gates in
    the order input, candidate, forget, output, and 1.0 added to the forget gate at run time.

    Args:
        input_dim: Size of an input vector.
        units: Units of each direction.
    """

    def __init__(self, input_dim: int, units: int, **kwargs):
        super().__init__(**kwargs)
        self.input_dim, self.units = input_dim, units
        self.forward_kernel, self.forward_bias = self._add_direction("forward")
        self.backward_kernel, self.backward_bias = self._add_direction("backward")

    def _add_direction(self, name: str):
        kernel = self.add_weight(
            name=f"{name}_kernel",
            shape=(self.input_dim + self.units, 4 * self.units),
            initializer="glorot_uniform",
        )
        return kernel, self.add_weight(
            name=f"{name}_bias", shape=(4 * self.units,), initializer="zeros"
        )

    def call(self, sequences, lengths):
        """Runs both directions.

        Args:
            sequences: float32, shape [..., T, input_dim].
            lengths: int, shape [...] or one that broadcasts to it.

        Returns:
            The outputs [..., T, D] and the last state h of both directions [..., D].
        """
        shape = ops.shape(sequences)
        steps = sequences.shape[-2]
        flat = ops.reshape(sequences, (-1, steps, self.input_dim))  # [N, T, input_dim]
        lengths = ops.reshape(ops.broadcast_to(lengths, shape[:-2]), (-1,))  # [N]
        mask = length_mask(lengths, steps)  # [N, T]
        forward, forward_last = self._run(
            flat, mask, self.forward_kernel, self.forward_bias, reverse=False
        )
        backward, backward_last = self._run(
            flat, mask, self.backward_kernel, self.backward_bias, reverse=True
        )
        outputs = ops.concatenate([forward, backward], axis=-1)  # [N, T, D]
        last = ops.concatenate([forward_last, backward_last], axis=-1)  # [N, D]
        return (
            ops.reshape(outputs, (*shape[:-1], 2 * self.units)),
            ops.reshape(last, (*shape[:-2], 2 * self.units)),
        )

    def _run(self, sequences, mask, kernel, bias, *, reverse: bool):
        """One direction: outputs [N, T, units] and the last state h [N, units]."""
        # What the inputs add to the gates is one product for all steps.
        from_inputs = ops.matmul(sequences, kernel[: self.input_dim]) + bias  # [N, T, 4 units]
        recurrent_kernel = kernel[self.input_dim :]
        steps = sequences.shape[1]
        outputs = [None] * steps
        cell = hidden = ops.zeros_like(from_inputs[:, 0, : self.units])  # [N, units]
        for step in reversed(range(steps)) if reverse else range(steps):
            live = mask[:, step, None]  # [N, 1]
            gates = from_inputs[:, step] + ops.matmul(hidden, recurrent_kernel)
            new_cell, new_hidden = lstm_cell(gates, cell)
            cell = cell + live * (new_cell - cell)
            outputs[step] = live * new_hidden
            hidden = outputs[step] + (1.0 - live) * hidden
        return ops.stack(outputs, axis=1), hidden


def lstm_cell(gates, cell):
    """One step of an LSTM: gates [N, 4 units] and cell [N, units] -> new cell and hidden state."""
    enter, candidate, forget, leave = ops.split(gates, 4, axis=-1)
    cell = ops.sigmoid(forget + 1.0) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
    return cell, ops.sigmoid(leave) * ops.tanh(cell)


class CrossAttention(keras.layers.Layer):
    """Responses and a context (or persona) attend to each other (equations 7-9).

    The similarity is the bare dot product. Only the axis summed over is masked.
    """

    def call(self, responses, others, responses_mask, others_mask):
        """Attends both ways.

        Args:
            responses: Encoded candidates, [B, C, R, D].
            others: Encoded utterances or profiles, [B, N, T, D]; N*T = X words.
            responses_mask: [B, C, R].
            others_mask: [B, N, T].

        Returns:
            What each response word saw in the others [B, C, R, D], what each word of the others
            saw in each response [B, C, N, T, D], and the weights of the former [B, C, R, X].
        """
        batch, count, steps, width = ops.shape(others)
        words = ops.reshape(others, (batch, count * steps, width))  # [B, X, D]
        words_mask = ops.reshape(others_mask, (batch, 1, 1, count * steps))
        similarity = ops.einsum("bcrd,bxd->bcrx", responses, words)  # [B, C, R, X]
        to_others = masked_softmax(similarity, words_mask, axis=3)
        to_responses = masked_softmax(similarity, ops.expand_dims(responses_mask, 3), axis=2)
        seen_by_responses = ops.einsum("bcrx,bxd->bcrd", to_others, words)
        seen_by_others = ops.einsum("bcrx,bcrd->bcxd", to_responses, responses)  # [B, C, X, D]
        candidates = ops.shape(responses)[1]
        seen_by_others = ops.reshape(seen_by_others, (batch, candidates, count, steps, width))
        return seen_by_responses, seen_by_others, to_others


class Enhancement(keras.layers.Layer):
    """[x; x~; x*x~; x-x~] (equations 10 and 11, in the authors' order).

    x, of a shape that broadcasts to that of x~, and x~ [..., D] -> [..., 4D].
    """

    def call(self, own, seen):
        own = ops.broadcast_to(own, ops.shape(seen))
        return ops.concatenate([own, seen, own * seen, own - seen], axis=-1)


class MaxAndLast(keras.layers.Layer):
    """[max over the steps; last state] (equations 16-19); [..., T, D], [..., D] -> [..., 2D].

    The steps past the end take part with their zeros.
    """

    def call(self, outputs, last):
        return ops.concatenate([ops.max(outputs, axis=-2), last], axis=-1)


class AttentivePooling(keras.layers.Layer):
    """Weighs profiles by softmax(relu(p.w + b)) and adds them up (equations 22 and 23).

    [..., P, F] and mask [..., P] -> [..., F].
    """

    def build(self, vectors_shape, mask_shape=None):
        self.kernel = self.add_weight(
            name="kernel", shape=(vectors_shape[-1], 1), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, vectors, mask):
        scores = ops.relu(ops.matmul(vectors, self.kernel) + self.bias)[..., 0]  # [..., P]
        weights = masked_softmax(scores, mask)  # [..., P]
        return ops.einsum("...p,...pf->...f", weights, vectors)


class Prediction(keras.layers.Layer):
    """The MLP that scores a candidate's joined feature; [..., F] -> [...].

    The last bias is one scalar for all candidates: the softmax cancels it.
    """

    def __init__(self, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(PROJECTION_UNITS, activation="relu", name="hidden")
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, features_shape):
        self.hidden.build(features_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(PROJECTION_UNITS, 1), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(
            name="bias", shape=(1,), initializer=keras.initializers.Constant(0.1)
        )

    def call(self, features, training=False):
        hidden = self.dropout(self.hidden(features), training=training)
        return (ops.matmul(hidden, self.kernel) + self.bias)[..., 0]
