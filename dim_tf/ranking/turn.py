"""Turns as texts: checked, and put together by their sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dim_tf.data.text import json_type_name, text_error
from dim_tf.errors import DataError

FIELDS = ("context", "persona", "candidates")
# What goes through the model together: at most so many turns, and so many candidates in all.
TURNS_TOGETHER, CANDIDATES_TOGETHER = 32, 640
# A turn with more candidates than that fills a batch by itself.
MANY_CANDIDATES = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Candidates that a `Ranker` has encoded, to be ranked many times.

    Args:
        candidates: The texts.
        places: For each the place of its sentence among the distinct ones, int [C].
        replies: The distinct sentences, as the ranker's model keeps them.
        owner: A token of the ranker that encoded them.
    """

    candidates: tuple[str, ...]
    places: np.ndarray
    replies: Any
    owner: object

    def __len__(self) -> int:
        return len(self.candidates)


@dataclasses.dataclass(frozen=True, eq=False)
class Turn:
    """A turn whose texts `Ranker.turn` has checked.

    Args:
        context: The utterances.
        persona: The profiles that the model reads.
        candidates: The texts, or a pool of the same ranker.
    """

    context: list[str]
    persona: list[str]
    candidates: list[str] | Pool

    @property
    def texts(self) -> Sequence[str]:
        """The candidates as texts."""
        return self.candidates.candidates if isinstance(self.candidates, Pool) else self.candidates


def check_texts(values: Sequence[str], field: str) -> list[str]:
    """The texts of an argument.

    Raises:
        DataError: It is no list, or something in it is no text or has no words.

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
    for place, text in enumerate(values):
        problem = text_error(text)
        if problem:
            raise DataError(problem, field=f"{field}[{place}]")
    return list(values)


def check_candidates(candidates: Sequence[str]) -> list[str]:
    """The texts of candidates; raises `DataError` as `check_texts`, and if there are none."""
    candidates = check_texts(candidates, "candidates")
    if not candidates:
        raise DataError("found no candidate, expected at least one", field="candidates")
    return candidates


def batches(turns: Sequence[Turn]) -> Iterator[list[int]]:
    """The places of turns that are to be scored together, those of similar sizes."""

    def size(place: int) -> tuple[int, int]:
        return len(turns[place].texts), len(turns[place].context)

    batch: list[int] = []
    for place in sorted(range(len(turns)), key=size):
        count = size(place)[0]
        if count > MANY_CANDIDATES or isinstance(turns[place].candidates, Pool):
            yield [place]
            continue
        # The others of the batch have at most as many candidates, and get as many slots.
        if len(batch) == TURNS_TOGETHER or (len(batch) + 1) * count > CANDIDATES_TOGETHER:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
