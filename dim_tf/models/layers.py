"""The layers of DIM other than its LSTMs, each with its equation in Gu et al. (2019).

Shapes: B batch, U utterances, P profiles, C candidates, R words of a response, W characters of a
word, D = 2 x units, F features; M packed words; X words of a context or persona side by side.
Masks are arguments, 1.0 for a word and 0.0 for padding; Keras' own masking is not used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, PROJECTION_UNITS
from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.layout import SentenceLayout, Tensor

CHARACTER_FEATURES = CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
MASKED_SCORE = -1e9
VECTORS = "vectors.npy"


def masked_softmax(scores: Tensor, mask: Tensor, axis: int = -1) -> Tensor:
    """Softmax along `axis` over the unmasked scores; uniform where all are masked.

    It is computed in at least float32, and has the dtype of the scores.

    >>> scores = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    >>> mask = np.array([[1.0, 0.0], [0.0, 0.0]], "float32")
    >>> ops.convert_to_numpy(masked_softmax(scores, mask)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    dtype, wide = scores.dtype, at_least_float32(scores.dtype)
    scores, mask = ops.cast(scores, wide), ops.cast(mask, wide)
    scores = scores * mask + MASKED_SCORE * (1.0 - mask)
    # Not keras.ops.softmax: it warns where an axis happens to have one element.
    powers = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=axis, keepdims=True)))
    return ops.cast(powers / ops.sum(powers, axis=axis, keepdims=True), dtype)


class WordEmbedding(keras.layers.Layer):
    """Frozen word vectors; [...] int -> [..., word_dim].

    The vectors belong to the vocabulary. `model.save` keeps them as an asset of its archive; a
    weights file does not hold them.

    Args:
        vectors: float32 [V, word_dim].
    """

    def __init__(self, vectors: np.ndarray, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.vectors = self.add_weight(
            name="vectors", shape=vectors.shape, dtype="float32", initializer="zeros"
        )
        self.vectors.assign(vectors)

    def call(self, words: Tensor) -> Tensor:
        return ops.take(self.vectors, words, axis=0)

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing into a weights file: a run folder has a file of its own for vectors."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing: the vectors are given when the model is built."""

    def save_assets(self, folder: str | os.PathLike) -> None:
        """Saves the vectors into the archive of `model.save`."""
        np.save(Path(folder, VECTORS), ops.convert_to_numpy(self.vectors), allow_pickle=False)

    def load_assets(self, folder: str | os.PathLike) -> None:
        """Loads the vectors from the archive of `model.save`."""
        self.vectors.assign(np.load(Path(folder, VECTORS), allow_pickle=False))


class CharacterCNN(keras.layers.Layer):
    """Character features of words: one-hot, convolution, ReLU, max; [..., W] int -> [..., 150].

    Id 0 is a row of zeros. The maximum is over all windows, those in the padding too: a word of
    padding has the features max(0, bias).

    Args:
        vocabulary_size: int. Rows of the character table, row 0 included.
    """

    def __init__(self, vocabulary_size: int, **kwargs: Any) -> None:
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

    def build(self, input_shape: Any) -> None:
        for convolution in self.convolutions:
            convolution.build((None, input_shape[-1], self.vocabulary_size))

    def call(self, characters: Tensor) -> Tensor:
        shape = ops.shape(characters)
        flat = ops.reshape(characters, (-1, shape[-1]))  # [words, W]
        # Column 0 of the one-hot rows is id 0, which has to be all zero.
        one_hot = ops.one_hot(flat, self.vocabulary_size, dtype=self.compute_dtype) * ops.cast(
            ops.expand_dims(flat > 0, -1), self.compute_dtype
        )  # [words, W, vocabulary]
        features = [ops.max(layer(one_hot), axis=1) for layer in self.convolutions]
        joined = ops.concatenate(features, axis=-1)  # [words, 150]
        return ops.reshape(joined, (*shape[:-1], CHARACTER_FEATURES))


class AttentionWeights(NamedTuple):
    """The weights of equations 8 and 9; 0 from and to padding.

    Args:
        to_responses: [B, C, X, R]. Weights of the words of a response, for each source word.
        to_source: [B, C, R, X]. Weights of the source words, for each word of a response.
    """

    to_responses: Tensor
    to_source: Tensor


class CrossAttention(keras.layers.Layer):
    """Responses and a source, the context or the persona, attend to each other (equations 7-9).

    The similarity is the bare dot product. Each softmax is masked on the axis that it sums over.
    Both weights are then set to 0 at the padding of either side: `permute` drops their gradients.
    """

    def call(
        self, states: Tensor, responses: SentenceLayout, source: SentenceLayout
    ) -> AttentionWeights:
        """Computes the weights.

        Args:
            states: [M, D]. The encoded words of all sentences.
            responses: SentenceLayout. The candidates.
            source: SentenceLayout. The utterances, or the profiles.
        """
        response_words = ops.take(states, responses.grid, axis=0)  # [B, C, R, D]
        source_words = ops.take(states, source.grid, axis=0)  # [B, X, D]
        batch, candidates, length, width = ops.shape(response_words)
        size = ops.shape(source_words)[1]
        flat = ops.reshape(response_words, (batch, candidates * length, width))
        similarity = ops.matmul(flat, ops.transpose(source_words, (0, 2, 1)))  # (7)
        similarity = ops.reshape(similarity, (batch, candidates, length, size))  # [B, C, R, X]
        source_mask = ops.reshape(source.grid_mask, (batch, 1, 1, size))
        response_mask = ops.expand_dims(responses.grid_mask, 3)  # [B, C, R, 1]
        mask = response_mask * source_mask  # [B, C, R, X]
        to_source = masked_softmax(similarity, source_mask, axis=3) * mask  # (9)
        to_responses = masked_softmax(similarity, response_mask, axis=2) * mask  # (8)
        return AttentionWeights(ops.transpose(to_responses, (0, 1, 3, 2)), to_source)


class AttentivePooling(keras.layers.Layer):
    """Weighs profiles by softmax(relu(p.w + b)) and adds them up (equations 22 and 23)."""

    def build(self, profiles_shape: Any, mask_shape: Any = None) -> None:
        self.kernel = self.add_weight(
            name="kernel", shape=(profiles_shape[-1], 1), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, profiles: Tensor, mask: Tensor) -> Tensor:
        """[B, P, C, F] and mask [B, P] to [B, C, F]."""
        profiles, mask = ops.transpose(profiles, (0, 2, 1, 3)), ops.expand_dims(mask, 1)
        scores = ops.relu(ops.matmul(profiles, self.kernel) + self.bias)[..., 0]  # [B, C, P]
        weights = masked_softmax(scores, mask)  # [B, C, P]  (22)
        return ops.einsum("...p,...pf->...f", weights, profiles)  # [B, C, F]  (23)


class Prediction(keras.layers.Layer):
    """The MLP that scores a candidate's joined feature (equation 25); [..., F] -> [...].

    The last bias is one scalar for all candidates: the softmax cancels it.

    Args:
        dropout: float. Fraction of the hidden layer that is dropped.
    """

    def __init__(self, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(PROJECTION_UNITS, activation="relu", name="hidden")
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, features_shape: Any) -> None:
        self.hidden.build(features_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(PROJECTION_UNITS, 1), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(
            name="bias", shape=(1,), initializer=keras.initializers.Constant(0.1)
        )

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        hidden = self.dropout(self.hidden(features), training=training)  # [..., 256]
        return (ops.matmul(hidden, self.kernel) + self.bias)[..., 0]
