"""Operations that must run in at least float32."""

from __future__ import annotations

from typing import Any

import keras


def at_least_float32(dtype: Any) -> str:
    """The dtype of sums over steps, softmaxes and losses: bfloat16 is too coarse for them.

    >>> at_least_float32("bfloat16"), at_least_float32("float32"), at_least_float32("float64")
    ('float32', 'float32', 'float64')
    """
    return str(keras.backend.result_type(dtype, "float32"))
