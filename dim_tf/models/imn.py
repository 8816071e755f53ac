"""IMN, the Interactive Matching Network that DIM builds on: no persona."""

from __future__ import annotations

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.models.base import MatchingModel
from dim_tf.models.dim import build_dim


def build_imn(config: ModelConfig, word_vectors: np.ndarray) -> MatchingModel:
    """Builds IMN: the half of DIM that matches a candidate with the context; features [c; r].

    Args:
        config: Sizes; `use_persona` changes nothing.
        word_vectors: float32 [V, word_dim], frozen.

    Raises:
        ConfigError: `use_context` is false: there is nothing else.

    Reference:
        Gu, Ling and Liu, "Interactive Matching Network for Multi-Turn Response Selection in
        Retrieval-Based Chatbots", CIKM 2019.
    """
    return build_dim(config.replace(use_persona=False), word_vectors, name="imn")
