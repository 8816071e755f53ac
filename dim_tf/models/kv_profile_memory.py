"""KV Profile Memory: a second hop over the training pairs (Zhang et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.bag_of_words import unit
from dim_tf.models.profile_memory import ProfileMemory
from dim_tf.packing.layout import Tensor

# Factors of the second hop and of its similarities, see `KVProfileMemory`.
GAIN, SHARPNESS = 0.25, 20.0
# Pairs that are compared with a batch of queries at once.
BLOCK = 8192


@keras.saving.register_keras_serializable(package="dim_tf")
class KVProfileMemory(ProfileMemory):
    """Profile Memory whose query adds the replies that were given to similar contexts.

        q++ = q+ / |q+| + GAIN sum_j softmax_j(SHARPNESS cos(q+, k_j)) v_j
        logit = cos(q++, r)

    The keys k_j are the contexts of the training turns, encoded as q of Profile Memory, the values
    v_j the vectors of their replies. The weights are those of a run of Profile Memory; nothing is
    trained, `adapt` makes the memory. It takes 2 x 4 x d bytes a training turn, in the run folder
    and in memory (77 MB for 48,398 turns with d = 200). The pairs are read in blocks, so a batch of
    B queries takes 4 x B x 8,192 bytes more. GAIN and SHARPNESS, which the sources leave open, are
    chosen on validation.

    Args:
        config: ModelConfig. As for `ProfileMemory`.
        word_vectors: float32 [V, word_dim]. Overwritten by the trained ones.
        name: str. The name of the model.
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "kv_profile_memory"
    ) -> None:
        super().__init__(config, word_vectors, name)
        self.memory = Memory(name="memory")

    def adapt(self, batches: Iterable[Mapping[str, np.ndarray]], words: Sequence[str]) -> None:
        """Makes the memory of the training turns; arguments as of `BagOfWords.adapt`."""
        keys, values = [], []
        for inputs in batches:
            keys.append(ops.convert_to_numpy(self.encode_context(inputs)))
            replies = self.encode_replies(inputs["responses"], inputs["responses_len"])
            values.append(ops.convert_to_numpy(replies)[:, 0])
        self.memory.fill(np.concatenate(keys), np.concatenate(values))

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """[B, d] of length 1."""
        query = super().encode_query(inputs, training)  # [B, d]
        return unit(query + GAIN * self.memory(query))


class Memory(keras.layers.Layer):
    """Pairs of keys and values, [N, d] each, that queries [B, d] read; 0 while there are none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.keys: Any = None
        self.values: Any = None
        self.built = True

    def fill(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Sets the pairs; both have rows of length 1."""
        if self.keys is None:
            self.keys, self.values = (
                self.add_weight(name=name, shape=keys.shape, initializer="zeros")
                for name in ("keys", "values")
            )
        self.keys.assign(keys)
        self.values.assign(values)

    def call(self, queries: Tensor) -> Tensor:
        """The weighted mean of the values, [B, d]."""
        if self.keys is None:
            return ops.zeros_like(queries)
        total, weighted = 0.0, 0.0
        for first in range(0, self.keys.shape[0], BLOCK):
            block = slice(first, first + BLOCK)
            cosines = ops.matmul(queries, ops.transpose(self.keys[block]))  # [B, BLOCK]
            powers = ops.exp(SHARPNESS * (cosines - 1.0))  # cosines are at most 1: none overflows
            total = total + ops.sum(powers, axis=-1, keepdims=True)
            weighted = weighted + ops.matmul(powers, self.values[block])  # [B, d]
        return weighted / total

    def load_own_variables(self, store: Any) -> None:
        """Loads as many pairs as a weights file has."""
        if "0" in store:
            self.fill(store["0"][...], store["1"][...])
