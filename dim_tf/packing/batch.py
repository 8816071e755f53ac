"""Public inputs to a packed batch, with NumPy: each distinct word once, and all layouts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from dim_tf.packing.buckets import EXACT, BucketShape
from dim_tf.packing.layout import (
    SOURCES,
    EncoderBatch,
    PackedBatch,
    RowLayout,
    SentenceLayout,
    StepSizes,
)
from dim_tf.packing.packed_sequence import pack_rows

Arrays = Mapping[str, np.ndarray]


def pack(
    inputs: Arrays, sources: Sequence[str] = SOURCES, bucket: BucketShape = EXACT
) -> PackedBatch:
    """Packs the inputs of a model.

    Args:
        inputs: The inputs, see `dim_tf.systems.registry.build_model`.
        sources: The sentences that the model reads besides the responses.
        bucket: BucketShape. The sizes to fill up to; it must cover the batch.

    >>> kinds = ("utterances", "responses", "personas")
    >>> inputs = {f"{kind}_len": np.array([[1]]) for kind in kinds}
    >>> inputs |= {kind: np.array([[[7]]]) for kind in kinds}
    >>> inputs |= {f"{kind}_char": np.array([[[[1, 2]]]]) for kind in kinds}
    >>> inputs |= {"utterances_num": np.array([1]), "personas_num": np.array([1])}
    >>> sentences = pack(inputs).sentences
    >>> sentences.words.tolist(), sentences.characters.tolist(), sentences.word_index.tolist()
    ([7], [[1, 2]], [0, 0, 0])
    """
    sentences, grids = pack_sentences(inputs, (*sources, "responses"), bucket)
    return pack_matching(inputs, sentences, grids, sources, bucket)


def pack_sentences(
    inputs: Arrays, kinds: Sequence[str], bucket: BucketShape, steps: int | None = None
) -> tuple[EncoderBatch, dict[str, np.ndarray]]:
    """Packs sentences for the encoder.

    Args:
        inputs: As for `pack`.
        kinds: The kinds of sentences.
        bucket: As for `pack`.
        steps: int. Steps of the encoder; by default those that the longest sentence can need.

    Returns:
        The input of the encoder; two words are the same if their ids and all their characters are.
        And for each kind the packed word at each position, int32 [B, N, T].
    """
    steps = steps or max(inputs[kind].shape[-1] for kind in kinds)
    lengths = np.concatenate([inputs[f"{kind}_len"].ravel() for kind in kinds])
    limits = np.concatenate(
        [np.full(inputs[f"{kind}_len"].size, inputs[kind].shape[-1]) for kind in kinds]
    )
    rows = pack_rows(lengths, limits, steps, bucket.sentences)
    is_word = rows.mask > 0
    taken = rows.flat_index[is_word]
    words = np.concatenate([_padded(inputs[kind], steps) for kind in kinds])  # [N, T]
    words = words.ravel()[taken]
    characters = np.concatenate([_padded(inputs[f"{kind}_char"], steps) for kind in kinds])
    characters = characters.reshape(-1, characters.shape[-1])[taken]
    first, inverse = _distinct(np.concatenate([words[:, None], characters], axis=1))
    word_index = np.zeros(len(is_word), np.int32)
    word_index[is_word] = inverse
    # TensorFlow's convolution of no word at all has a wrong shape on CPUs with AVX-512.
    missing = max(1 - len(first), 0) if bucket.words is None else bucket.words - len(first)
    words = np.pad(words[first], (0, missing)).astype(np.int32)
    characters = np.pad(characters[first], ((0, missing), (0, 0))).astype(np.int32)

    packed_index = _packed_index(rows, len(lengths) * steps).reshape(-1, steps)  # [N, T]
    grids, start = {}, 0
    for kind in kinds:
        batch, count, length = inputs[kind].shape
        grid = packed_index[start : start + batch * count, :length]
        grids[kind] = grid.reshape(batch, count, length)
        start += batch * count
    return EncoderBatch(words, characters, word_index, rows), grids


def pack_matching(
    inputs: Arrays,
    sentences: EncoderBatch,
    grids: Mapping[str, np.ndarray],
    sources: Sequence[str],
    bucket: BucketShape,
) -> PackedBatch:
    """Packs encoded sentences for matching.

    Args:
        inputs: `_len` of all kinds, `_num` of utterances and personas.
        sentences: EncoderBatch. The input of the encoder.
        grids: For each kind the encoded word at each position, int32 [B, N, T].
        sources: As for `pack`.
        bucket: As for `pack`.
    """
    layouts = {
        source: _lay_out(
            inputs[f"{source}_len"],
            grids[source],
            getattr(bucket, source),
            side_by_side=True,
            width=getattr(bucket, f"{source}_words"),
        )
        for source in sources
    }
    contexts = None
    if "utterances" in sources:
        count = inputs["utterances_num"]
        limit = grids["utterances"].shape[1]
        contexts = pack_rows(count, np.full(len(count), limit), limit, bucket.contexts)
    return PackedBatch(
        sentences,
        _lay_out(inputs["responses_len"], grids["responses"], bucket.responses),
        inputs["responses_len"],
        inputs["personas_num"],
        utterances=layouts.get("utterances"),
        personas=layouts.get("personas"),
        contexts=contexts,
    )


def _lay_out(
    lengths: np.ndarray,
    words: np.ndarray,
    sizes: StepSizes,
    side_by_side: bool = False,
    width: int | None = None,
) -> SentenceLayout:
    """The layout of one kind of sentence.

    Args:
        lengths: int [B, N].
        words: int [B, N, T]. The encoded word at each position.
        sizes: The rows at each step, as for `pack_rows`.
        side_by_side: Whether the words of a turn are side by side in the grid.
        width: X; None for the most words of a turn.
    """
    batch, count, steps = words.shape
    rows = pack_rows(lengths.ravel(), np.full(lengths.size, steps), steps, sizes)
    flat_index = rows.flat_index
    mask = np.arange(steps) < lengths[..., None]  # [B, N, T]
    if not side_by_side:
        grid, grid_mask = words, mask
    else:
        total = lengths.sum(axis=1)
        width = width or max(int(total.max()), 1)
        grid_mask = np.arange(width) < total[:, None]  # [B, X]
        grid = np.zeros((batch, width), np.int32)
        grid[grid_mask] = words[mask]
        # The cell of each padded position; that of padding is arbitrary.
        cell = np.zeros(mask.shape, np.int32)
        cell[mask] = np.flatnonzero(grid_mask)
        flat_index = cell.ravel()[flat_index]
    unsorted_indices = rows.unsorted_indices.reshape(batch, count)
    rows = dataclasses.replace(rows, flat_index=flat_index, unsorted_indices=unsorted_indices)
    packed_index = _packed_index(rows, grid.size).reshape(grid.shape)
    return SentenceLayout(grid.astype(np.int32), grid_mask.astype(np.float32), packed_index, rows)


def _padded(values: np.ndarray, steps: int) -> np.ndarray:
    """[B, N, T, ...] to [B*N, steps, ...]."""
    rows = values.reshape(-1, *values.shape[2:])
    missing = [(0, 0)] * (rows.ndim - 1)
    missing[0] = (0, steps - rows.shape[1])
    return np.pad(rows, [(0, 0), *missing])


def _packed_index(rows: RowLayout, size: int) -> np.ndarray:
    """The packed word at each of `size` flat positions; 0 without a word."""
    packed = np.flatnonzero(rows.mask)
    index = np.zeros(size, np.int32)
    index[rows.flat_index[packed]] = packed
    return index


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first index of each distinct row, and for each row its number among them."""
    # Sorting one number a row is much faster than sorting rows. Should two different rows ever
    # share a number, rows are sorted.
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
