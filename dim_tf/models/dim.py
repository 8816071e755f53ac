"""DIM, the Dually Interactive Matching network of Gu et al. (EMNLP 2019)."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, ModelConfig
from dim_tf.layers import (
    AttentivePooling,
    CharacterCNN,
    CrossAttention,
    Prediction,
    WordEmbedding,
    length_mask,
)
from dim_tf.models.base import MatchingModel
from dim_tf.recurrent import Aggregator, Encoder, Matcher


def build_dim(config: ModelConfig, word_vectors: np.ndarray) -> MatchingModel:
    """Builds DIM: a candidate is matched with the context and, apart from it, with the persona.

    `use_persona=False` and `use_context=False` leave out one half: its two features are not in the
    joined vector then (Table 4).

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.

    Reference:
        Gu et al., "Dually Interactive Matching Network for Personalized Response Selection in
        Retrieval-Based Chatbots", EMNLP 2019.
    """
    embedding_dim = config.word_dim + CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
    units, width, dropout = config.rnn_units, 2 * config.rnn_units, config.dropout
    response_limit, limits = config.max_response_len, []
    if config.use_context:
        limits.append(config.max_utterance_len)
    if config.use_persona:
        limits.append(config.max_profile_len)
    layers = {
        "words": WordEmbedding(word_vectors, name="words"),
        "characters": CharacterCNN(config.char_vocab_size, name="characters"),
        "encoder": Encoder(embedding_dim, units, dropout, name="encoder"),
        "matcher": Matcher(width, units, dropout, response_limit, limits, name="matcher"),
        "joined_dropout": keras.layers.Dropout(dropout, name="joined_dropout"),
        "prediction": Prediction(dropout, name="prediction"),
    }
    if config.use_context:
        layers["utterances_attention"] = CrossAttention(name="utterances_attention")
        layers["aggregator"] = Aggregator(2 * width, units, dropout, name="aggregator")
    if config.use_persona:
        layers["personas_attention"] = CrossAttention(name="personas_attention")
        layers["persona_pooling"] = AttentivePooling(name="persona_pooling")
    return MatchingModel("dim", config, layers, connect)


def connect(config, layers, batch, sizes, training):
    """The equations of DIM; logits [B, C]. See `MatchingModel` for the arguments."""
    halves = ["utterances"] * config.use_context + ["personas"] * config.use_persona
    kinds = ["responses", *halves]
    lengths = {kind: batch[f"{kind}_len"] for kind in kinds}

    # Word representation: a frozen vector and character features, of each word once.
    vectors = ops.concatenate(
        [layers["words"](batch["words"]), layers["characters"](batch["words_char"])], axis=-1
    )
    # Sentence encoding (4-6).
    encoded = layers["encoder"](
        vectors,
        [batch[kind] for kind in kinds],
        list(lengths.values()),
        live=sizes.encoder,
        training=training,
    )
    encoded = dict(zip(kinds, encoded, strict=True))

    # Interactive matching (7-19): with the context, and apart from it with the persona.
    seen = []
    for half in halves:
        *attended, _ = layers[f"{half}_attention"](
            encoded["responses"],
            encoded[half],
            lengths["responses"],
            lengths[half],
            size=getattr(sizes, half),
        )
        seen.append((*attended, lengths[half]))
    features = layers["matcher"](
        encoded["responses"], lengths["responses"], seen, live=sizes.matcher, training=training
    )

    # Aggregation (20-24): [context; response; persona; response].
    joined = []
    for half, others, responses in zip(halves, features[::2], features[1::2], strict=True):
        if half == "utterances":
            aggregated = layers["aggregator"](
                others, batch["utterances_num"], live=sizes.aggregator, training=training
            )
        else:
            there = length_mask(batch["personas_num"], config.max_profiles)  # [B, P]
            aggregated = layers["persona_pooling"](others, ops.expand_dims(there, 1))
        joined += [aggregated, ops.squeeze(responses, 2)]
    joined = layers["joined_dropout"](ops.concatenate(joined, axis=-1), training=training)
    return layers["prediction"](joined, training=training)  # (25)
