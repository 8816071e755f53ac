"""IMN_utr: IMN with the persona added to each utterance, before they are aggregated."""

from __future__ import annotations

import keras
import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.models.base import Encoded
from dim_tf.models.imn_ctx import IMNCtx
from dim_tf.packing.layout import PackedBatch, Tensor


@keras.saving.register_keras_serializable(package="dim_tf")
class IMNUtr(IMNCtx):
    """IMN whose matched utterances are fused with the profiles (equations 2 and 3).

    Everything else is as in `IMNCtx`, the arguments too.
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "imn_utr"
    ) -> None:
        super().__init__(config, word_vectors, name)

    def aggregate(
        self, utterances: Tensor, encoded: Encoded, batch: PackedBatch, training: bool
    ) -> Tensor:
        """Matched utterances [B, U, C, 2D] to contexts [B, C, 2D] (equations 2, 3, 20 and 21)."""
        utterances = self.fuse(utterances, encoded, batch)  # [B, U, C, 2D]
        return self.aggregator(utterances, batch.contexts, training=training)  # [B, C, 2D]
