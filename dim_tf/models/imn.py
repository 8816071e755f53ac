"""IMN, the Interactive Matching Network that DIM builds on: no persona."""

from __future__ import annotations

import keras
import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.models.dim import DIM


@keras.saving.register_keras_serializable(package="dim_tf")
class IMN(DIM):
    """DIM without its persona part: the joined vector is [context; response].

    Args:
        config: ModelConfig. The sizes; `use_persona` changes nothing.
        word_vectors: float32 [V, word_dim]. The frozen word vectors.
        name: str. The name of the model.

    Reference:
        Gu, Ling and Liu, "Interactive Matching Network for Multi-Turn Response Selection in
        Retrieval-Based Chatbots", CIKM 2019.
    """

    matches_persona = False

    def __init__(self, config: ModelConfig, word_vectors: np.ndarray, name: str = "imn") -> None:
        super().__init__(config, word_vectors, name)
