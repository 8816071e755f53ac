"""Masks made of lengths: 1.0 for a word, 0.0 for padding."""

from __future__ import annotations

from keras import ops

from dim_tf.packing.layout import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """1.0 before each length and 0.0 from it on.

    Args:
        lengths: int, shape [...].
        size: int. Length of the new last axis.

    Returns:
        float32, shape [..., size].

    >>> import numpy as np
    >>> ops.convert_to_numpy(length_mask(np.array([2, 0]), 3)).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    positions = ops.arange(size, dtype="int32")
    return ops.cast(ops.less(positions, ops.expand_dims(lengths, -1)), "float32")
