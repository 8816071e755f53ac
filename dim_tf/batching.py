"""Public inputs to a packed batch: each distinct word listed once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dim_tf.models.inputs import KINDS

_MULTIPLIERS = np.random.default_rng(2019).integers(2**63, size=64, dtype=np.uint64) | np.uint64(1)


def pack(inputs: Mapping[str, np.ndarray], round_to: int | None = None) -> dict[str, np.ndarray]:
    """A batch for `MatchingModel.packed` from a model's eleven inputs.

    Two words are the same if their ids and all their characters are.

    Args:
        inputs: See `dim_tf.models.build_model`.
        round_to: The number of words is rounded up to a multiple of this, if given.

    >>> inputs = {f"{kind}_len": np.array([[1]]) for kind in KINDS}
    >>> inputs |= {kind: np.array([[[7]]]) for kind in KINDS}
    >>> inputs |= {f"{kind}_char": np.array([[[[1, 2]]]]) for kind in KINDS}
    >>> batch = pack(inputs)
    >>> batch["words"].tolist(), batch["words_char"].tolist(), batch["responses"].tolist()
    ([7], [[1, 2]], [[[0]]])
    """
    words = np.concatenate([inputs[kind].ravel() for kind in KINDS])
    width = inputs[f"{KINDS[0]}_char"].shape[-1]
    chars = np.concatenate([inputs[f"{kind}_char"].reshape(-1, width) for kind in KINDS])
    keys = np.concatenate([words[:, None], chars], axis=1)  # [places, 1 + W]
    first, inverse = _distinct(keys)
    batch = {name: value for name, value in inputs.items() if name[-4:] in ("_len", "_num")}
    missing = -len(first) % (round_to or 1)
    batch |= {
        "words": np.pad(words[first], (0, missing)),
        "words_char": np.pad(chars[first], ((0, missing), (0, 0))),
    }
    start = 0
    for kind in KINDS:
        end = start + inputs[kind].size
        batch[kind] = inverse[start:end].reshape(inputs[kind].shape).astype(np.int32)
        start = end
    return batch


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place of each distinct row, and for each row its number among them."""
    # Sorting one number a row is much faster than sorting rows. Should two rows ever share a
    # number, the slow way is taken.
    numbers = (rows.astype(np.uint64) * _MULTIPLIERS[: rows.shape[1]]).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first[inverse]], rows):
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.ravel()
