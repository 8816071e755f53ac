"""IMN, the Interactive Matching Network that DIM builds on: no persona."""

from __future__ import annotations

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.models.base import Match, MatchingModel, shared_layers
from dim_tf.models.bilstm import Aggregator, Matcher
from dim_tf.models.dim import HALVES, build_dim
from dim_tf.models.layers import CrossAttention, Fusion, ProfileVectors
from dim_tf.packing.masks import length_mask


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


def build_fused(
    name: str, config: ModelConfig, word_vectors: np.ndarray, match: Match
) -> MatchingModel:
    """Builds IMN with a fusion of the persona, or IMN where one of the two is left out.

    Args:
        name: Of the system.
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.
        match: Its equations, see `MatchingModel`.

    Raises:
        ConfigError: `use_context` is false: there is nothing to add a persona to.
    """
    if not (config.use_persona and config.use_context):
        return build_imn(config, word_vectors)
    units, width, dropout = config.rnn_units, 2 * config.rnn_units, config.dropout
    dtype = config.dtype
    layers = {
        **shared_layers(config, word_vectors),
        "matcher": Matcher(width, units, dropout, ["utterances"], name="matcher", dtype=dtype),
        "utterances_attention": CrossAttention(name="utterances_attention", dtype=dtype),
        "aggregator": Aggregator(2 * width, units, dropout, name="aggregator", dtype=dtype),
        "profiles": ProfileVectors(name="profiles", dtype=dtype),
        "fusion": Fusion(name="fusion", dtype=dtype),
    }
    return MatchingModel(name, config, layers, HALVES, match)


def profiles_of(config, layers, encoded, batch, options):
    """The vectors of the profiles, [B, P, 2D], and which are there, [B, P]."""
    shapes = (batch[kind]["ranks"] for kind in HALVES)
    vectors = layers["profiles"](*encoded, batch["encoder"], *shapes, **options)
    return vectors, length_mask(batch["personas_num"], config.max_profiles)
