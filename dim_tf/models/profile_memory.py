"""Profile Memory: the profiles as a memory that the query reads (Zhang et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.bag_of_words import BagOfWords, unit
from dim_tf.models.layers import masked_softmax
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask

# The factor of the memory, see `ProfileMemory`.
GAIN = 2.0


@keras.saving.register_keras_serializable(package="dim_tf")
class ProfileMemory(BagOfWords):
    """Starspace whose query adds the profiles that are similar to the context.

        q  = sum_u 0.5^(n - u) sum of the words of utterance u, at length 1
        p_i = sum of the words of profile i, at length 1
        q+ = q + GAIN sum_i softmax_i(cos(q, p_i)) p_i
        logit = cos(q+, r)

    Without persona q+ = q. The sources do not fix the lengths of q and p_i. Both are 1 here, so the
    cosine is their dot product, and GAIN says how much the memory counts. It was chosen on
    validation; a factor on the cosine did not help.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` and `use_context=False` leave their
            words out; without context all profiles count the same.
        word_vectors: float32 [V, word_dim]. As of `DualEncoder`.
        name: str. The name of the model.

    Reference:
        Zhang et al., "Personalizing Dialogue Agents: I have a dog, do you have pets too?", ACL
        2018.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, use_persona=False)
    >>> ProfileMemory(config, np.eye(7, 4, dtype="float32")).count_params()
    28
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "profile_memory"
    ) -> None:
        super().__init__(config, word_vectors, name)

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """[B, d] of length 1."""
        query = self.encode_context(inputs)  # [B, d]
        if self.config.use_persona:
            query = query + GAIN * self.read_profiles(query, inputs)
        return unit(query)

    def encode_context(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """q of length 1, [B, d]; 0 without context."""
        query = unit(self.context(inputs))
        return query if self.config.use_context else ops.zeros_like(query)

    def read_profiles(self, query: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean of the profiles, [B, d]; 0 without profiles."""
        lengths = inputs["personas_len"]  # [B, P]
        profiles = unit(self.bag(inputs["personas"], lengths))  # [B, P, d]
        mask = length_mask(inputs["personas_num"], profiles.shape[1])  # [B, P]
        weights = masked_softmax(ops.einsum("bd,bpd->bp", query, profiles), mask) * mask  # [B, P]
        return ops.einsum("bp,bpd->bd", weights, profiles)
