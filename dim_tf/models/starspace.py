"""Starspace: embeddings learnt for ranking (Wu et al. 2018; Zhang et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.bag_of_words import BagOfWords, unit
from dim_tf.packing.layout import Tensor


@keras.saving.register_keras_serializable(package="dim_tf")
class Starspace(BagOfWords):
    """Cosine of the sums of word vectors: of all context and persona words, and of a reply's.

        q = sum_u 0.5^(n - u) sum of the words of utterance u  +  sum of the words of the persona
        r = sum of the words of a reply
        logit = cos(q, r)

    Query and reply share one table of trained word vectors. The sources leave open how much an
    earlier utterance counts: here half of the next one.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` and `use_context=False` leave their
            words out.
        word_vectors: float32 [V, word_dim]. As of `DualEncoder`.
        name: str. The name of the model.

    Reference:
        Wu et al., "StarSpace: Embed All The Things!", AAAI 2018.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, max_utterances=2)
    >>> model = Starspace(config, np.eye(7, 4, dtype="float32"))
    >>> replies = model.encode_replies(np.array([[[1, 1, 3]]]), np.array([[2]]))
    >>> ops.convert_to_numpy(replies).round(3).tolist()
    [[[0.0, 1.0, 0.0, 0.0]]]
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "starspace"
    ) -> None:
        super().__init__(config, word_vectors, name)

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """[B, d] of length 1."""
        parts = []
        if self.config.use_context:
            parts.append(self.context(inputs))
        if self.config.use_persona:
            profiles = self.bag(inputs["personas"], inputs["personas_len"])  # [B, P, d]
            parts.append(ops.sum(profiles, axis=1))
        return unit(sum(parts))
