"""The typed layout of a packed batch: what is computed, and where each word is.

B batch, C candidates, R words of a response; N rows of at most T words, of which M are packed; W
distinct words; X words of a turn's context (or persona) side by side.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import optree

# A tensor of either backend, a symbolic one, or (in a layout made on the host) a NumPy array.
Tensor = Any
StepSizes = tuple[int, ...] | None  # rows at each step: fixed numbers, or those of the batch
PADDED = "padded"  # all rows at every step
SOURCES = ("utterances", "personas")  # what responses are matched with


class Tree:
    """Base of the dataclasses below: trees of arrays.

    Keras knows them by optree, which it flattens everything with; `dim_tf.runtime` registers them
    with JAX. Fields that are None are left out. `step_sizes` is part of the structure, no array.
    """

    def __init_subclass__(cls) -> None:
        optree.register_pytree_node_class(cls, namespace="keras")  # type: ignore[call-overload]

    def __len__(self) -> int:
        """The number of children: Keras asks every nested argument of a layer for it."""
        return len(self.tree_flatten()[0])

    def tree_flatten(self) -> tuple[list[Any], tuple[Any, ...], tuple[str, ...]]:
        """The children, the static part of the structure, and the names of the children."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        static = values.pop("step_sizes", None)
        return list(values.values()), (static, *values), tuple(values)

    @classmethod
    def tree_unflatten(cls, structure: tuple[Any, ...], children: Any) -> Self:
        """The inverse of `tree_flatten`."""
        static, *names = structure
        fields = dict(zip(names, children, strict=True))
        return cls(**fields | ({} if static is None else {"step_sizes": static}))


@dataclasses.dataclass(frozen=True, eq=False)
class RowLayout(Tree):
    """N rows sorted by length and laid out step by step, as in torch's `PackedSequence`.

    Args:
        batch_sizes: int32 [T]. Rows at each step; the first ones of the sorted rows.
        flat_index: int32 [M]. Index row * T + step of each packed word among the padded ones.
        mask: int32 [M]. 1 for a word, 0 where a step has more rows than words.
        unsorted_indices: int32 [N] or [B, C]. Sorted position of each row; `batch_sizes[0]` for an
            empty one.
        last_index: int32 [batch_sizes[0]]. Index of the last packed word of each sorted row.
        is_padded: int32 [batch_sizes[0]]. 1 if a row is shorter than it could be.
        step_sizes: The batch sizes if a program is compiled for them; or `PADDED`.
    """

    batch_sizes: Tensor
    flat_index: Tensor
    mask: Tensor
    unsorted_indices: Tensor
    last_index: Tensor
    is_padded: Tensor
    step_sizes: StepSizes | str = None


@dataclasses.dataclass(frozen=True, eq=False)
class EncoderBatch(Tree):
    """The input of the encoder: all sentences of a batch.

    Args:
        words: int32 [W]. The distinct words.
        characters: int32 [W, characters].
        word_index: int32 [M]. The distinct word of each packed word.
        rows: RowLayout. The layout of the sentences.
    """

    words: Tensor
    characters: Tensor
    word_index: Tensor
    rows: RowLayout


@dataclasses.dataclass(frozen=True, eq=False)
class SentenceLayout(Tree):
    """Encoded sentences of one kind in the two orders of matching: in a grid, and packed again.

    The grid is [B, C, R] for responses. It is [B, X] for utterances and profiles: the words of a
    turn side by side.

    Args:
        grid: int32 [B, C, R] or [B, X]. Index of the encoded word in each cell; 0 in an empty cell.
        grid_mask: float32, as the grid. 1.0 in a cell with a word.
        packed_index: int32, as the grid. Index of the cell's word among the packed ones.
        rows: RowLayout. The layout for matching; its `flat_index` counts the cells of the grid.
    """

    grid: Tensor
    grid_mask: Tensor
    packed_index: Tensor
    rows: RowLayout


@dataclasses.dataclass(frozen=True, eq=False)
class PackedBatch(Tree):
    """A batch as the packed models take it.

    Args:
        sentences: EncoderBatch. The input of the encoder.
        responses: SentenceLayout. The candidates.
        responses_len: int32 [B, C]. Words of each candidate; 0 for an absent one.
        personas_num: int32 [B]. Profiles of each persona.
        utterances: SentenceLayout. The contexts, if the model reads them.
        personas: SentenceLayout. The personas, if the model reads them.
        contexts: RowLayout. The contexts as rows of utterances, with `utterances`.
    """

    sentences: EncoderBatch
    responses: SentenceLayout
    responses_len: Tensor
    personas_num: Tensor
    utterances: SentenceLayout | None = None
    personas: SentenceLayout | None = None
    contexts: RowLayout | None = None

    def source(self, name: str) -> SentenceLayout:
        """The utterances or the personas."""
        layout: SentenceLayout = getattr(self, name)
        return layout
