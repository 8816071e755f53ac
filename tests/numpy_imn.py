"""A slow IMN with its two persona fusions in plain NumPy; see also `tests.numpy_dim`."""

from __future__ import annotations

import numpy as np

from tests.numpy_dim import AGGREGATOR, ENCODER, NumpyDIM, attention_weights


class NumpyFusion(NumpyDIM):
    """`where` is "context" (equation 1) or "utterances" (equations 2 and 3)."""

    def __init__(self, variables, word_table, where):
        super().__init__(variables, word_table, use_persona=False)
        self.where = where

    def fuse(self, vector, profiles, count):
        weights = attention_weights(profiles @ vector, np.arange(len(profiles)) < count)
        return vector + weights @ profiles

    def profile(self, inputs, turn, row):
        """[max; last state] of an encoded profile."""
        place = (turn, row)
        embedded = self.embed(inputs["personas"][place], inputs["personas_char"][place])
        return self.pool(embedded, inputs["personas_len"][place], ENCODER)

    def pool(self, inputs, length, scope):
        if scope != AGGREGATOR:
            return super().pool(inputs, length, scope)
        if self.where == "utterances":
            return super().pool(np.stack([self.fused(row) for row in inputs]), length, scope)
        return self.fused(super().pool(inputs, length, scope))

    def logit(self, inputs, turn, candidate):
        rows = range(inputs["personas"].shape[1])
        profiles = np.stack([self.profile(inputs, turn, row) for row in rows])
        count = inputs["personas_num"][turn]
        self.fused = lambda vector: self.fuse(vector, profiles, count)
        return super().logit(inputs, turn, candidate)
