"""Packed sequences: padded batches without the padding.

The rows are sorted by length, longest first, and their words are laid out step by step: the first
words of all rows, then the second words of the rows that have one, and so on. Step t of an LSTM
works on `batch_sizes[t]` adjacent rows, and costs what its words cost.

`pack_rows` makes the layout of a batch with NumPy, `PackedRows` applies it. TensorFlow takes the
batch sizes as they come. A program that is compiled for fixed sizes has them rounded up (see
`dim_tf.packing.buckets`); the surplus words of a step are masked.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
from keras import ops

from dim_tf.packing.layout import RowLayout, SentenceLayout, StepSizes, Tensor

NO_FLOOR = -1e30


def pack_rows(
    lengths: np.ndarray,
    limits: np.ndarray,
    steps: int,
    step_sizes: StepSizes = None,
) -> RowLayout:
    """The layout of N padded rows of at most T words.

    Args:
        lengths: int [N]. Words of each row.
        limits: int [N]. The largest possible length of each row.
        steps: int. T.
        step_sizes: The rows to lay out at each step: at least the rows that are still active, at
            most N. None for exactly the active rows.

    >>> rows = pack_rows(np.array([1, 0, 2]), np.array([2, 2, 2]), steps=2)
    >>> rows.batch_sizes.tolist(), rows.flat_index.tolist(), rows.unsorted_indices.tolist()
    ([2, 1], [4, 0, 5], [1, 2, 0])
    """
    sorted_indices = np.argsort(-lengths, kind="stable")
    with_word = (lengths[:, None] > np.arange(steps)).sum(axis=0)  # [T]
    batch_sizes = with_word if step_sizes is None else np.asarray(step_sizes)
    step = np.repeat(np.arange(steps), batch_sizes)  # [M]
    starts = np.cumsum(batch_sizes) - batch_sizes  # [T]
    row = np.arange(len(step)) - starts[step]  # [M], the sorted position
    first = sorted_indices[: batch_sizes[0]]
    unsorted_indices = np.full(len(lengths), batch_sizes[0])
    unsorted_indices[sorted_indices[: with_word[0]]] = np.arange(with_word[0])
    layout = RowLayout(
        batch_sizes,
        flat_index=sorted_indices[row] * steps + step,
        mask=row < with_word[step],
        unsorted_indices=unsorted_indices,
        last_index=starts[np.maximum(lengths[first] - 1, 0)] + np.arange(batch_sizes[0]),
        is_padded=lengths[first] < limits[first],
        step_sizes=step_sizes,
    )
    return keras.tree.map_structure(lambda array: array.astype(np.int32), layout)


class PackedRows:
    """Operations on packed words; each row may occur C times, its copies next to each other.

    Args:
        layout: RowLayout. The layout of the rows.
        copies: int or scalar tensor. C; None for rows without an axis of copies.

    Attributes:
        exact: bool. Whether no packed position is padding.
        steps: int. T.
        batch_sizes: The rows at each step, copies included: whole numbers, or scalar tensors.
        segments: Runs of steps with equal batch sizes: (number of steps, index of their first
            word, batch size). On TensorFlow, which computes step by step, each step is one, except
            in a layout of all rows at every step.
    """

    def __init__(self, layout: RowLayout, copies: Tensor = None) -> None:
        self.layout, self.copies = layout, copies
        self.steps: int = layout.batch_sizes.shape[0]
        self.exact = layout.step_sizes is None
        run_together = keras.backend.backend() != "tensorflow"
        if isinstance(layout.step_sizes, str):
            run_together = True
            sizes: list[Tensor] = [ops.shape(layout.is_padded)[0]] * self.steps
        else:
            sizes = list(layout.step_sizes or ()) or ops.unstack(layout.batch_sizes, self.steps)
        self.batch_sizes = [size if copies is None else size * copies for size in sizes]
        starts = [0, *itertools.accumulate(self.batch_sizes)]
        self.segments: list[tuple[int, Tensor, Tensor]] = []
        # Sizes of steps that run together are whole numbers, or one tensor many times.
        steps = range(self.steps)
        for _, run in itertools.groupby(steps, key=lambda t: sizes[t] if run_together else t):
            first, *rest = run
            self.segments.append((1 + len(rest), starts[first], self.batch_sizes[first]))

    def split_steps(self, packed: Tensor) -> list[Tensor]:
        """Packed words [M, F] as a list with those of each segment, [steps * batch size, F]."""
        bounds = [(start, start + steps * size) for steps, start, size in self.segments]

        def slices(packed: Tensor) -> list[Tensor]:
            return [packed[start:end] for start, end in bounds]

        if not self.exact:
            return slices(packed)

        # TensorFlow's gradient of a slice is a full-size tensor; T slices would cost T of them.
        @ops.custom_gradient
        def split(packed: Tensor) -> Tensor:
            return slices(packed), lambda *upstream: ops.concatenate(upstream, axis=0)

        return split(packed)

    def mask(self) -> Tensor:
        """True where a packed position holds a word: bool [M, 1]."""
        return ops.reshape(self._repeat(self.layout.mask) > 0, (-1, 1))

    def last_words(self, packed: Tensor) -> Tensor:
        """The last word of each sorted row: [M, F] to [batch_sizes[0], F]."""
        index = self.layout.last_index
        if self.copies is not None:
            index = ops.expand_dims(index * self.copies, 1)
            index = ops.reshape(index + ops.arange(self.copies, dtype="int32"), (-1,))
        return ops.take(packed, index, axis=0)

    def max_pool(self, packed: Tensor) -> Tensor:
        """The maximum over the words of each sorted row: [M, F] to [batch_sizes[0], F].

        If a row is shorter than its limit, the max includes the padding's zeros.
        """
        is_padded = ops.reshape(self._repeat(self.layout.is_padded), (-1, 1))
        floor = ops.cast(ops.where(is_padded > 0, 0.0, NO_FLOOR), packed.dtype)  # [rows, 1]
        if not self.exact:
            # Masked words are padding too.
            floors = [ops.tile(floor[:size], (steps, 1)) for steps, _, size in self.segments]
            packed = ops.where(self.mask(), packed, ops.concatenate(floors, axis=0))
            return self._running_maximum(packed, floor)

        # bfloat16 has so few values that words are often equal: the first of them counts.
        often_equal = keras.backend.standardize_dtype(packed.dtype) == "bfloat16"

        # By hand, because the gradient of a maximum of two costs several passes at each step.
        @ops.custom_gradient
        def maximum(packed: Tensor) -> Tensor:
            pooled = self._running_maximum(packed, floor)

            def gradient(upstream: Tensor) -> Tensor:
                parts = []
                for words, size in zip(self.split_steps(packed), self.batch_sizes, strict=True):
                    upstream, is_largest = upstream[:size], ops.equal(words, pooled[:size])
                    parts.append(ops.where(is_largest, upstream, 0.0))
                    if often_equal:
                        upstream = ops.where(is_largest, 0.0, upstream)
                return ops.concatenate(parts, axis=0)

            return pooled, gradient

        return maximum(packed)

    def _running_maximum(self, packed: Tensor, floor: Tensor) -> Tensor:
        result, before = None, 0
        for words, (steps, _, size) in zip(
            reversed(self.split_steps(packed)), reversed(self.segments), strict=True
        ):
            if steps > 1:
                words = ops.max(ops.reshape(words, (steps, size, packed.shape[-1])), axis=0)
            joining = floor[before:size] + ops.zeros_like(words[before:size])
            floors = joining if result is None else ops.concatenate([result, joining], axis=0)
            result, before = ops.maximum(words, floors), size
        return result

    def unsort(self, vectors: Tensor) -> Tensor:
        """One vector of each sorted row in the rows' own order: [rows, F] to [..., C, F].

        The leading axes are those of `unsorted_indices`; empty rows are 0. Without copies the axis
        of C is left out.
        """
        copies = () if self.copies is None else (self.copies,)
        # Without copies no shape changes, but TensorFlow's sparse gradient of `take` ends here.
        vectors = ops.reshape(vectors, (-1, *copies, vectors.shape[-1]))
        empty = ops.zeros((1, *ops.shape(vectors)[1:]), dtype=vectors.dtype)
        vectors = ops.concatenate([vectors, empty], axis=0)
        return ops.take(vectors, self.layout.unsorted_indices, axis=0)

    def _repeat(self, values: Tensor) -> Tensor:
        """int32 [n] to [n * C]: each value once for each copy."""
        if self.copies is None:
            return values
        copies = ops.zeros((1, self.copies), dtype="int32")
        return ops.reshape(ops.expand_dims(values, 1) + copies, (-1,))


class PackedSentences:
    """Encoded sentences of one kind: gathered into their grid, and packed for matching.

    Args:
        layout: SentenceLayout. The layout of the sentences.
        copies: As for `PackedRows`.

    Attributes:
        rows: PackedRows. The packed rows of matching.
        word_index: int32 [M]. The encoded word of each packed word.
    """

    def __init__(self, layout: SentenceLayout, copies: Tensor = None) -> None:
        self.rows, self._layout = PackedRows(layout.rows, copies), layout
        self._cells = layout.rows.flat_index
        self.word_index = ops.take(ops.reshape(layout.grid, (-1,)), self._cells)

    def to_grid(self, encoded: Tensor) -> Tensor:
        """Encoded words [M, F] in the grid, [..., F]; undefined in empty cells."""
        return ops.take(encoded, self._layout.grid, axis=0)

    def pack(self, grid: Tensor) -> Tensor:
        """The words of a grid, packed: [..., F] to [M, F]."""
        cells = ops.reshape(grid, (-1, grid.shape[-1]))
        return permute(cells, self._cells, ops.reshape(self._layout.packed_index, (-1,)))

    def pack_copies(self, grid: Tensor) -> Tensor:
        """The words of one grid for each candidate, packed: [B, C, X, F] to [M, C, F]."""
        batch, copies, size, _ = ops.shape(grid)
        copy = ops.arange(copies, dtype="int32")
        turn, cell = self._cells // size, self._cells % size
        order = ops.expand_dims(turn * (copies * size) + cell, 1) + copy * size  # [M, C]
        inverse = ops.reshape(self._layout.packed_index, (batch, 1, size)) * copies
        inverse = inverse + ops.reshape(copy, (1, copies, 1))  # [B, C, X]
        cells = ops.reshape(grid, (-1, grid.shape[-1]))
        packed = permute(cells, ops.reshape(order, (-1,)), ops.reshape(inverse, (-1,)))
        return ops.reshape(packed, (-1, copies, grid.shape[-1]))


def permute(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows [S, F] in another order: the rows at `order`, [M, F].

    Args:
        rows: [S, F]. A row that is not taken exactly once must not need its gradient.
        order: int32 [M]. The rows to take.
        inverse: int32 [S]. The new index of each row.
    """

    # The gradient of a gather is a scattered sum; here another gather computes it faster.
    @ops.custom_gradient
    def permuted(rows: Tensor) -> Tensor:
        return ops.take(rows, order, axis=0), lambda upstream: ops.take(upstream, inverse, axis=0)

    return permuted(rows)
