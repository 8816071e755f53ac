"""Turns as texts: checks, and batches of similar sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dim_tf.data.text import json_type_name, text_error
from dim_tf.errors import DataError

FIELDS = ("context", "persona", "candidates")
# Largest batch, in turns and in candidates.
TURNS_TOGETHER, CANDIDATES_TOGETHER = 32, 640
# A turn with more candidates is a batch of its own.
MANY_CANDIDATES = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Candidates that a `Ranker` has encoded, to be ranked many times.

    Args:
        candidates: tuple of str. The texts.
        indices: int [C]. The index of each text among the distinct ones.
        encoded: The distinct texts, as the scorer of the ranker encodes them.
        owner: object. A token of the ranker.
    """

    candidates: tuple[str, ...]
    indices: np.ndarray
    encoded: Any
    owner: object

    def __len__(self) -> int:
        return len(self.candidates)


@dataclasses.dataclass(frozen=True, eq=False)
class Turn:
    """A turn whose texts `Ranker.turn` has checked; `persona` has the profiles the model reads."""

    context: list[str]
    persona: list[str]
    candidates: list[str] | Pool

    @property
    def texts(self) -> Sequence[str]:
        """The candidates."""
        return self.candidates.candidates if isinstance(self.candidates, Pool) else self.candidates


def check_texts(values: Sequence[str], field: str) -> list[str]:
    """Checks that an argument is a list of texts with words; raises `DataError` if not.

    >>> check_texts(["hello", " "], "context")
    Traceback (most recent call last):
        ...
    dim_tf.errors.DataError: field "context[1]": found an empty text, expected words
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        hint = "; write [text] for a single text" if isinstance(values, str) else ""
        raise DataError(
            f"found {json_type_name(values)}, expected a list of texts{hint}", field=field
        )
    for index, text in enumerate(values):
        problem = text_error(text)
        if problem:
            raise DataError(problem, field=f"{field}[{index}]")
    return list(values)


def check_candidates(candidates: Sequence[str]) -> list[str]:
    """As `check_texts`, for one candidate or more."""
    candidates = check_texts(candidates, "candidates")
    if not candidates:
        raise DataError("found no candidate, expected at least one", field="candidates")
    return candidates


def batches(turns: Sequence[Turn]) -> Iterator[list[int]]:
    """Batches of turns of similar sizes, as indices."""

    def size(index: int) -> tuple[int, int]:
        return len(turns[index].texts), len(turns[index].context)

    batch: list[int] = []
    for index in sorted(range(len(turns)), key=size):
        count = size(index)[0]
        if count > MANY_CANDIDATES or isinstance(turns[index].candidates, Pool):
            yield [index]
            continue
        # Turns are sorted: all of the batch are padded to `count` candidates.
        if len(batch) == TURNS_TOGETHER or (len(batch) + 1) * count > CANDIDATES_TOGETHER:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
