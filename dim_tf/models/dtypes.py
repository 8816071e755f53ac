"""Which numbers are too coarse for what."""

from __future__ import annotations

from typing import Any

import keras


def at_least_float32(dtype: Any) -> str:
    """The dtype for what bfloat16 is too coarse for: sums over steps, softmaxes, losses.

    >>> at_least_float32("bfloat16"), at_least_float32("float32"), at_least_float32("float64")
    ('float32', 'float32', 'float64')
    """
    return keras.backend.result_type(dtype, "float32")
