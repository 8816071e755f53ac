"""How IMN is given a persona: profiles are added to vectors of the context (equations 1-3)."""

from __future__ import annotations

import keras
from keras import ops

from dim_tf.layers import masked_softmax
from dim_tf.packing import Packing
from dim_tf.sizes import ALL_PADDED


class ProfileVectors(keras.layers.Layer):
    """The vector of each profile: [max; last state] of the encoder's outputs."""

    def call(self, outputs, last, plan, utterances, personas, sizes=ALL_PADDED, training=False):
        """Pools.

        Args:
            outputs: Of the encoder, for all packed words, [M, D]; others may follow.
            last: Its last states, [live[0], D].
            plan: The encoder's.
            utterances: [B, U], for its shape: their rows stand before those of the profiles.
            personas: [B, P], for its shape.
            sizes: Those of the batch.
            training: Changes nothing.

        Returns:
            [B, P, 2D], 0 for empty profiles.
        """
        packing = Packing(plan, sizes.encoder)
        pooled = packing.maximum(outputs[: ops.shape(plan["there"])[0]])
        rows = packing.restore(ops.concatenate([pooled, last], axis=-1))
        batch, count = ops.shape(utterances)
        start, (_, profiles) = batch * count, ops.shape(personas)
        rows = rows[start : start + batch * profiles]
        return ops.reshape(rows, (batch, profiles, 2 * outputs.shape[-1]))

    def compute_output_spec(self, outputs, last, plan, utterances, personas, **options):
        """The shape that `call` gives."""
        shape = (*personas.shape, 2 * outputs.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


class Fusion(keras.layers.Layer):
    """v + sum over the profiles of softmax(v . p_n) p_n (equations 1 and 2).

    The paper leaves open how p_n is encoded and whether the product is scaled. Here a profile goes
    through the encoder of all sentences and is pooled like every other sequence, so that it has the
    size of v; the product is bare, as in the matching (equation 7). Without profiles v stays.
    """

    def call(self, vectors, profiles, mask):
        """Adds.

        Args:
            vectors: [B, ..., F].
            profiles: [B, P, F], 0 where there is none.
            mask: 1.0 where there is a profile, float32 [B, P].

        Returns:
            Of the shape of `vectors`.
        """
        shape = ops.shape(vectors)
        flat = ops.reshape(vectors, (shape[0], -1, vectors.shape[-1]))  # [B, Y, F]
        scores = ops.matmul(flat, ops.transpose(profiles, (0, 2, 1)))  # [B, Y, P]
        weights = masked_softmax(scores, ops.expand_dims(mask, 1))
        return ops.reshape(flat + ops.matmul(weights, profiles), shape)

    def compute_output_spec(self, vectors, profiles, mask):
        """The shape that `call` gives."""
        return keras.KerasTensor(vectors.shape, dtype=self.compute_dtype)
