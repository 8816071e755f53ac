"""Fixed sizes for programs that are compiled for them: a few buckets of batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from dim_tf.packing.layout import SOURCES, PackedBatch, StepSizes

# Steps that share their batch size, so that they are one loop of a compiled program.
STEPS_TOGETHER = 4
ROUNDED_TO = 16
# The fraction of batches that each bucket is to cover; a last one covers every batch.
FRACTIONS = (0.5, 0.9, 1.0)


@dataclasses.dataclass(frozen=True)
class BucketShape:
    """The sizes that a program is compiled for; fields of what a model does not read are None.

    Args:
        words: int. Distinct words.
        sentences: The rows at each step of the encoder; see `StepSizes`.
        responses: The rows at each step of the matcher, for the responses.
        utterances: The same for the utterances.
        personas: The same for the profiles.
        contexts: The contexts at each step of the aggregator.
        utterances_words: int. X, the words of a turn's context.
        personas_words: int. X, the words of a turn's persona.
    """

    words: int | None = None
    sentences: StepSizes = None
    responses: StepSizes = None
    utterances: StepSizes = None
    personas: StepSizes = None
    contexts: StepSizes = None
    utterances_words: int | None = None
    personas_words: int | None = None

    @classmethod
    def of(cls, batch: PackedBatch) -> Self:
        """Exactly the sizes of a batch."""
        rows = {"sentences": batch.sentences.rows, "responses": batch.responses.rows}
        widths: dict[str, Any] = {}
        for source in SOURCES:
            if (layout := getattr(batch, source)) is not None:
                rows[source] = layout.rows
                widths[f"{source}_words"] = layout.grid.shape[1]
        if batch.contexts is not None:
            rows["contexts"] = batch.contexts
        sizes: dict[str, Any] = {
            name: tuple(layout.batch_sizes.tolist()) for name, layout in rows.items()
        }
        return cls(words=len(batch.sentences.words), **sizes, **widths)

    def covers(self, other: BucketShape) -> bool:
        """Whether no size is smaller than that of another shape."""
        return bool((self._flat() >= other._flat()).all())

    def _flat(self) -> np.ndarray:
        values = [np.atleast_1d(value) for value in vars(self).values() if value is not None]
        return np.concatenate(values)

    def _with(self, flat: np.ndarray) -> BucketShape:
        """The same fields with other numbers."""
        numbers = iter(int(number) for number in flat)
        sizes: dict[str, Any] = {
            name: tuple(next(numbers) for _ in value) if isinstance(value, tuple) else next(numbers)
            for name, value in vars(self).items()
            if value is not None
        }
        return BucketShape(**sizes)

    def _in_segments(self) -> BucketShape:
        """With equal batch sizes for steps that run together."""
        changes: dict[str, Any] = {
            name: tuple(value[step - step % STEPS_TOGETHER] for step in range(len(value)))
            for name, value in vars(self).items()
            if isinstance(value, tuple)
        }
        return dataclasses.replace(self, **changes)


EXACT = BucketShape()


class SizeBuckets:
    """A few bucket shapes; each batch takes the smallest one that covers it.

    Args:
        largest: BucketShape. The most that any batch of the same input shapes needs.
        samples: The exact shapes of some batches, to fit the buckets to. Without samples, `largest`
            is the only bucket.

    >>> samples = [BucketShape(words=n) for n in (100, 110, 120, 130, 300)]
    >>> buckets = SizeBuckets(BucketShape(words=900), samples)
    >>> [buckets.smallest(BucketShape(words=n)).words for n in (70, 200, 301, 305)]
    [128, 240, 304, 900]
    """

    def __init__(self, largest: BucketShape, samples: Iterable[BucketShape] = ()) -> None:
        flat, top = np.array([sample._flat() for sample in samples]), largest._flat()
        shapes = [
            largest._with(np.minimum(_round_up(np.quantile(flat, fraction, axis=0)), top))
            for fraction in (FRACTIONS if len(flat) else ())
        ]
        self.shapes = [shape._in_segments() for shape in (*shapes, largest)]

    def smallest(self, needed: BucketShape) -> BucketShape:
        """The smallest bucket that covers `needed`."""
        return next(shape for shape in self.shapes if shape.covers(needed))


def largest_shape(shapes: Mapping[str, Sequence[int]], sources: Sequence[str]) -> BucketShape:
    """The most that batches of public inputs of these shapes need."""
    kinds = ("responses", *sources)
    rows = {kind: int(np.prod(shapes[kind][:2])) for kind in kinds}
    steps = {kind: shapes[kind][2] for kind in kinds}
    sizes: dict[str, Any] = {kind: (rows[kind],) * steps[kind] for kind in kinds}
    if "utterances" in sources:
        sizes["contexts"] = (shapes["utterances"][0],) * shapes["utterances"][1]
    sizes |= {f"{source}_words": int(np.prod(shapes[source][1:])) for source in sources}
    return BucketShape(
        words=sum(rows[kind] * steps[kind] for kind in kinds),
        sentences=(sum(rows.values()),) * max(steps.values()),
        **sizes,
    )


def _round_up(numbers: np.ndarray) -> np.ndarray:
    return -(-numbers // ROUNDED_TO).astype(int) * ROUNDED_TO
