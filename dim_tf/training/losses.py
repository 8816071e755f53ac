"""The loss of a batch of turns, and how many of them were answered right."""

from __future__ import annotations

import functools
from collections.abc import Callable

from keras import ops

from dim_tf.config import TrainingConfig
from dim_tf.models.dtypes import at_least_float32
from dim_tf.packing.layout import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
# Absent candidates take this logit: exp() of it, less any real logit, is exactly 0 in float32.
ABSENT_LOGIT = -1e30


def masked_cross_entropy(target: Tensor, logits: Tensor, present: Tensor) -> Tensor:
    """Mean softmax cross-entropy of the gold replies, over the present candidates.

    Args:
        target: int [B], the column of the gold reply, which must be present.
        logits: float [B, C].
        present: bool [B, C] or [1, C], False where a turn has no such candidate.

    Returns:
        A scalar, float32 at least. An absent candidate changes neither it nor any gradient.

    >>> import numpy as np
    >>> logits = np.array([[0.0, 0.0, 0.0, 9.0]], "float32")
    >>> loss = masked_cross_entropy(np.array([1]), logits, np.array([[True, True, True, False]]))
    >>> round(float(loss), 6) # log 3
    1.098612
    """
    logits = ops.cast(logits, at_least_float32(logits.dtype))
    logits = ops.where(present, logits, ABSENT_LOGIT)
    gold = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)[:, 0]  # [B]
    return ops.mean(ops.logsumexp(logits, axis=-1) - gold)


def margin_ranking(target: Tensor, logits: Tensor, present: Tensor, margin: float) -> Tensor:
    """Mean hinge max(0, margin - gold + negative) over the negatives that violate the margin.

    The mean of each turn is over its present negatives with a positive hinge, 0 without any, and
    the loss is the mean over the turns. StarSpace likewise draws negatives until enough of them
    violate the margin. Arguments and result as in `masked_cross_entropy`.

    >>> import numpy as np
    >>> logits = np.array([[0.5, 0.45, 0.42, 0.2]], "float32")
    >>> loss = margin_ranking(np.array([0]), logits, np.ones((1, 4), bool), margin=0.1)
    >>> round(float(loss), 6) # (0.05 + 0.02) / 2
    0.035
    """
    gold = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)  # [B, 1]
    negative = ops.logical_and(present, ops.logical_not(_is_gold(target, logits)))  # [B, C]
    hinge = ops.where(negative, ops.relu(margin - gold + logits), 0.0)  # [B, C]
    violating = ops.sum(ops.cast(hinge > 0, logits.dtype), axis=-1)  # [B]
    return ops.mean(ops.sum(hinge, axis=-1) / ops.maximum(violating, 1.0))


def of(config: TrainingConfig) -> Loss:
    """The loss of a training, a function of target, logits and present candidates."""
    if config.loss == "margin":
        return functools.partial(margin_ranking, margin=config.margin)
    return masked_cross_entropy


def masked_accuracy(target: Tensor, logits: Tensor, present: Tensor) -> Tensor:
    """The fraction of the turns whose gold reply scores higher than every other candidate.

    Arguments as in `masked_cross_entropy`. A tie is a mistake, as in `dim_tf.evaluation.metrics`.

    >>> import numpy as np
    >>> logits = np.array([[1.0, 2.0], [2.0, 2.0]], "float32")
    >>> float(masked_accuracy(np.array([1, 1]), logits, np.ones((2, 2), bool)))
    0.5
    """
    gold = ops.take_along_axis(logits, ops.expand_dims(target, -1), axis=-1)  # [B, 1]
    is_gold = _is_gold(target, logits)
    beaten = ops.logical_or(gold > logits, ops.logical_or(is_gold, ops.logical_not(present)))
    return ops.mean(ops.cast(ops.all(beaten, axis=-1), "float32"))


def _is_gold(target: Tensor, logits: Tensor) -> Tensor:
    """Which column is that of the gold reply, bool [B, C]."""
    columns = ops.arange(ops.shape(logits)[1], dtype="int32")  # [C]
    return ops.equal(columns, ops.cast(ops.expand_dims(target, -1), "int32"))
