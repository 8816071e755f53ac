"""DIM, the Dually Interactive Matching network of Gu et al. (EMNLP 2019).

This is the packed model. It computes the same as the reference model (`dim_tf.models.reference`),
without padding (see `dim_tf.packing`) and without the four-fold vectors of equations 10 and 11 (see
`Matcher`). docs/model.md links each equation to both.
"""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.base import Encoded, MatchingModel
from dim_tf.models.bilstm import Aggregator, Encoder, Matcher
from dim_tf.models.layers import (
    CHARACTER_FEATURES,
    AttentivePooling,
    CharacterCNN,
    CrossAttention,
    Prediction,
    WordEmbedding,
)
from dim_tf.packing.layout import PackedBatch, Tensor
from dim_tf.packing.masks import length_mask


@keras.saving.register_keras_serializable(package="dim_tf")
class DIM(MatchingModel):
    """Matches a candidate with the context and, separately, with the persona.

    Shapes: B batch, U utterances, P profiles, C candidates, R words of a response, X words of a
    context or persona side by side; M packed words of all sentences, N sentences, D = 2 x units.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` and `use_context=False` leave one source
            out: the joined vector has no features of it (Table 4).
        word_vectors: float32 [V, word_dim]. The frozen word vectors.
        name: str. The name of the model.

    Reference:
        Gu et al., "Dually Interactive Matching Network for Personalized Response Selection in
        Retrieval-Based Chatbots", EMNLP 2019.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, rnn_units=3, max_utterances=2)
    >>> model = DIM(config, np.zeros((7, 4), "float32"))
    >>> model.output.shape, len(model.trainable_variables)
    ((None, None), 24)
    """

    matches_persona = True  # IMN does not

    # === Layers ===

    def __init__(self, config: ModelConfig, word_vectors: np.ndarray, name: str = "dim") -> None:
        units, width = config.rnn_units, 2 * config.rnn_units
        embedded = config.word_dim + CHARACTER_FEATURES
        dropout, dtype = config.dropout, config.dtype
        sources = ["utterances"] * config.use_context
        sources += ["personas"] * (config.use_persona and self.matches_persona)
        # Words and prediction are float32 in every precision: they cost few FLOPs, and TensorFlow
        # sums the gradients of their biases in the dtype of the layer.
        self.words = WordEmbedding(word_vectors, name="words")
        self.characters = CharacterCNN(config.char_vocab_size, name="characters")
        self.encoder = Encoder(embedded, units, dropout, name="encoder", dtype=dtype)
        # Created here, assigned below: the first decides the initial weights of a seed, the second
        # the order of the weights in a checkpoint.
        joined_dropout = keras.layers.Dropout(dropout, name="joined_dropout", dtype=dtype)
        prediction = Prediction(dropout, name="prediction")
        self.matcher = Matcher(width, units, dropout, name="matcher", dtype=dtype)
        self.characters.build((None, config.max_word_len))
        if "utterances" in sources:
            self.context_attention = CrossAttention(name="context_attention", dtype=dtype)
            self.aggregator = Aggregator(2 * width, units, dropout, name="aggregator", dtype=dtype)
        if "personas" in sources:
            self.persona_attention = CrossAttention(name="persona_attention", dtype=dtype)
            self.persona_pooling = AttentivePooling(name="persona_pooling", dtype=dtype)
            self.persona_pooling.build((None, None, None, 2 * width))
        self.joined_dropout, self.prediction = joined_dropout, prediction
        self.prediction.build((None, None, 4 * width * len(sources)))
        self.matched = tuple(sources)
        super().__init__(config, sources, name)

    # === Forward pass ===

    def intermediates(
        self,
        batch: PackedBatch,
        training: bool = False,
        encoded: Encoded | None = None,
    ) -> dict[str, Any]:
        """The equations in the paper's order; see `MatchingModel.intermediates`."""
        encoded = encoded or self.encode(batch.sentences, training)  # [M, D]                  (4-6)
        states, attention, features, context, persona = encoded.states, {}, [], None, None
        if "utterances" in self.matched:
            weights = self.context_attention(states, batch.responses, batch.utterances)
            attention["utterances"] = weights  # [B, C, X, R], [B, C, R, X]      (7, weights of 8-9)
        if "personas" in self.matched:
            weights = self.persona_attention(states, batch.responses, batch.personas)
            attention["personas"] = weights  # [B, C, X, R], [B, C, R, X]        (7, weights of 8-9)
        # {source: [B, U or P, C, 2D]}, {source: [B, C, 2D]}                                 (10-19)
        matched, responses = self.matcher(states, batch, attention, training=training)
        if "utterances" in self.matched:
            utterances = matched["utterances"]  # [B, U, C, 2D]
            context = self.aggregate(utterances, encoded, batch, training)  # [B, C, 2D]     (20-21)
            features += [context, responses["utterances"]]
        if "personas" in self.matched:
            profile_mask = length_mask(batch.personas_num, self.config.max_profiles)  # [B, P]
            persona = self.persona_pooling(matched["personas"], profile_mask)  # [B, C, 2D]  (22-23)
            features += [persona, responses["personas"]]
        joined = ops.concatenate(features, axis=-1)  # [B, C, 8D]                               (24)
        joined = self.joined_dropout(joined, training=training)
        logits = self.prediction(joined, training=training)  # [B, C]                           (25)
        return {
            "states": states,
            "attention": attention,
            "matched": matched,
            "responses": responses,
            "context": context,
            "persona": persona,
            "joined": joined,
            "logits": logits,
        }

    def aggregate(
        self, utterances: Tensor, encoded: Encoded, batch: PackedBatch, training: bool
    ) -> Tensor:
        """Matched utterances [B, U, C, 2D] to contexts [B, C, 2D] (equations 20 and 21)."""
        return self.aggregator(utterances, batch.contexts, training=training)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """The settings; the word vectors are stored in the archive, not in the config."""
        return {
            "config": self.config.to_dict(),
            "vocabulary_size": self.words.vectors.shape[0],
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The model with fresh weights and vectors of zeros; Keras loads the rest."""
        settings = ModelConfig.from_dict(config["config"])
        vectors = np.zeros((config["vocabulary_size"], settings.word_dim), "float32")
        return cls(settings, vectors, config["name"])
