"""IMN_ctx: IMN with the persona added to the aggregated context.

Letters as in `dim_tf.models.layers`.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.base import Encoded
from dim_tf.models.imn import IMN
from dim_tf.models.layers import masked_softmax
from dim_tf.packing.layout import SOURCES, PackedBatch, Tensor
from dim_tf.packing.masks import length_mask
from dim_tf.packing.packed_sequence import PackedRows


class ProfileVectors(keras.layers.Layer):
    """The vector of each profile: [max; last state] of the encoder's outputs."""

    def call(self, states: Tensor, last: Tensor, batch: PackedBatch) -> Tensor:
        """Pools the profiles.

        Args:
            states: [M, D]. The encoded words; others may follow them.
            last: [N, D]. The last states of the sorted sentences.
            batch: PackedBatch. Its sentences are utterances, profiles and responses, in this order.

        Returns:
            [B, P, 2D], 0 for empty profiles.
        """
        rows = PackedRows(batch.sentences.rows)
        pooled = rows.max_pool(states[: ops.shape(batch.sentences.rows.mask)[0]])
        vectors = rows.unsort(ops.concatenate([pooled, last], axis=-1))  # [sentences, 2D]
        turns, utterances = ops.shape(batch.source("utterances").rows.unsorted_indices)
        _, profiles = ops.shape(batch.source("personas").rows.unsorted_indices)
        first = turns * utterances
        vectors = vectors[first : first + turns * profiles]
        return ops.reshape(vectors, (turns, profiles, 2 * states.shape[-1]))


class Fusion(keras.layers.Layer):
    """v + sum over the profiles of softmax(v . p_n) p_n (equations 1 and 2).

    The paper leaves open how p_n is encoded and whether the product is scaled. Here a profile is
    encoded and pooled like every other sentence, so that it has the size of v; the product is bare,
    as in the matching (equation 7). Without profiles the result is v.
    """

    def call(self, vectors: Tensor, profiles: Tensor, mask: Tensor) -> Tensor:
        """Adds the persona to vectors [B, ..., F].

        Args:
            vectors: [B, ..., F].
            profiles: [B, P, F]. 0 for an empty profile.
            mask: float32 [B, P]. 1.0 for a profile.
        """
        shape = ops.shape(vectors)
        flat = ops.reshape(vectors, (shape[0], -1, vectors.shape[-1]))  # [B, Y, F]
        scores = ops.matmul(flat, ops.transpose(profiles, (0, 2, 1)))  # [B, Y, P]
        weights = masked_softmax(scores, ops.expand_dims(mask, 1))  # [B, Y, P]
        return ops.reshape(flat + ops.matmul(weights, profiles), shape)


@keras.saving.register_keras_serializable(package="dim_tf")
class IMNCtx(IMN):
    """IMN whose aggregated context is fused with the profiles (equation 1).

    See `Fusion` for what the paper leaves open. It has the weights of IMN and no others;
    `use_persona=False` makes it IMN.

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

    def aggregate(
        self, utterances: Tensor, encoded: Encoded, batch: PackedBatch, training: bool
    ) -> Tensor:
        """Matched utterances [B, U, C, 2D] to contexts [B, C, 2D] (equations 20, 21 and 1)."""
        context = super().aggregate(utterances, encoded, batch, training)
        return self.fuse(context, encoded, batch)

    def fuse(self, vectors: Tensor, encoded: Encoded, batch: PackedBatch) -> Tensor:
        """Adds the profiles to vectors [B, ..., 2D], if the model reads them."""
        if not self.config.use_persona:
            return vectors
        profiles = self.profiles(*encoded, batch)  # [B, P, 2D]
        profile_mask = length_mask(batch.personas_num, self.config.max_profiles)  # [B, P]
        return self.fusion(vectors, profiles, profile_mask)
