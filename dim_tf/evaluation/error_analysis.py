"""Error analysis of a run: its most confident mistakes, and hits@1 by kinds of turns."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.errors import UsageError
from dim_tf.evaluation import significance
from dim_tf.evaluation.calibration import Calibration
from dim_tf.io import templates

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.data.dataset import PreparedData
    from dim_tf.evaluation.evaluator import Result

# The largest word count of each slice of replies; longer replies are a slice of their own.
LENGTHS = (5, 10, 15, 20)
# Neither what follows an apostrophe ("'s", "'m") nor single letters.
_WORD = re.compile(r"(?<!\w['’])\b\w{2,}")


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A turn whose best candidate, the choice, is not the gold reply."""

    row: int  # in its table: the `query_id` of the scores file
    persona: Sequence[str]  # the profiles that the model reads
    utterances: Sequence[tuple[str, str]]  # the speaker ("self" or "partner") and the text
    gold: str
    choice: str
    gold_probability: float
    choice_probability: float
    gold_rank: int
    candidates: int  # their number


@dataclasses.dataclass(frozen=True)
class Slice:
    """Turns that have a property in common: its label, and their hits@1 with a 95 % interval."""

    label: str
    turns: int
    hits: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The error analysis of ranked turns."""

    table: str  # its name
    turns: int
    wrong: int  # turns whose gold reply is not ranked first
    temperature: float | None  # T of the probabilities; None if they are not calibrated
    slices: Mapping[str, Sequence[Slice]]  # by the property
    most_confident: Sequence[Mistake]

    def slice_table(self) -> str:
        """hits@1 of the slices with 95 % intervals, as plain text."""
        return templates.render(__package__, "slices.txt.j2", analysis=self)

    def text(self) -> str:
        """The analysis as plain text."""
        return templates.render(__package__, "mistakes.txt.j2", analysis=self)

    def page(self, heading: str) -> str:
        """The analysis as one HTML file that loads no other."""
        return templates.render(__package__, "mistakes.html.j2", analysis=self, heading=heading)


def analyse(
    result: Result,
    data: PreparedData,
    table: TurnTable,
    count: int,
    config: ModelConfig,
    calibration: Calibration | None = None,
) -> Analysis:
    """Finds the most confident mistakes among ranked turns, and hits@1 by kinds of turns.

    Confidence is the probability of the wrong choice, calibrated if a calibration is given. Ties
    count against the gold reply. `count` mistakes are shown, with as much of a turn as the model
    reads by its `config`.
    """
    probabilities = result.probabilities
    if calibration is not None:
        probabilities = calibration.probabilities(result.logits, result.present)
    wrong = np.flatnonzero(result.ranks > 1)
    by_confidence = np.argsort(-probabilities[wrong].max(axis=1, initial=0), kind="stable")

    def mistake(index: int) -> Mistake:
        texts = _texts(data, table, result.rows[index], config)
        gold, choice = int(result.target[index]), int(result.order(index)[0])
        partner_first = len(texts["context"]) % 2
        speakers = itertools.cycle(("partner", "self") if partner_first else ("self", "partner"))
        return Mistake(
            row=int(result.rows[index]),
            persona=texts["persona"],
            utterances=list(zip(speakers, texts["context"], strict=False)),
            gold=texts["candidates"][gold],
            choice=texts["candidates"][choice],
            gold_probability=float(probabilities[index, gold]),
            choice_probability=float(probabilities[index, choice]),
            gold_rank=int(result.ranks[index]),
            candidates=int(result.present[index].sum()),
        )

    return Analysis(
        table=table.name,
        turns=len(result.rows),
        wrong=len(wrong),
        temperature=calibration and calibration.temperature,
        slices=_slices(result, data, table, config),
        most_confident=[mistake(index) for index in wrong[by_confidence][:count]],
    )


def _texts(data: PreparedData, table: TurnTable, row: int, config: ModelConfig) -> dict[str, Any]:
    """The texts of a turn with the utterances and profiles that the model reads."""
    texts = data.texts(table, row)
    return {
        **texts,
        "context": texts["context"][-config.max_utterances :] if config.use_context else [],
        "persona": texts["persona"][: config.max_profiles] if config.use_persona else [],
    }


def _slices(
    result: Result, data: PreparedData, table: TurnTable, config: ModelConfig
) -> dict[str, list[Slice]]:
    normalise = content_words()
    names = "utterances of context", "tokens of the gold reply", "content words of the gold reply"
    found: dict[str, dict[tuple[int, str], list[float]]] = {name: {} for name in names}
    contexts = table.context[result.rows]
    for row, rank, context in zip(result.rows, result.ranks, contexts, strict=True):
        texts = _texts(data, table, row, config)
        gold = texts["candidates"][texts["target"]]
        labels = (
            count_slice((context != ABSENT).sum(), range(config.max_utterances)),
            count_slice(len(gold.split()), LENGTHS),
            overlap_slice(gold, texts["persona"], normalise),
        )
        for slices, label in zip(found.values(), labels, strict=True):
            slices.setdefault(label, []).append(float(rank == 1))
    return {
        name: [
            Slice(label, len(hits), float(np.mean(hits)), *significance.interval(np.array(hits)))
            for (_, label), hits in sorted(slices.items())
        ]
        for name, slices in found.items()
    }


def count_slice(count: int, bounds: Sequence[int]) -> tuple[int, str]:
    """The order and label of a count's slice; `bounds` are the largest counts of all but the last.

    >>> count_slice(0, (0, 1)), count_slice(10, LENGTHS), count_slice(21, LENGTHS)
    ((0, '0'), (1, '6 to 10'), (4, '21 or more'))
    """
    index = int(np.searchsorted(bounds, count))
    first = bounds[index - 1] + 1 if index else min(1, bounds[0])
    if index == len(bounds):
        return index, f"{first} or more"
    return index, str(first) if first == bounds[index] else f"{first} to {bounds[index]}"


def overlap_slice(
    gold: str, persona: Sequence[str], normalise: Callable[[str], set[str]]
) -> tuple[int, str]:
    """The order and label of the slice: whether a reply shares content words with the profiles."""
    if not persona:
        return 2, "no persona shown"
    if normalise(gold) & set().union(*map(normalise, persona)):
        return 0, "shared with the persona"
    return 1, "not in the persona"


@functools.cache
def content_words() -> Callable[[str], set[str]]:
    """Gives the function from a text to its content words.

    Content words are the Porter stems (NLTK) of the words that are not stop words (gensim).

    Raises:
        UsageError: gensim is not installed.

    >>> sorted(content_words()("i've two Dogs and a glass of tea, was hiking"))
    ['dog', 'glass', 'hike', 'tea']
    """
    try:
        from gensim.parsing.preprocessing import STOPWORDS
    except ImportError:
        raise UsageError("--errors needs gensim: install it with pip install gensim") from None
    from nltk.stem.porter import PorterStemmer

    stem = functools.cache(PorterStemmer().stem)

    def normalise(text: str) -> set[str]:
        words = (word.lower() for word in _WORD.findall(text))
        return {stem(word) for word in words if word not in STOPWORDS}

    return normalise
