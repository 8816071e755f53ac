"""IMN with the persona added to each utterance, before they are aggregated."""

from __future__ import annotations

import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.fusion import Fusion, ProfileVectors
from dim_tf.layers import CrossAttention, length_mask
from dim_tf.models.base import MatchingModel, predict, shared_layers
from dim_tf.models.dim import HALVES, attend
from dim_tf.models.imn import build_imn
from dim_tf.recurrent import Aggregator, Matcher


def build_imn_utr(config: ModelConfig, word_vectors: np.ndarray) -> MatchingModel:
    """Builds IMN_utr: IMN whose utterances take in the profiles (equations 2 and 3).

    See `dim_tf.fusion.Fusion` for what the paper leaves open. It has the weights of IMN and no
    others; `use_persona=False` gives IMN.

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.

    Raises:
        ConfigError: `use_context` is false: there is nothing to add a persona to.
    """
    if not (config.use_persona and config.use_context):
        return build_imn(config, word_vectors)
    units, width, dropout = config.rnn_units, 2 * config.rnn_units, config.dropout
    layers = {
        **shared_layers(config, word_vectors),
        "matcher": Matcher(width, units, dropout, ["utterances"], name="matcher"),
        "utterances_attention": CrossAttention(name="utterances_attention"),
        "aggregator": Aggregator(2 * width, units, dropout, name="aggregator"),
        "profiles": ProfileVectors(name="profiles"),
        "fusion": Fusion(name="fusion"),
    }
    return MatchingModel("imn_utr", config, layers, HALVES, match)


def match(config, layers, encoded, batch, options):
    """The equations after the encoder. See `MatchingModel` for the arguments."""
    seen = attend(layers, "utterances", encoded, batch)
    utterances, responses = layers["matcher"](encoded[0], batch["responses"], [seen], **options)
    profiles = layers["profiles"](
        *encoded,
        batch["encoder"],
        batch["utterances"]["ranks"],
        batch["personas"]["ranks"],
        **options,
    )  # [B, P, 2D]
    there = length_mask(batch["personas_num"], config.max_profiles)  # [B, P]
    utterances = layers["fusion"](utterances, profiles, there)  # [B, U, C, 2D]
    context = layers["aggregator"](utterances, batch["contexts"], **options)
    tensors = {
        "responses_to_utterances": seen[2],
        "profiles": profiles,
        "aggregated_utterances": context,
        "joined": ops.concatenate([context, responses[:, :, 0]], axis=-1),
    }
    return predict(layers, tensors, options)
