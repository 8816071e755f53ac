"""The loss of a batch of turns, and how many of them were answered right."""

from __future__ import annotations

from keras import ops

from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.layout import Tensor

# Absent candidates take this logit: exp() of it, less any real logit, is exactly 0 in float32.
ABSENT = -1e30


def masked_cross_entropy(target: Tensor, logits: Tensor, present: Tensor) -> Tensor:
    """Mean softmax cross-entropy of the gold replies, over the present candidates.

    Args:
        target: int [B], the column of the gold reply, which must be present.
        logits: float [B, C].
        present: bool [B, C], False where a turn has no such candidate.

    Returns:
        A scalar, float32 at least. An absent candidate changes neither it nor any gradient.

    >>> import numpy as np
    >>> logits = np.array([[0.0, 0.0, 0.0, 9.0]], "float32")
    >>> loss = masked_cross_entropy(np.array([1]), logits, np.array([[True, True, True, False]]))
    >>> round(float(loss), 6) # log 3
    1.098612
    """
    logits = ops.cast(logits, at_least_float32(logits.dtype))
    logits = ops.where(present, logits, ABSENT)
    gold = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)[:, 0]  # [B]
    return ops.mean(ops.logsumexp(logits, axis=-1) - gold)


def masked_accuracy(target: Tensor, logits: Tensor, present: Tensor) -> Tensor:
    """The part of the turns whose gold reply scores higher than every other candidate.

    Arguments as in `masked_cross_entropy`. A tie is a mistake, as in `dim_tf.evaluation.metrics`.

    >>> import numpy as np
    >>> logits = np.array([[1.0, 2.0], [2.0, 2.0]], "float32")
    >>> float(masked_accuracy(np.array([1, 1]), logits, np.ones((2, 2), bool)))
    0.5
    """
    gold = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)  # [B, 1]
    columns = ops.arange(ops.shape(logits)[1], dtype="int32")  # [C]
    is_gold = ops.equal(columns, ops.cast(ops.expand_dims(target, -1), "int32"))  # [B, C]
    beaten = ops.logical_or(gold > logits, ops.logical_or(is_gold, ops.logical_not(present)))
    return ops.mean(ops.cast(ops.all(beaten, axis=-1), "float32"))
