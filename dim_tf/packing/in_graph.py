"""The packed batch as a part of the program: for one that gets its lengths when it runs.

`dim_tf.packing.batch` packs on the host, with NumPy. An exported model and a traced one take the
public inputs alone, so their layout is made by operations of Keras. An exact layout needs counts
that are known only when the program runs: TensorFlow supports them, a compiler for fixed sizes
does not. It takes the padded layout, in which all rows run at all steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from dim_tf.packing.layout import (
    PADDED,
    EncoderBatch,
    PackedBatch,
    RowLayout,
    SentenceLayout,
    Tensor,
)
from dim_tf.packing.masks import length_mask


def pack_in_graph(
    inputs: Mapping[str, Tensor], sources: Sequence[str], padded: bool = False
) -> PackedBatch:
    """The batch of `dim_tf.packing.batch.pack`, made of tensors.

    It gives the same logits with two differences: a word that occurs twice is embedded twice, and
    the words of a turn's context or persona keep their padding in the grid.

    Args:
        inputs: The eleven input tensors.
        sources: As for `pack`.
        padded: bool. Whether all rows run at all steps; else the layout is exact.
    """
    kinds = (*sources, "responses")
    steps = max(inputs[kind].shape[-1] for kind in kinds)
    lengths = [ops.reshape(inputs[f"{kind}_len"], (-1,)) for kind in kinds]
    limits = [
        ops.full_like(length, inputs[kind].shape[-1])
        for kind, length in zip(kinds, lengths, strict=True)
    ]
    words = [_rows(inputs[kind], steps) for kind in kinds]  # [N, T]
    characters = [_rows(inputs[f"{kind}_char"], steps) for kind in kinds]  # [N, T, W]
    # Empty cells of a grid point to the first word, which must exist: one sentence of one padding
    # word is added, which nothing else reads.
    words.append(ops.zeros((1, steps), "int32"))
    characters.append(ops.zeros((1, steps, characters[0].shape[-1]), "int32"))
    one = ops.ones((1,), "int32")
    rows, encoded = _pack_rows(
        ops.concatenate([*lengths, one]), ops.concatenate([*limits, one]), steps, padded
    )
    all_characters = ops.concatenate(characters)
    sentences = EncoderBatch(
        ops.take(ops.reshape(ops.concatenate(words), (-1,)), rows.flat_index),
        ops.take(_flat_rows(all_characters), rows.flat_index, axis=0),
        ops.arange(ops.shape(rows.flat_index)[0], dtype="int32"),
        rows,
    )
    layouts, first = {}, 0
    for kind, length, limit in zip(kinds, lengths, limits, strict=True):
        batch, count, size = ops.shape(inputs[kind])
        shape = (batch, count, size) if kind == "responses" else (batch, count * size)
        rows, packed_index = _pack_rows(length, limit, size, padded, (batch, count))
        last = first + batch * count
        layouts[kind] = SentenceLayout(
            ops.reshape(encoded[first:last, :size], shape),
            ops.reshape(length_mask(length, size), shape),
            ops.reshape(packed_index, shape),
            rows,
        )
        first = last
    contexts = None
    if "utterances" in sources:
        number, limit = inputs["utterances_num"], inputs["utterances"].shape[1]
        contexts, _ = _pack_rows(number, ops.full_like(number, limit), limit, padded)
    return PackedBatch(
        sentences,
        responses_len=inputs["responses_len"],
        personas_num=inputs["personas_num"],
        contexts=contexts,
        **layouts,
    )


def _rows(values: Tensor, steps: int) -> Tensor:
    """[B, N, T, ...] to [B*N, steps, ...]."""
    rows = ops.reshape(values, (-1, *values.shape[2:]))
    missing = [(0, 0)] * len(rows.shape)
    missing[1] = (0, steps - rows.shape[1])
    return ops.pad(rows, missing)


def _flat_rows(values: Tensor) -> Tensor:
    return ops.reshape(values, (-1, values.shape[-1]))


def _pack_rows(
    lengths: Tensor, limits: Tensor, steps: int, padded: bool, shape: tuple[Tensor, ...] = (-1,)
) -> tuple[RowLayout, Tensor]:
    """The layout of `packed_sequence.pack_rows`, with `unsorted_indices` of this shape.

    The second result is the packed word at each position, int32 [N, T]; 0 without a word.
    """
    count = ops.shape(lengths)[0]
    row = ops.arange(count, dtype="int32")  # [N]
    if padded:
        sorted_indices = position = row
        batch_sizes = ops.full((steps,), count, dtype="int32")
    else:
        sorted_indices = ops.cast(ops.argsort(-lengths), "int32")
        position = ops.cast(ops.argsort(sorted_indices), "int32")
    sorted_mask = ops.transpose(length_mask(ops.take(lengths, sorted_indices), steps))  # [T, N]
    if padded:
        packed = ops.arange(steps * count, dtype="int32")  # [M]: step * N + position
        mask = ops.cast(ops.reshape(sorted_mask, (-1,)), "int32")
    else:
        batch_sizes = ops.cast(ops.sum(sorted_mask, axis=1), "int32")
        (packed,) = ops.nonzero(ops.reshape(sorted_mask, (-1,)))
        packed = ops.cast(packed, "int32")
        mask = ops.ones_like(packed)
    starts = ops.cumsum(batch_sizes) - batch_sizes  # [T]
    first = sorted_indices if padded else sorted_indices[: batch_sizes[0]]
    first_lengths = ops.take(lengths, first)
    unsorted_indices = ops.where(lengths > 0, position, batch_sizes[0])
    rows = RowLayout(
        batch_sizes,
        ops.take(sorted_indices, packed % count) * steps + packed // count,
        mask,
        ops.reshape(unsorted_indices, shape),
        ops.take(starts, ops.maximum(first_lengths - 1, 0))
        + ops.arange(ops.shape(first)[0], dtype="int32"),
        ops.cast(first_lengths < ops.take(limits, first), "int32"),
        step_sizes=PADDED if padded else None,
    )
    packed_index = ops.expand_dims(starts, 0) + ops.expand_dims(position, 1)  # [N, T]
    return rows, ops.where(length_mask(lengths, steps) > 0, packed_index, 0)
