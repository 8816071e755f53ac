"""Measures of rankings: recall at k, mean reciprocal rank, mean average precision."""

from __future__ import annotations

import numpy as np

from dim_tf.errors import DataError, DivergedError

HITS_AT = (1, 2, 5, 10)


def ranks(logits: np.ndarray, target: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The rank of each turn's gold reply among its candidates, from 1.

    Ties count against the gold reply: a model that gives equal scores has learned nothing, and
    ranks it last. Absent candidates do not count.

    Args:
        logits: float [N, C].
        target: int [N]. Column of the gold reply.
        present: bool [N, C]. False for absent candidates.

    Returns:
        int64 [N].

    Raises:
        DivergedError: The score of a present candidate is NaN or infinite.
        DataError: The gold reply of a turn is absent.
    """
    # float64 holds every float32 and bfloat16, so that the comparison below is exact.
    logits = np.asarray(logits).astype("float64")
    target, present = np.asarray(target), np.asarray(present, bool)
    bad = np.flatnonzero((present & ~np.isfinite(logits)).any(axis=1))
    if len(bad):
        raise DivergedError(
            f"the scores of {len(bad)} of {len(logits)} turns hold NaN or infinity: "
            "such a model cannot rank; train again with a lower learning rate"
        )
    rows = np.arange(len(logits))
    absent = np.flatnonzero(~present[rows, target])
    if len(absent):
        raise DataError(f"the gold reply of turn {absent[0]} is absent; prepare the data again")
    gold = logits[rows, target][:, None]
    # The gold reply counts itself: the best rank is 1.
    return ((logits >= gold) & present).sum(axis=1)


def summarise(ranks: np.ndarray) -> dict[str, float]:
    """hits@k for the k of `HITS_AT`, MRR and MAP, as fractions.

    With one gold reply per turn, average precision is the reciprocal rank; the authors report
    both.
    """
    hits = {f"hits@{k}": float(np.mean(ranks <= k)) for k in HITS_AT}
    reciprocal = float(np.mean(1.0 / ranks))
    return {**hits, "MRR": reciprocal, "MAP": reciprocal}


def probabilities(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """float64 [N, C]: softmax over the present candidates; 0 for the absent ones.

    >>> probabilities(np.array([[0.0, 0.0, 7.0]]), np.array([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    return np.exp(_log_probabilities(logits, present))


def cross_entropy(logits: np.ndarray, target: np.ndarray, present: np.ndarray) -> float:
    """Mean of -log(probability of the gold reply) over the turns.

    >>> round(cross_entropy(np.zeros((1, 4)), np.array([2]), np.ones((1, 4), bool)), 6) # log 4
    1.386294
    """
    gold = np.take_along_axis(_log_probabilities(logits, present), target[:, None], axis=1)
    return float(-gold.mean())


def _log_probabilities(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    logits = np.where(present, np.asarray(logits).astype("float64"), -np.inf)
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
