"""Six short rows and their packed form in each of its modes."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from dim_tf.packing.layout import PADDED
from dim_tf.packing.packed_sequence import PackedRows, pack_rows

LENGTHS = np.array([2, 0, 3, 1, 3, 0])
LIMITS = np.array([2, 3, 3, 2, 3, 2])  # row 0 is full, though it is not the longest
STEPS = 3
ROWS = len(LENGTHS)
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts inside the graph are TensorFlow's"
)
EXACT_SIZES = (4, 3, 2)
SIZES = {"exact": None, "fixed": EXACT_SIZES, "rounded": (5, 5, 2)}
MODES = [pytest.param("exact", marks=on_tensorflow), "fixed", "rounded", "padded"]


def layout_of(mode):
    """A layout in one of its modes."""
    if mode == "padded":  # as `in_graph` makes it
        layout = pack_rows(LENGTHS, LIMITS, STEPS, (ROWS,) * STEPS)
        return dataclasses.replace(layout, step_sizes=PADDED)
    return pack_rows(LENGTHS, LIMITS, STEPS, SIZES[mode])


def make(mode, copies=None):
    """A layout and the rows that it packs, in one of its modes."""
    layout = layout_of(mode)
    return layout, PackedRows(layout, copies)


def packed_of(layout, padded):
    """Words [N, T, F] or [N, T, C, F] as they are packed, [M, F]."""
    words = padded.reshape(ROWS * STEPS, -1, padded.shape[-1])
    return words[layout.flat_index].reshape(-1, padded.shape[-1]).astype("float32")
