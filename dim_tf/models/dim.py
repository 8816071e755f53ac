"""DIM, the Dually Interactive Matching network of Gu et al. (EMNLP 2019)."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, ModelConfig
from dim_tf.layers import (
    AttentivePooling,
    BiLSTM,
    CharacterCNN,
    CrossAttention,
    Enhancement,
    MaxAndLast,
    Prediction,
    WordEmbedding,
    length_mask,
)
from dim_tf.models.inputs import model_inputs


def build_dim(config: ModelConfig, word_vectors: np.ndarray) -> keras.Model:
    """Builds DIM: a candidate is matched with the context and, apart from it, with the persona.

    `use_persona=False` and `use_context=False` leave out one half: its two features are not in the
    joined vector then (Table 4). Shapes of the inputs: `dim_tf.models.build_model`.

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.

    Returns:
        A functional model from the eleven inputs to logits [B, C].

    Reference:
        Gu et al., "Dually Interactive Matching Network for Personalized Response Selection in
        Retrieval-Based Chatbots", EMNLP 2019.
    """
    embedding_dim = config.word_dim + CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
    units, width = config.rnn_units, 2 * config.rnn_units  # width is D

    # === Layers ===
    words = WordEmbedding(word_vectors, name="words")
    characters = CharacterCNN(config.char_vocab_size, name="characters")
    encoder = BiLSTM(embedding_dim, units, name="encoder")
    matcher = BiLSTM(4 * width, units, name="matcher")
    aggregator = BiLSTM(2 * width, units, name="aggregator")
    persona_pooling = AttentivePooling(name="persona_pooling")
    prediction = Prediction(config.dropout, name="prediction")

    def dropout(tensor, name: str):
        return keras.layers.Dropout(config.dropout, name=f"dropout_{name}")(tensor)

    def encode(name: str):
        """Words, characters and sentence encoding (equations 4-6); [..., words, D] and its mask."""
        vectors = [words(inputs[name]), characters(inputs[f"{name}_char"])]
        embedded = dropout(ops.concatenate(vectors, axis=-1), f"{name}_embedded")
        lengths = inputs[f"{name}_len"]
        outputs, _ = encoder(embedded, lengths)
        mask = length_mask(lengths, embedded.shape[-2])
        return dropout(outputs, f"{name}_encoded"), mask

    def compose(own, seen, lengths, name: str):
        """Enhanced representation, matching and pooling (equations 10-19); [..., 2D]."""
        outputs, last = matcher(Enhancement(name=f"{name}_enhanced")(own, seen), lengths)
        return MaxAndLast(name=name)(dropout(outputs, f"{name}_matched"), last)

    def interact(name: str):
        """Matches the responses with the utterances or profiles, both ways (equations 7-19).

        Returns the responses' features [B, C, 2D] and the others' [B, C, N, 2D].
        """
        others, others_mask = encode(name)  # [B, N, T, D], [B, N, T]
        responses_seen, others_seen, _ = CrossAttention(name=f"{name}_attention")(
            responses, others, responses_mask, others_mask
        )  # [B, C, R, D], [B, C, N, T, D]
        per_candidate = ops.expand_dims(inputs[f"{name}_len"], 1)  # [B, 1, N]
        return (
            compose(responses, responses_seen, inputs["responses_len"], f"responses_of_{name}"),
            compose(ops.expand_dims(others, 1), others_seen, per_candidate, f"{name}_composed"),
        )

    # === Functional model ===
    inputs = model_inputs(config)
    responses, responses_mask = encode("responses")  # [B, C, R, D], [B, C, R]
    features = []
    if config.use_context:
        responses_features, utterances_features = interact("utterances")
        utterances_num = ops.expand_dims(inputs["utterances_num"], 1)  # [B, 1]
        outputs, last = aggregator(utterances_features, utterances_num)  # equation 20
        context = MaxAndLast(name="context")(dropout(outputs, "aggregated"), last)  # equation 21
        features += [context, responses_features]
    if config.use_persona:
        responses_features, personas_features = interact("personas")
        personas_mask = length_mask(inputs["personas_num"], config.max_profiles)  # [B, P]
        persona = persona_pooling(personas_features, ops.expand_dims(personas_mask, 1))
        features += [persona, responses_features]
    joined = dropout(ops.concatenate(features, axis=-1), "joined")  # equation 24
    return keras.Model(inputs, prediction(joined), name="dim")  # equation 25
