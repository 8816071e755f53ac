"""Packed sequences: of a set of padded rows, only the words that are there.

The rows are sorted by length, longest first, and their words laid out step by step: first the
first words of all rows, then the second words of those that have one, and so on. Step t of an LSTM
then works on `live[t]` rows that lie side by side, and costs what its words cost.

NumPy makes the plan of a batch (`pack_rows`), the layers follow it (`Packing`). TensorFlow takes
the counts as they come. Where a program is compiled for fixed sizes they are rounded up
(`dim_tf.packing.buckets`); the words that a step then has too many are marked as not there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

# `live` of a plan in which all rows are live at all steps.
PADDED = "padded"
NO_FLOOR = -1e30


def pack_rows(
    lengths: np.ndarray, limits: np.ndarray, steps: int, live: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """The plan of N padded rows of at most T words.

    Args:
        lengths: int [N].
        limits: How long each row could be, int [N].
        steps: T.
        live: Rows to lay out for each step, for each t at least as many as are longer than t and
            at most N; as many as are longer than t if not given.

    Returns:
        int32 arrays. `live` [T]; `places` [M], for each packed word the place row * T + step where
        it stands among the padded ones; `there` [M], 1 if it is one, 0 where a step has too many;
        `ranks` [N], the place in the order of each row, `live[0]` for an empty one; `ends`
        [live[0]], where in the packed words the last word of each row stands, in that order;
        `padded` [live[0]], 1 if a row is shorter than its limit.

    >>> plan = pack_rows(np.array([1, 0, 2]), np.array([2, 2, 2]), steps=2)
    >>> plan["live"].tolist(), plan["places"].tolist(), plan["ranks"].tolist()
    ([2, 1], [4, 0, 5], [1, 2, 0])
    """
    order = np.argsort(-lengths, kind="stable")
    longer = (lengths[:, None] > np.arange(steps)).sum(axis=0)  # [T]
    live = longer if live is None else np.asarray(live)
    step = np.repeat(np.arange(steps), live)  # [M]
    starts = np.cumsum(live) - live
    rank = np.arange(len(step)) - starts[step]
    first = order[: live[0]]
    ranks = np.full(len(lengths), live[0])
    ranks[order[: longer[0]]] = np.arange(longer[0])
    last_step = np.maximum(lengths[first] - 1, 0)
    plan = {
        "live": live,
        "places": order[rank] * steps + step,
        "there": rank < longer[step],
        "ranks": ranks,
        "ends": starts[last_step] + np.arange(live[0]),
        "padded": lengths[first] < limits[first],
    }
    return {name: value.astype(np.int32) for name, value in plan.items()}


class Packing:
    """The plan of `pack_rows`, as layers use it; each row may stand for C rows side by side.

    Args:
        plan: What `pack_rows` made.
        live: T whole numbers, where the sizes are fixed; None for those of the plan, which are
            exact then; `PADDED` where all rows are live at all steps.
        copies: C; None for rows that stand for themselves.

    Attributes:
        exact: Whether every packed word is there.
        steps: T.
        live: Rows at each step: whole numbers, or scalar tensors.
        segments: Runs of steps with as many live rows: (first step, number of steps, start of
            their words, live rows). On TensorFlow, which computes step by step, each step is one.
    """

    def __init__(
        self, plan: Mapping[str, Any], live: Sequence[int] | str | None = None, copies: Any = None
    ):
        self.exact = live is None
        self.steps = plan["live"].shape[0]
        if self.exact:
            live = ops.unstack(plan["live"], self.steps)
        together = keras.backend.backend() != "tensorflow"
        if isinstance(live, str):
            together, live = True, [ops.shape(plan["padded"])[0]] * self.steps
        self.copies = copies
        self.live = [count if copies is None else count * copies for count in live]
        self._plan = plan
        starts = [0, *itertools.accumulate(self.live)]
        self.segments = []
        steps = range(self.steps)
        # The counts of steps that run together are whole numbers, or one tensor many times.
        for _, run in itertools.groupby(steps, key=lambda t: live[t] if together else t):
            first, *rest = run
            self.segments.append((first, 1 + len(rest), starts[first], self.live[first]))

    def cut(self, packed):
        """Packed words [M, F] as a list of those of each segment, [steps * live, F]."""
        bounds = [(start, start + steps * live) for _, steps, start, live in self.segments]

        def slices(packed):
            return [packed[start:end] for start, end in bounds]

        if not self.exact:
            return slices(packed)

        # TensorFlow's gradient of a slice is as large as the whole: of all of them, T times that.
        @ops.custom_gradient
        def cut(packed):
            return slices(packed), lambda *upstream: ops.concatenate(upstream, axis=0)

        return cut(packed)

    def there(self):
        """Which packed words are there: bool [M, 1]."""
        return ops.reshape(self._spread(self._plan["there"]) > 0, (-1, 1))

    def ends(self, packed):
        """The last word of each live row: [M, F] to [live[0], F]."""
        places = self._plan["ends"]
        if self.copies is not None:
            places = ops.expand_dims(places * self.copies, 1)
            places = ops.reshape(places + ops.arange(self.copies, dtype="int32"), (-1,))
        return ops.take(packed, places, axis=0)

    def maximum(self, packed):
        """The maximum over the words of each live row: [M, F] to [live[0], F].

        The padding of a row that is shorter than its limit takes part with its zeros.
        """
        padded = ops.reshape(self._spread(self._plan["padded"]), (-1, 1))
        floor = ops.cast(ops.where(padded > 0, 0.0, NO_FLOOR), packed.dtype)  # [live[0], 1]
        if not self.exact:
            # Words that are not there are padding too.
            floors = [ops.tile(floor[:live], (steps, 1)) for _, steps, _, live in self.segments]
            packed = ops.where(self.there(), packed, ops.concatenate(floors, axis=0))
            return self._running_maximum(packed, floor)

        # bfloat16 has so few values that words are often equal: the first of them counts.
        often_equal = keras.backend.standardize_dtype(packed.dtype) == "bfloat16"

        # By hand, since that of a maximum of two costs several passes for each step.
        @ops.custom_gradient
        def maximum(packed):
            pooled = self._running_maximum(packed, floor)

            def gradient(upstream):
                parts = []
                for words, live in zip(self.cut(packed), self.live, strict=True):
                    upstream, largest = upstream[:live], ops.equal(words, pooled[:live])
                    parts.append(ops.where(largest, upstream, 0.0))
                    if often_equal:
                        upstream = ops.where(largest, 0.0, upstream)
                return ops.concatenate(parts, axis=0)

            return pooled, gradient

        return maximum(packed)

    def _running_maximum(self, packed, floor):
        result, before = None, 0
        for words, (_, steps, _, live) in zip(
            reversed(self.cut(packed)), reversed(self.segments), strict=True
        ):
            if steps > 1:
                words = ops.max(ops.reshape(words, (steps, live, packed.shape[-1])), axis=0)
            joining = floor[before:live] + ops.zeros_like(words[before:live])
            floors = joining if result is None else ops.concatenate([result, joining], axis=0)
            result, before = ops.maximum(words, floors), live
        return result

    def restore(self, vectors):
        """One vector for each live row back in its place: [live[0], F] to [..., C, F].

        The places have the shape of the plan's `ranks`; empty rows are 0. Without copies the axis
        of C is left out.
        """
        copies = () if self.copies is None else (self.copies,)
        # Without copies no shape changes, but TensorFlow's sparse gradient of `take` ends here.
        vectors = ops.reshape(vectors, (-1, *copies, vectors.shape[-1]))
        empty = ops.zeros((1, *ops.shape(vectors)[1:]), dtype=vectors.dtype)
        return ops.take(ops.concatenate([vectors, empty], axis=0), self._plan["ranks"], axis=0)

    def _spread(self, values):
        """int32 [n] to [n * C]: each value once for each copy."""
        if self.copies is None:
            return values
        copies = ops.zeros((1, self.copies), dtype="int32")
        return ops.reshape(ops.expand_dims(values, 1) + copies, (-1,))


# Sentences of a batch in the two orders that matching needs: in a grid, and packed.


class Sequences:
    """Sentences of one kind: where their encoded words are, and how they are packed again.

    The words come packed from the encoder. For attention they stand in a grid: the words of each
    candidate, [B, C, R], or those of all utterances (or profiles) of a turn side by side, [B, X].
    For matching they are packed anew, each of them with its copies side by side.

    Args:
        plan: Of these sentences, see `dim_tf.packing.batch.pack`.
        live: As for `Packing`.
        copies: As for `Packing`.

    Attributes:
        packing: For matching.
        words: The encoded word of each packed one, int32 [words].
    """

    def __init__(self, plan: Mapping[str, Any], live: Sequence[int] | str | None, copies: Any):
        self.packing = Packing(plan, live, copies)
        self._grid, self._places, self._inverse = plan["grid"], plan["places"], plan["inverse"]
        self.words = ops.take(ops.reshape(self._grid, (-1,)), self._places)

    def grid_of(self, encoded):
        """Encoded words [M, F] in the grid, [..., F]; of no meaning where there is no word."""
        return ops.take(encoded, self._grid, axis=0)

    def packed(self, grid):
        """The words of a grid, packed: [..., F] to [words, F]."""
        rows = ops.reshape(grid, (-1, grid.shape[-1]))
        return permute(rows, self._places, ops.reshape(self._inverse, (-1,)))

    def packed_copies(self, grid):
        """The words of a grid that each candidate has, packed: [B, C, X, F] to [words, C, F]."""
        batch, copies, size, _ = ops.shape(grid)
        copy = ops.arange(copies, dtype="int32")
        turn, place = self._places // size, self._places % size
        order = ops.expand_dims(turn * (copies * size) + place, 1) + copy * size  # [words, C]
        inverse = ops.reshape(self._inverse, (batch, 1, size)) * copies
        inverse = inverse + ops.reshape(copy, (1, copies, 1))  # [B, C, X]
        rows = ops.reshape(grid, (-1, grid.shape[-1]))
        rows = permute(rows, ops.reshape(order, (-1,)), ops.reshape(inverse, (-1,)))
        return ops.reshape(rows, (-1, copies, grid.shape[-1]))


def permute(rows, order, inverse):
    """Rows [S, F] in another order: the rows at `order`, [M, F].

    Args:
        rows: Each is taken once, or the gradient that it gets is of no meaning.
        order: int32 [M].
        inverse: Where each row went, int32 [S].
    """

    # The gradient of a gather is a sum of scattered rows; here another gather gives it sooner.
    @ops.custom_gradient
    def permuted(rows):
        return ops.take(rows, order, axis=0), lambda upstream: ops.take(upstream, inverse, axis=0)

    return permuted(rows)
