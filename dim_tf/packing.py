"""Packed sequences: of a set of padded rows, only the words that are there.

The rows are sorted by length, longest first. Time step t then works on the first `live[t]` of them,
so that a step costs what its words cost, and an empty row costs nothing. TensorFlow counts the live
rows inside the graph. JAX compiles for fixed sizes: there `live` can be given as whole numbers,
rounded up (`dim_tf.sizes` holds them; nothing counts them yet), and what a step computes too much
is masked; without it every row is live at every step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class Packing:
    """The order of N rows of at most T words, and how many of them are live at each step.

    Args:
        lengths: int32, shape [N].
        steps: T.
        live: How many rows step t takes, for each t; at least as many as are longer than t.

    Attributes:
        lengths: Sorted, longest first, shape [N].
        order: The row at each place of the order, int32 [N].
        ranks: The place in the order of each row, int32 [N].
        live: T counts: whole numbers, or scalar tensors in a TensorFlow graph.
    """

    def __init__(self, lengths: Any, steps: int, live: Sequence[int] | None = None):
        self.steps = steps
        order = ops.argsort(-lengths)  # [N]
        self.order = ops.cast(order, "int32")
        self.ranks = ops.cast(ops.argsort(order), "int32")
        self.lengths = ops.take(lengths, order)
        # In a TensorFlow graph the counts are exact and no step needs a mask.
        self.exact = live is None and keras.backend.backend() == "tensorflow"
        if self.exact:
            live = [ops.sum(ops.cast(self.lengths > step, "int32")) for step in range(steps)]
        elif live is None:
            live = [lengths.shape[0]] * steps
        self.live = list(live)

    def rows(self, step: int):
        """The rows that step t works on, shape [live[t]]."""
        return self.order[: self.live[step]]

    def mask(self, step: int):
        """Which of these rows are there at step t: bool [live[t], 1]."""
        return ops.expand_dims(self.lengths[: self.live[step]] > step, -1)

    def joining(self, step: int):
        """How many rows are live at step t but not at step t + 1."""
        return self.live[step] - (self.live[step + 1] if step + 1 < self.steps else 0)

    def unpack(self, packed, shapes: Sequence[tuple]):
        """Words to padded rows.

        Args:
            packed: The words of all steps, those of step 0 first, [sum(live), F].
            shapes: The rows consist of groups; for each its shape, (..., T) with its own T.

        Returns:
            For each group [..., T, F], 0 past the end of a row.
        """
        lengths = ops.take(self.lengths, self.ranks)
        ends = list(itertools.accumulate(self.live))
        places = [
            ops.where(lengths > step, ends[step] - self.live[step] + self.ranks, ends[-1])
            for step in range(self.steps)
        ]
        places = ops.stack(places, axis=1)  # [N, T]
        packed, groups, start = _with_zero(packed), [], 0
        for shape in shapes:
            end = start + math.prod(shape[:-1])
            rows = ops.take(packed, places[start:end, : shape[-1]], axis=0)
            groups.append(ops.reshape(rows, (*shape, packed.shape[-1])))
            start = end
        return groups

    def restore(self, vectors, shapes: Sequence[tuple]):
        """One vector for each row live at step 0, [live[0], F], back in the place of its row.

        Args:
            vectors: In the order of the packing.
            shapes: The rows consist of groups; for each its shape.

        Returns:
            For each group [..., F]; 0 for empty rows.
        """
        empty = ops.take(self.lengths, self.ranks) == 0
        places = ops.where(empty, ops.shape(vectors)[0], self.ranks)
        vectors, groups, start = _with_zero(vectors), [], 0
        for shape in shapes:
            end = start + math.prod(shape)
            rows = ops.take(vectors, places[start:end], axis=0)
            groups.append(ops.reshape(rows, (*shape, vectors.shape[-1])))
            start = end
        return groups

    def maximum(self, outputs: Sequence[Any], floor: Any):
        """The maximum over the steps of each live row, [live[0], F].

        Args:
            outputs: T tensors [live[t], F].
            floor: What the padding of a row adds to the maximum: 0, or a large negative number
                where a row has no padding; in the order of the packing, shape [N].
        """
        floor = ops.expand_dims(floor, -1)  # [N, 1]
        result = None
        for step in reversed(range(self.steps)):
            live = self.live[step]
            joining = floor[:live] if result is None else floor[self.live[step + 1] : live]
            joining = ops.broadcast_to(joining, (ops.shape(joining)[0], outputs[0].shape[-1]))
            result = joining if result is None else ops.concatenate([result, joining])
            output = outputs[step]
            if not self.exact:  # past its end a row has no output, not even 0
                output = ops.where(self.mask(step), output, floor[:live])
            result = ops.maximum(result, output)
        return result


def _with_zero(rows):
    """Rows with one of zeros behind them."""
    return ops.concatenate([rows, ops.zeros((1, rows.shape[-1]))], axis=0)
