"""The base class of the systems that encode query and reply separately.

A query is a context with a persona. The score is the dot product of the query vector and the reply
vector, so replies can be encoded once for all turns, and an index can hold their vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.inputs import word_inputs
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask

# d, at most: an index of a million replies holds as many vectors.
VECTOR_SIZE = 200


class DualEncoder(keras.Model):
    """A model whose logits are dot products of a query's vector and the replies' vectors.

    A system makes further layers in its constructor and has the methods `encode_query` and
    `encode_replies`. Its inputs are those of `dim_tf.build_model` without the characters. The
    replies of a batch may also be given once for all of its turns, with leading size 1.

    Args:
        config: ModelConfig. The sizes.
        word_vectors: float32 [V, word_dim]. Training starts from their first `VECTOR_SIZE`
            principal components.
        name: str. The name of the system.

    Attributes:
        words: keras.layers.Embedding. The trained word vectors, [V, d].
    """

    def __init__(self, config: ModelConfig, word_vectors: np.ndarray, name: str) -> None:
        super().__init__(name=name)
        self.config = config
        vectors = components(word_vectors, VECTOR_SIZE)
        self.words = keras.layers.Embedding(*vectors.shape, name="words")
        self.words.build()
        self.words.embeddings.assign(vectors)
        self.built = True

    @property
    def inputs(self) -> dict[str, keras.KerasTensor]:
        """The symbolic inputs by name."""
        return word_inputs(self.config)

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """The vectors of contexts and personas, [B, d]; `inputs` may lack the responses."""
        raise NotImplementedError

    def encode_replies(self, words: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """The vectors of replies, [B, C, d], for word ids [B, C, R] and lengths [B, C]."""
        raise NotImplementedError

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Any = None
    ) -> Tensor:
        """The logits, [B, C]."""
        query = self.encode_query(inputs, bool(training))  # [B, d]
        replies = self.encode_replies(  # [B, C, d] or [1, C, d]
            inputs["responses"], inputs["responses_len"], bool(training)
        )
        return ops.matmul(replies, ops.expand_dims(query, -1))[..., 0]  # [B, C]

    def bag(self, words: Tensor, lengths: Tensor) -> Tensor:
        """The sums of the word vectors of sentences, [B, N, d], for ids [B, N, T]."""
        mask = length_mask(lengths, words.shape[-1])  # [B, N, T]
        return ops.einsum("bntd,bnt->bnd", self.words(words), mask)

    def get_config(self) -> dict[str, Any]:
        """The settings; the weights are stored apart."""
        size = self.words.embeddings.shape[0]
        return {"config": self.config.to_dict(), "vocabulary_size": size, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The model with vectors of zeros; Keras loads the weights."""
        settings = ModelConfig.from_dict(config["config"])
        vectors = np.zeros((config["vocabulary_size"], settings.word_dim), "float32")
        return cls(settings, vectors, name=config["name"])


def components(vectors: np.ndarray, count: int) -> np.ndarray:
    """Vectors [V, d] as their first principal components, [V, count]; unchanged if d <= count.

    >>> abs(components(np.array([[3.0, 0.1], [-3.0, 0.1]]), 1)).round(1).tolist()
    [[3.0], [3.0]]
    """
    if vectors.shape[1] <= count:
        return vectors
    directions = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1]
    return vectors @ directions[:, :count]
