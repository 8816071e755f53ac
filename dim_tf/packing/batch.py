"""Public inputs to a packed batch: each distinct word once, and the plan of all sequences."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dim_tf.packing.buckets import Sizes
from dim_tf.packing.packed_sequence import pack_rows

Arrays = Mapping[str, np.ndarray]


def pack(
    inputs: Arrays, halves: Sequence[str] = ("utterances", "personas"), sizes: Sizes | None = None
) -> dict[str, Any]:
    """A batch for `MatchingModel.packed` from a model's eleven inputs.

    Args:
        inputs: See `dim_tf.build_model`.
        halves: What the responses are matched with.
        sizes: To fill up to; they must hold the batch. Exact if not given.

    Returns:
        See `pack_sentences` and `plan_matching`.

    >>> kinds = ("utterances", "responses", "personas")
    >>> inputs = {f"{kind}_len": np.array([[1]]) for kind in kinds}
    >>> inputs |= {kind: np.array([[[7]]]) for kind in kinds}
    >>> inputs |= {f"{kind}_char": np.array([[[[1, 2]]]]) for kind in kinds}
    >>> inputs |= {"utterances_num": np.array([1]), "personas_num": np.array([1])}
    >>> batch = pack(inputs)
    >>> batch["words"].tolist(), batch["words_char"].tolist(), batch["encoder"]["words"].tolist()
    ([7], [[1, 2]], [0, 0, 0])
    """
    sizes = sizes or Sizes()
    kinds = (*halves, "responses")
    batch, places = pack_sentences(inputs, kinds, sizes)
    return {**batch, **plan_matching(inputs, places, halves, sizes)}


def pack_sentences(
    inputs: Arrays, kinds: Sequence[str], sizes: Sizes, steps: int | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the encoder needs, and where it puts the words.

    Args:
        inputs: As for `pack`.
        kinds: Of sentences.
        sizes: As for `pack`.
        steps: Of the encoder; as many as the longest sentences can need if not given.

    Returns:
        `words` [W] and `words_char` [W, characters], the distinct words, two being the same if
        their ids and all their characters are; `encoder`, the plan of all sentences with `words`
        [M], each packed word as a row of that list. And for each kind the packed word that stands
        at each place, [B, N, T].
    """
    steps = steps or max(inputs[kind].shape[-1] for kind in kinds)
    lengths = np.concatenate([inputs[f"{kind}_len"].ravel() for kind in kinds])
    limits = np.concatenate(
        [np.full(inputs[f"{kind}_len"].size, inputs[kind].shape[-1]) for kind in kinds]
    )
    plan = pack_rows(lengths, limits, steps, sizes.encoder)
    words = np.concatenate([_padded(inputs[kind], steps) for kind in kinds])  # [N, T]
    chars = np.concatenate([_padded(inputs[f"{kind}_char"], steps) for kind in kinds])
    taken, there = plan.pop("places"), plan["there"]
    real = there > 0
    words = words.ravel()[taken[real]]
    chars = chars.reshape(-1, chars.shape[-1])[taken[real]]
    first, inverse = _distinct(np.concatenate([words[:, None], chars], axis=1))
    plan["words"] = np.zeros(len(taken), np.int32)
    plan["words"][real] = inverse
    # TensorFlow's convolution of no word at all has a wrong shape on CPUs with AVX-512.
    missing = max(1 - len(first), 0) if sizes.words is None else sizes.words - len(first)
    batch = {
        "words": np.pad(words[first], (0, missing)).astype(np.int32),
        "words_char": np.pad(chars[first], ((0, missing), (0, 0))).astype(np.int32),
        "encoder": plan,
    }
    stand = _inverse(taken, there, len(lengths) * steps).reshape(-1, steps)  # [N, T]
    places, start = {}, 0
    for kind in kinds:
        batch_size, count, length = inputs[kind].shape
        rows = stand[start : start + batch_size * count, :length]
        places[kind] = rows.reshape(batch_size, count, length)
        start += batch_size * count
    return batch, places


def plan_matching(
    inputs: Arrays, places: Mapping[str, np.ndarray], halves: Sequence[str], sizes: Sizes
) -> dict[str, Any]:
    """What comes after the encoder.

    Args:
        inputs: `_len` of all kinds, `_num` of utterances and personas.
        places: The encoded word at each place of a kind, int32 [B, N, T].
        halves: What the responses are matched with.
        sizes: As for `pack`.

    Returns:
        For each kind of sentence its plan (see `pack_rows`) with `grid`, the encoded words as they
        stand for attention (see `packed_sequence.Sequences`), `mask`, which of them are there,
        float32, `places`, of each packed word in the flat grid, and `inverse`, the packed word of
        each place of the grid. `contexts`, the plan of the contexts as rows of utterances. And
        `responses_len`, `personas_num` as they are.
    """
    batch = {
        "responses": _plan_kind(inputs["responses_len"], places["responses"], sizes.responses),
        "responses_len": inputs["responses_len"],
        "personas_num": inputs["personas_num"],
    }
    for half in halves:
        width = getattr(sizes, f"{half}_words")
        live = getattr(sizes, half)
        batch[half] = _plan_kind(inputs[f"{half}_len"], places[half], live, side_by_side=width or 0)
    if "utterances" in halves:
        count = inputs["utterances_num"]
        limit = places["utterances"].shape[1]
        batch["contexts"] = pack_rows(count, np.full(len(count), limit), limit, sizes.contexts)
    return batch


def _plan_kind(lengths, places, live, side_by_side: int | None = None) -> dict[str, np.ndarray]:
    """The plan of one kind of sentence; `side_by_side` is X, 0 for as many words as there are."""
    batch, count, steps = places.shape
    plan = pack_rows(lengths.ravel(), np.full(lengths.size, steps), steps, live)
    plan["ranks"] = plan["ranks"].reshape(batch, count)
    there = np.arange(steps) < lengths[..., None]  # [B, N, T]
    if side_by_side is None:
        grid, mask = places, there
    else:
        total = lengths.sum(axis=1)
        width = side_by_side or max(int(total.max()), 1)
        mask = np.arange(width) < total[:, None]  # [B, X]
        grid = np.zeros((batch, width), np.int32)
        grid[mask] = places[there]
        # Where each padded place goes: what is not there may go anywhere.
        goes = np.zeros(there.shape, np.int32)
        goes[there] = np.flatnonzero(mask)
        plan["places"] = goes.ravel()[plan["places"]]
    plan["grid"], plan["mask"] = grid.astype(np.int32), mask.astype(np.float32)
    inverse = _inverse(plan["places"], plan["there"], grid.size)
    plan["inverse"] = inverse.reshape(grid.shape)
    return plan


def _padded(values: np.ndarray, steps: int) -> np.ndarray:
    """[B, N, T, ...] to [B*N, steps, ...]."""
    rows = values.reshape(-1, *values.shape[2:])
    missing = [(0, 0)] * (rows.ndim - 1)
    missing[0] = (0, steps - rows.shape[1])
    return np.pad(rows, [(0, 0), *missing])


def _inverse(places: np.ndarray, there: np.ndarray, size: int) -> np.ndarray:
    """The packed word at each of `size` places; 0 where there is none."""
    packed = np.flatnonzero(there)
    inverse = np.zeros(size, np.int32)
    inverse[places[packed]] = packed
    return inverse


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place of each distinct row, and for each row its number among them."""
    # Sorting one number a row is much faster than sorting rows. Should two rows ever share a
    # number, the slow way is taken.
    numbers = (rows.astype(np.uint64) * _multipliers(rows.shape[1])).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first[inverse]], rows):
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.ravel()


@functools.cache
def _multipliers(count: int) -> np.ndarray:
    """Odd random numbers, uint64 [count]."""
    drawn = np.random.default_rng(2019).integers(2**63, size=count, dtype=np.uint64)
    return drawn | np.uint64(1)
