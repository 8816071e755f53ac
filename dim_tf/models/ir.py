"""The IR baseline: tf-idf weighted cosine of bags of words (Zhang et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.bag_of_words import document_frequency
from dim_tf.models.inputs import word_inputs
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask


@keras.saving.register_keras_serializable(package="dim_tf")
class IR(keras.Model):
    """The cosine of tf-idf vectors of a query and of a reply.

    The query is the last utterance with the profiles appended. Words count by their Porter stem,
    and weigh log2(N / df): df of the N sentences of the training turns have the stem. A stem that
    none of them has weighs as one that a single sentence has. Nothing is trained: `adapt` makes the
    weights. Last utterance rather than whole context, stems, and no stop words are choices on
    validation; the sources leave them open.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` and `use_context=False` leave their
            words out.
        word_vectors: float32 [V, word_dim]. Only V is read.
        name: str. The name of the model.

    Attributes:
        idf: float32 [V]. The weight of each word.
        stems: int32 [V]. Words of the same stem have the same number.
    """

    def __init__(self, config: ModelConfig, word_vectors: np.ndarray, name: str = "ir") -> None:
        super().__init__(name=name)
        self.config, count = config, len(word_vectors)
        self.idf = self.add_weight(name="idf", shape=(count,), initializer="ones")
        self.stems = self.add_weight(
            name="stems", shape=(count,), dtype="int32", initializer="zeros", trainable=False
        )
        self.stems.assign(np.arange(count))
        self.built = True

    @property
    def inputs(self) -> dict[str, keras.KerasTensor]:
        """The symbolic inputs by name."""
        return word_inputs(self.config)

    def adapt(self, batches: Iterable[Mapping[str, np.ndarray]], words: Sequence[str]) -> None:
        """Counts the stems of the training turns.

        Args:
            batches: The inputs of the training turns, with the gold reply alone.
            words: list of str. The word of each id.
        """
        from nltk.stem.porter import PorterStemmer

        stem = PorterStemmer().stem
        numbers: dict[str, int] = {}
        stems = np.array([numbers.setdefault(stem(word), len(numbers)) for word in words], "int32")
        frequency, total = document_frequency(batches, stems)
        idf = np.log2(max(total, 2) / np.maximum(frequency, 1))[stems]
        idf[:2] = 0.0  # of padding; and two unknown words need not be the same
        self.idf.assign(idf.astype("float32"))
        self.stems.assign(stems)

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None, mask: Any = None
    ) -> Tensor:
        """The cosines, [B, C]."""
        ids, weights = zip(*self._query(inputs), strict=True)
        query, query_weights = ops.concatenate(ids, axis=1), ops.concatenate(weights, axis=1)
        replies, reply_weights = self._bag(inputs["responses"], inputs["responses_len"])
        # [B, C]
        products = _product(replies, reply_weights, query[:, None], query_weights[:, None])
        norms = _norm(replies, reply_weights) * _norm(query, query_weights)[:, None]  # [B, C]
        return products / ops.maximum(norms, 1e-12)

    def _query(self, inputs: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Stems and weights of last utterance and persona, [B, words] each."""
        parts = []
        if self.config.use_context:
            last = ops.maximum(inputs["utterances_num"] - 1, 0)[:, None]  # [B, 1]
            words = ops.take_along_axis(inputs["utterances"], last[..., None], axis=1)[:, 0]
            lengths = ops.take_along_axis(inputs["utterances_len"], last, axis=1)[:, 0]
            parts.append(self._bag(words, lengths))
        if self.config.use_persona:
            stems, weights = self._bag(inputs["personas"], inputs["personas_len"])  # [B, P, Q]
            size = stems.shape[1] * stems.shape[2]
            parts.append((ops.reshape(stems, (-1, size)), ops.reshape(weights, (-1, size))))
        return parts

    def _bag(self, words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Stems and weights of sentences, [..., T]; padding weighs 0."""
        mask = length_mask(lengths, words.shape[-1])
        return ops.take(self.stems, words), ops.take(self.idf, words) * mask

    def get_config(self) -> dict[str, Any]:
        """The settings; the weights are stored apart."""
        return {
            "config": self.config.to_dict(),
            "vocabulary_size": self.idf.shape[0],
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The model without its weights, which Keras loads."""
        settings = ModelConfig.from_dict(config["config"])
        return cls(settings, np.zeros((config["vocabulary_size"], 1)), name=config["name"])


def _product(stems: Tensor, weights: Tensor, other: Tensor, other_weights: Tensor) -> Tensor:
    """The dot product of two bags, [...]; stems and weights are [..., X] and [..., Y]."""
    equal = ops.cast(ops.equal(stems[..., :, None], other[..., None, :]), "float32")  # [..., X, Y]
    return ops.sum(ops.einsum("...xy,...y->...x", equal, other_weights) * weights, axis=-1)


def _norm(stems: Tensor, weights: Tensor) -> Tensor:
    """The length of a bag, [...]."""
    return ops.sqrt(_product(stems, weights, stems, weights))
