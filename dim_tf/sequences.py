"""Sentences of a batch in the two orders that matching needs: in a grid, and packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from dim_tf.packing import Packing


class Sequences:
    """Sentences of one kind: where their encoded words are, and how they are packed again.

    The words come packed from the encoder. For attention they stand in a grid: the words of each
    candidate, [B, C, R], or those of all utterances (or profiles) of a turn side by side, [B, X].
    For matching they are packed anew, each of them with its copies side by side.

    Args:
        plan: Of these sentences, see `dim_tf.batching.pack`.
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
