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
from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.buckets import ALL_PADDED
from dim_tf.packing.packed_sequence import Packing

MASKED_SCORE = -1e9


def masked_softmax(scores, mask, axis: int = -1):
    """Softmax along `axis` over what the mask lets through; uniform where it lets nothing through.

    It is computed in float32 at least, and has the dtype of the scores.

    >>> scores = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    >>> mask = np.array([[1.0, 0.0], [0.0, 0.0]], "float32")
    >>> ops.convert_to_numpy(masked_softmax(scores, mask)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    dtype, wide = scores.dtype, at_least_float32(scores.dtype)
    scores, mask = ops.cast(scores, wide), ops.cast(mask, wide)
    scores = scores * mask + MASKED_SCORE * (1.0 - mask)
    # Not keras.ops.softmax: it warns where an axis happens to have one place.
    powers = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=axis, keepdims=True)))
    return ops.cast(powers / ops.sum(powers, axis=axis, keepdims=True), dtype)


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
                data_format="channels_last",
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
        one_hot = ops.one_hot(flat, self.vocabulary_size, dtype=self.compute_dtype) * ops.cast(
            ops.expand_dims(flat > 0, -1), self.compute_dtype
        )  # [N, W, vocabulary]
        features = [ops.max(layer(one_hot), axis=1) for layer in self.convolutions]
        features = ops.concatenate(features, axis=-1)  # [N, 150]
        return ops.reshape(features, (*shape[:-1], CHARACTER_FILTERS * len(CHARACTER_WIDTHS)))


class CrossAttention(keras.layers.Layer):
    """Responses and a context (or persona) attend to each other (equations 7-9).

    The similarity is the bare dot product. Only the axis summed over is masked. The words of the
    others stand side by side: about half of the places of a padded context are empty.
    """

    def call(self, responses, others, responses_mask, others_mask):
        """Attends both ways.

        Args:
            responses: Encoded candidates, [B, C, R, D].
            others: The encoded words of all utterances or profiles of a turn, [B, X, D].
            responses_mask: Which words are there, float32 [B, C, R].
            others_mask: The same, [B, X].

        Returns:
            What the others look at in the responses, [B, C, X, R], and what the responses look at
            among them, [B, C, R, X]; 0 from and to words that are not there. What is seen is
            weights @ words (equation 9).
        """
        batch, candidates, length, width = ops.shape(responses)
        size = ops.shape(others)[1]
        flat = ops.reshape(responses, (batch, candidates * length, width))
        similarity = ops.matmul(flat, ops.transpose(others, (0, 2, 1)))
        similarity = ops.reshape(similarity, (batch, candidates, length, size))
        others_mask = ops.reshape(others_mask, (batch, 1, 1, size))
        responses_mask = ops.expand_dims(responses_mask, 3)  # [B, C, R, 1]
        there = responses_mask * others_mask  # [B, C, R, X]
        to_others = masked_softmax(similarity, others_mask, axis=3) * there
        to_responses = masked_softmax(similarity, responses_mask, axis=2) * there
        return ops.transpose(to_responses, (0, 1, 3, 2)), to_others


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


# How IMN is given a persona: profiles are added to vectors of the context (equations 1-3).


class ProfileVectors(keras.layers.Layer):
    """The vector of each profile: [max; last state] of the encoder's outputs."""

    def call(self, outputs, last, plan, utterances, personas, sizes=ALL_PADDED, training=False):
        """Pools.

        Args:
            outputs: Of the encoder, for all packed words, [M, D]; others may follow.
            last: Its last states, [live[0], D].
            plan: The encoder's.
            utterances: [B, U], for its shape: their rows stand before those of the profiles.
            personas: [B, P], for its shape.
            sizes: Those of the batch.
            training: Changes nothing.

        Returns:
            [B, P, 2D], 0 for empty profiles.
        """
        packing = Packing(plan, sizes.encoder)
        pooled = packing.maximum(outputs[: ops.shape(plan["there"])[0]])
        rows = packing.restore(ops.concatenate([pooled, last], axis=-1))
        batch, count = ops.shape(utterances)
        start, (_, profiles) = batch * count, ops.shape(personas)
        rows = rows[start : start + batch * profiles]
        return ops.reshape(rows, (batch, profiles, 2 * outputs.shape[-1]))

    def compute_output_spec(self, outputs, last, plan, utterances, personas, **options):
        """The shape that `call` gives."""
        shape = (*personas.shape, 2 * outputs.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


class Fusion(keras.layers.Layer):
    """v + sum over the profiles of softmax(v . p_n) p_n (equations 1 and 2).

    The paper leaves open how p_n is encoded and whether the product is scaled. Here a profile goes
    through the encoder of all sentences and is pooled like every other sequence, so that it has the
    size of v; the product is bare, as in the matching (equation 7). Without profiles v stays.
    """

    def call(self, vectors, profiles, mask):
        """Adds.

        Args:
            vectors: [B, ..., F].
            profiles: [B, P, F], 0 where there is none.
            mask: 1.0 where there is a profile, float32 [B, P].

        Returns:
            Of the shape of `vectors`.
        """
        shape = ops.shape(vectors)
        flat = ops.reshape(vectors, (shape[0], -1, vectors.shape[-1]))  # [B, Y, F]
        scores = ops.matmul(flat, ops.transpose(profiles, (0, 2, 1)))  # [B, Y, P]
        weights = masked_softmax(scores, ops.expand_dims(mask, 1))
        return ops.reshape(flat + ops.matmul(weights, profiles), shape)

    def compute_output_spec(self, vectors, profiles, mask):
        """The shape that `call` gives."""
        return keras.KerasTensor(vectors.shape, dtype=self.compute_dtype)
