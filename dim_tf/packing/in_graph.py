"""The plan of a batch as a part of the program: for one that gets its lengths when it runs.

`dim_tf.packing.batch` makes the plan beforehand, with NumPy. A model that has left this project
takes the public inputs alone, so the same plan is made of them by operations of Keras. It needs
counts that are known only when the program runs: TensorFlow has them, a compiler for fixed sizes
has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from dim_tf.packing.masks import length_mask


def pack_in_graph(inputs: Mapping[str, Any], halves: Sequence[str]) -> dict[str, Any]:
    """The batch that `dim_tf.packing.batch.pack` makes for exact sizes, of tensors.

    Two things are other than there, and give the same logits: each word of the batch is represented
    anew, also if the batch has it twice; and the words of a turn's context or persona stand in the
    grid with their padding.

    Args:
        inputs: The eleven tensors of `dim_tf.build_model`.
        halves: What the responses are matched with.
    """
    kinds = (*halves, "responses")
    steps = max(inputs[kind].shape[-1] for kind in kinds)
    lengths = [ops.reshape(inputs[f"{kind}_len"], (-1,)) for kind in kinds]
    limits = [
        ops.full_like(length, inputs[kind].shape[-1])
        for kind, length in zip(kinds, lengths, strict=True)
    ]
    words = [_rows(inputs[kind], steps) for kind in kinds]  # [N, T]
    chars = [_rows(inputs[f"{kind}_char"], steps) for kind in kinds]  # [N, T, W]
    # Grids point to the first word where there is none. That one is there in any case: a sentence
    # of one padding word goes along, which nothing else looks at.
    words.append(ops.zeros((1, steps), "int32"))
    chars.append(ops.zeros((1, steps, chars[0].shape[-1]), "int32"))
    one = ops.ones((1,), "int32")
    encoder, stand = _pack_rows(
        ops.concatenate([*lengths, one]), ops.concatenate([*limits, one]), steps
    )
    taken = encoder.pop("places")
    encoder["words"] = ops.arange(ops.shape(taken)[0], dtype="int32")
    chars = ops.concatenate(chars)
    batch = {
        "words": ops.take(ops.reshape(ops.concatenate(words), (-1,)), taken),
        "words_char": ops.take(ops.reshape(chars, (-1, chars.shape[-1])), taken, axis=0),
        "encoder": encoder,
        "responses_len": inputs["responses_len"],
        "personas_num": inputs["personas_num"],
    }
    first = 0
    for kind, length, limit in zip(kinds, lengths, limits, strict=True):
        batch_size, count, size = ops.shape(inputs[kind])
        last = first + batch_size * count
        plan, inverse = _pack_rows(length, limit, size)
        shape = (batch_size, count, size) if kind == "responses" else (batch_size, count * size)
        plan["ranks"] = ops.reshape(plan["ranks"], (batch_size, count))
        plan["grid"] = ops.reshape(stand[first:last, :size], shape)
        plan["inverse"] = ops.reshape(inverse, shape)
        plan["mask"] = ops.reshape(length_mask(length, size), shape)
        batch[kind], first = plan, last
    if "utterances" in halves:
        count, limit = inputs["utterances_num"], inputs["utterances"].shape[1]
        batch["contexts"], _ = _pack_rows(count, ops.full_like(count, limit), limit)
    return batch


def _rows(values, steps: int):
    """[B, N, T, ...] to [B*N, steps, ...]."""
    rows = ops.reshape(values, (-1, *values.shape[2:]))
    missing = [(0, 0)] * len(rows.shape)
    missing[1] = (0, steps - rows.shape[1])
    return ops.pad(rows, missing)


def _pack_rows(lengths, limits, steps: int) -> tuple[dict[str, Any], Any]:
    """The plan of `packed_sequence.pack_rows`, and the packed word at each place, [N, T].

    Where there is no word, the place is that of the first one.
    """
    rows = ops.shape(lengths)[0]
    order = ops.cast(ops.argsort(-lengths), "int32")
    rank = ops.cast(ops.argsort(order), "int32")  # [N]
    sorted_there = ops.transpose(length_mask(ops.take(lengths, order), steps))  # [T, N]
    live = ops.cast(ops.sum(sorted_there, axis=1), "int32")  # [T]
    starts = ops.cumsum(live) - live
    (packed,) = ops.nonzero(ops.reshape(sorted_there, (-1,)))  # [M]: step * N + rank
    packed = ops.cast(packed, "int32")
    step, packed_rank = packed // rows, packed % rows
    first = order[: live[0]]
    first_lengths = ops.take(lengths, first)
    plan = {
        "live": live,
        "places": ops.take(order, packed_rank) * steps + step,
        "there": ops.ones_like(packed),
        "ranks": ops.where(lengths > 0, rank, live[0]),
        "ends": ops.take(starts, first_lengths - 1) + ops.arange(live[0], dtype="int32"),
        "padded": ops.cast(first_lengths < ops.take(limits, first), "int32"),
    }
    stand = ops.expand_dims(starts, 0) + ops.expand_dims(rank, 1)  # [N, T]
    there = length_mask(lengths, steps) > 0
    return plan, ops.where(there, stand, 0)
