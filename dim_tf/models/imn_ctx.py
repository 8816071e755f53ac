"""IMN_ctx: IMN with the persona added to the aggregated context."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.base import Encoded
from dim_tf.models.imn import IMN
from dim_tf.models.layers import Fusion, ProfileVectors
from dim_tf.packing.layout import SOURCES, PackedBatch, Tensor
from dim_tf.packing.masks import length_mask


@keras.saving.register_keras_serializable(package="dim_tf")
class IMNCtx(IMN):
    """IMN whose aggregated context is fused with the profiles (equation 1).

    See `dim_tf.models.layers.Fusion` for what the paper leaves open. It has the weights of IMN and
    no others; `use_persona=False` makes it IMN.

    Args:
        config: ModelConfig. The sizes.
        word_vectors: float32 [V, word_dim]. The frozen word vectors.
        name: str. The name of the model.
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "imn_ctx"
    ) -> None:
        if config.use_persona:
            self.profiles = ProfileVectors(name="profiles", dtype=config.dtype)
            self.fusion = Fusion(name="fusion", dtype=config.dtype)
        super().__init__(config, word_vectors, name)
        if config.use_persona:
            self.sources = SOURCES  # the persona is read, but not matched

    def forward(
        self,
        batch: PackedBatch,
        training: bool = False,
        encoded: Encoded | None = None,
        return_intermediates: bool = False,
    ) -> Any:
        """The equations in order; see `MatchingModel.forward` for the arguments."""
        encoded = encoded or self.encode(batch.sentences, training)  # [M, D]                  (4-6)
        weights = self.context_attention(encoded.states, batch.responses, batch.utterances)
        attention = {"utterances": weights}  # [B, C, X, R], [B, C, R, X]                      (7-9)
        # {source: [B, U, C, 2D]}, {source: [B, C, 2D]}                                      (10-19)
        matched, responses = self.matcher(encoded.states, batch, attention, training=training)
        context = self.aggregate(matched["utterances"], encoded, batch, training)  # [B, C, 2D]
        joined = ops.concatenate([context, responses["utterances"]], axis=-1)  # [B, C, 4D]     (24)
        joined = self.joined_dropout(joined, training=training)
        logits = self.prediction(joined, training=training)  # [B, C]                           (25)

        if not return_intermediates:
            return logits
        return {"attention": attention}

    def aggregate(
        self, utterances: Tensor, encoded: Encoded, batch: PackedBatch, training: bool
    ) -> Tensor:
        """Matched utterances [B, U, C, 2D] to contexts [B, C, 2D] (equations 20, 21 and 1)."""
        context = self.aggregator(utterances, batch.contexts, training=training)
        return self.fuse(context, encoded, batch)

    def fuse(self, vectors: Tensor, encoded: Encoded, batch: PackedBatch) -> Tensor:
        """Adds the profiles to vectors [B, ..., 2D], if the model reads them."""
        if not self.config.use_persona:
            return vectors
        profiles = self.profiles(*encoded, batch)  # [B, P, 2D]
        profile_mask = length_mask(batch.personas_num, self.config.max_profiles)  # [B, P]
        return self.fusion(vectors, profiles, profile_mask)
