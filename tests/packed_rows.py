"""Six short rows and their packing in each of its modes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf.packing.packed_sequence import PADDED, Packing, pack_rows

LENGTHS = np.array([2, 0, 3, 1, 3, 0])
LIMITS = np.array([2, 3, 3, 2, 3, 2])  # row 0 is full, though it is not the longest
STEPS = 3
ROWS = len(LENGTHS)
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts inside the graph are TensorFlow's"
)
EXACT_LIVE = (4, 3, 2)
LIVE = {"exact": None, "fixed": EXACT_LIVE, "rounded": (5, 5, 2), "padded": (ROWS,) * STEPS}
MODES = [pytest.param("exact", marks=on_tensorflow), "fixed", "rounded", "padded"]


def make(mode, copies=None):
    """A plan and the packing that follows it in one of its modes."""
    plan = pack_rows(LENGTHS, LIMITS, STEPS, LIVE[mode])
    live = PADDED if mode == "padded" else LIVE[mode]
    return plan, Packing(plan, live, copies)


def packed_of(plan, padded):
    """Words [N, T, F] or [N, T, C, F] as they are packed, [M, F]."""
    words = padded.reshape(ROWS * STEPS, -1, padded.shape[-1])
    return words[plan["places"]].reshape(-1, padded.shape[-1]).astype("float32")
