"""Fixed sizes for programs that are compiled for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from dim_tf.packing.packed_sequence import PADDED

Live = tuple[int, ...]
# Steps that share their number of live rows, so that they are one loop of a compiled program.
STEPS_TOGETHER = 4
ROUNDED_TO = 16
# The share of batches that each level is to hold; the last level of all holds every batch.
SHARES = (0.5, 0.9, 1.0)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much a compiled model computes.

    Args:
        words: Distinct words.
        encoder: Rows live at each step of the encoder; `PADDED` for all; see `Packing`.
        responses: The same of the matcher, for the responses...
        utterances: ...and for the utterances; None where there are none.
        personas: ...and for the profiles.
        contexts: Contexts live at each step of the aggregator.
        utterances_words: X, words of a turn's context.
        personas_words: X, words of a turn's persona.
    """

    words: int | None = None
    encoder: Live | str | None = None
    responses: Live | str | None = None
    utterances: Live | str | None = None
    personas: Live | str | None = None
    contexts: Live | str | None = None
    utterances_words: int | None = None
    personas_words: int | None = None

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> Self:
        """Exactly what a batch of `dim_tf.packing.batch.pack` holds."""
        kinds = ("encoder", "responses", "utterances", "personas", "contexts")
        live = {kind: tuple(batch[kind]["live"].tolist()) for kind in kinds if kind in batch}
        widths = {
            f"{half}_words": batch[half]["grid"].shape[1]
            for half in ("utterances", "personas")
            if half in batch
        }
        return cls(words=len(batch["words"]), **live, **widths)

    def hold(self, other: Sizes) -> bool:
        """Whether these are nowhere smaller than others."""
        return bool((self._flat() >= other._flat()).all())

    def _flat(self) -> np.ndarray:
        values = [np.atleast_1d(value) for value in dataclasses.astuple(self) if value is not None]
        return np.concatenate(values)

    def _with(self, flat: np.ndarray) -> Sizes:
        """The same fields with other numbers."""
        values, start = {}, 0
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            end = start + np.size(value)
            part = [int(number) for number in flat[start:end]]
            values[field.name] = tuple(part) if isinstance(value, tuple) else part[0]
            start = end
        return Sizes(**values)


EXACT = Sizes()
ALL_PADDED = Sizes(*[None, *[PADDED] * 5])


class Ladder:
    """A few sizes, of which each batch takes the smallest that hold it.

    Args:
        largest: What any batch of the same shapes needs at most.
        samples: Exact sizes of some batches, to fit the steps to; with none, there is only the
            largest.

    >>> ladder = Ladder(Sizes(words=900), [Sizes(words=n) for n in (100, 110, 120, 130, 300)])
    >>> [ladder.fit(Sizes(words=n)).words for n in (70, 200, 301, 305)]
    [128, 240, 304, 900]
    """

    def __init__(self, largest: Sizes, samples: Iterable[Sizes] = ()):
        flat, top = np.array([sample._flat() for sample in samples]), largest._flat()
        shares = SHARES if len(flat) else ()
        levels = [
            largest._with(np.minimum(_rounded_up(np.quantile(flat, share, axis=0)), top))
            for share in shares
        ]
        self.levels = [_in_segments(level) for level in [*levels, largest]]

    def fit(self, needed: Sizes) -> Sizes:
        """The smallest level that holds `needed`."""
        return next(level for level in self.levels if level.hold(needed))


def largest(shapes: Mapping[str, Sequence[int]], halves: Sequence[str]) -> Sizes:
    """What batches need at most whose public inputs have these shapes."""
    kinds = ("responses", *halves)
    rows = {kind: int(np.prod(shapes[kind][:2])) for kind in kinds}
    steps = {kind: shapes[kind][2] for kind in kinds}
    live = {kind: (rows[kind],) * steps[kind] for kind in kinds}
    if "utterances" in halves:
        live["contexts"] = (shapes["utterances"][0],) * shapes["utterances"][1]
    return Sizes(
        words=sum(rows[kind] * steps[kind] for kind in kinds),
        encoder=(sum(rows.values()),) * max(steps.values()),
        **live,
        **{f"{half}_words": int(np.prod(shapes[half][1:])) for half in halves},
    )


def _in_segments(sizes: Sizes) -> Sizes:
    """With the live rows of steps that run together made equal."""
    changes = {}
    for field in dataclasses.fields(sizes):
        live = getattr(sizes, field.name)
        if isinstance(live, tuple):
            first = [live[step - step % STEPS_TOGETHER] for step in range(len(live))]
            changes[field.name] = tuple(first)
    return dataclasses.replace(sizes, **changes)


def _rounded_up(numbers: np.ndarray) -> np.ndarray:
    return -(-numbers // ROUNDED_TO).astype(int) * ROUNDED_TO
