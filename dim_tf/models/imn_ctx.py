"""IMN with the persona added to the aggregated context."""

from __future__ import annotations

import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.base import MatchingModel, predict
from dim_tf.models.dim import attend
from dim_tf.models.imn import build_fused, profiles_of


def build_imn_ctx(config: ModelConfig, word_vectors: np.ndarray) -> MatchingModel:
    """Builds IMN_ctx: IMN whose aggregated context takes in the profiles (equation 1).

    See `dim_tf.models.layers.Fusion` for what the paper leaves open. It has the weights of IMN and
    no others; `use_persona=False` gives IMN.

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.

    Raises:
        ConfigError: `use_context` is false: there is nothing to add a persona to.
    """
    return build_fused("imn_ctx", config, word_vectors, match)


def match(config, layers, encoded, batch, options):
    """The equations after the encoder. See `MatchingModel` for the arguments."""
    seen = attend(layers, "utterances", encoded, batch)
    utterances, responses = layers["matcher"](encoded[0], batch["responses"], [seen], **options)
    profiles, there = profiles_of(config, layers, encoded, batch, options)
    context = layers["aggregator"](utterances, batch["contexts"], **options)  # [B, C, 4 units]
    context = layers["fusion"](context, profiles, there)
    tensors = {
        "responses_to_utterances": seen[2],
        "profiles": profiles,
        "aggregated_utterances": context,
        "joined": ops.concatenate([context, responses[:, :, 0]], axis=-1),
    }
    return predict(layers, tensors, options)
