"""DIM, the Dually Interactive Matching network of Gu et al. (EMNLP 2019)."""

from __future__ import annotations

import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.base import MatchingModel, predict, shared_layers
from dim_tf.models.bilstm import Aggregator, Matcher
from dim_tf.models.layers import AttentivePooling, CrossAttention
from dim_tf.packing.masks import length_mask

HALVES = ("utterances", "personas")


def build_dim(config: ModelConfig, word_vectors: np.ndarray, name: str = "dim") -> MatchingModel:
    """Builds DIM: a candidate is matched with the context and, apart from it, with the persona.

    `use_persona=False` and `use_context=False` leave out one half: its two features are not in the
    joined vector then (Table 4).

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.
        name: Of the model.

    Reference:
        Gu et al., "Dually Interactive Matching Network for Personalized Response Selection in
        Retrieval-Based Chatbots", EMNLP 2019.
    """
    units, width, dropout = config.rnn_units, 2 * config.rnn_units, config.dropout
    dtype = config.dtype
    halves = _halves(config)
    layers = shared_layers(config, word_vectors)
    layers["matcher"] = Matcher(width, units, dropout, halves, name="matcher", dtype=dtype)
    for half in halves:
        layers[f"{half}_attention"] = CrossAttention(name=f"{half}_attention", dtype=dtype)
    if config.use_context:
        layers["aggregator"] = Aggregator(2 * width, units, dropout, name="aggregator", dtype=dtype)
    if config.use_persona:
        layers["persona_pooling"] = AttentivePooling(name="persona_pooling", dtype=dtype)
    return MatchingModel(name, config, layers, halves, match)


def match(config, layers, encoded, batch, options):
    """The equations of DIM after the encoder. See `MatchingModel` for the arguments."""
    halves = _halves(config)

    # Interactive matching (7-19): with the context, and apart from it with the persona.
    seen = [attend(layers, half, encoded, batch) for half in halves]
    *features, responses = layers["matcher"](encoded[0], batch["responses"], seen, **options)

    # Aggregation (20-24): [context; response; persona; response].
    joined, tensors = [], {}
    for number, (half, others) in enumerate(zip(halves, features, strict=True)):
        if half == "utterances":
            aggregated = layers["aggregator"](others, batch["contexts"], **options)
        else:
            there = length_mask(batch["personas_num"], config.max_profiles)  # [B, P]
            aggregated = layers["persona_pooling"](
                ops.transpose(others, (0, 2, 1, 3)), ops.expand_dims(there, 1)
            )
        joined += [aggregated, responses[:, :, number]]
        tensors |= {
            f"{half}_to_responses": seen[number][1],
            f"responses_to_{half}": seen[number][2],
            f"final_{half}": ops.transpose(others, (0, 2, 1, 3)),
            f"aggregated_{half}": aggregated,
            f"aggregated_responses_{half}": responses[:, :, number],
        }
    tensors["joined"] = ops.concatenate(joined, axis=-1)
    return predict(layers, tensors, options)


def attend(layers, half, encoded, batch):
    """What `Matcher` takes of a half: its plan, and who looks at what (equations 7-9)."""
    weights = layers[f"{half}_attention"](
        ops.take(encoded[0], batch["responses"]["grid"], axis=0),  # [B, C, R, D]
        ops.take(encoded[0], batch[half]["grid"], axis=0),  # [B, X, D]
        batch["responses"]["mask"],
        batch[half]["mask"],
    )
    return batch[half], *weights


def _halves(config: ModelConfig) -> list[str]:
    return ["utterances"] * config.use_context + ["personas"] * config.use_persona
