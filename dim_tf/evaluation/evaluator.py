"""Ranking the turns of a split: the scores of all their candidates, and the measures of these."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import Inputs, PreparedData
from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.errors import UsageError
from dim_tf.evaluation import metrics
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    from dim_tf.runtime.scorer import Scorer

SAMPLE_SEED = 2019
# Default number of turns per batch.
BATCH = 32
# Size buckets are fitted to about this many batches.
SAMPLE_BATCHES = 24


@dataclasses.dataclass(frozen=True)
class Result:
    """Scores of some turns of a table.

    Args:
        rows: int [N]. The turns' rows in their table.
        logits: float32 [N, C]. Raw scores, of absent candidates too.
        target: int [N]. Column of the gold reply.
        present: bool [N, C]. False for absent candidates.
    """

    rows: np.ndarray
    logits: np.ndarray
    target: np.ndarray
    present: np.ndarray

    @functools.cached_property
    def ranks(self) -> np.ndarray:
        """The rank of each gold reply, from 1, ties against it: [N]."""
        return metrics.ranks(self.logits, self.target, self.present)

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax over the present candidates: float64 [N, C]."""
        return metrics.probabilities(self.logits, self.present)

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the gold replies."""
        return metrics.cross_entropy(self.logits, self.target, self.present)

    def summary(self) -> dict[str, float]:
        """hits@1, 2, 5, 10, MRR and MAP, as fractions."""
        return metrics.summarise(self.ranks)

    def order(self, index: int) -> np.ndarray:
        """The present candidates of turn `index`, best first; among ties the gold reply last."""
        columns = np.flatnonzero(self.present[index])
        is_gold = columns == self.target[index]
        return columns[np.lexsort((is_gold, -self.logits[index, columns].astype("float64")))]


def sample_rows(total: int, turns: int | None) -> np.ndarray:
    """The rows to evaluate: all, or a sample of `turns` that is the same in every run.

    >>> sample_rows(10, 3), sample_rows(3, 5)
    (array([1, 2, 3]), array([0, 1, 2]))
    """
    if turns is None or turns >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(total, turns, replace=False))


def describe_sample(total: int, turns: int | None) -> str:
    """What `sample_rows` takes, in words.

    >>> describe_sample(7801, 500)
    'a fixed sample of 500 of 7,801 turns (seed 2019)'
    """
    if turns is None or turns >= total:
        return f"all {total:,} turns"
    return f"a fixed sample of {turns:,} of {total:,} turns (seed {SAMPLE_SEED})"


def evaluate(
    scorer: Scorer,
    data: PreparedData,
    table: TurnTable,
    config: ModelConfig,
    rows: np.ndarray | None = None,
    batch_size: int = BATCH,
    on_batch: Callable[[int], None] | None = None,
) -> Result:
    """Scores turns of a table.

    Args:
        scorer: Scorer. That of `dim_tf.runtime.scorer.batch_scorer`.
        data: The prepared folder.
        table: A table of that folder.
        config: ModelConfig. Sizes of the model.
        rows: int [N]. The turns' rows, at least one; None for all.
        batch_size: int. B.
        on_batch: callable. Called with the number of turns after each batch.
    """
    rows = np.arange(len(table)) if rows is None else rows
    batch_size = min(batch_size, len(rows))
    order = _by_context(table, rows)
    back = np.argsort(order)
    score, names = _scoring(scorer, data, table, config, rows)
    parts = []
    every = _filled(rows[order], batch_size)
    for first in range(0, len(every), batch_size):
        batch = every[first : first + batch_size]
        inputs, target = data.inputs(table, batch, config, names=[*names, "responses_len"])
        parts.append((score(inputs, batch), target, inputs["responses_len"] > 0))
        if on_batch:
            on_batch(min(batch_size, len(rows) - batch_size * (len(parts) - 1)))
    columns = [np.concatenate(column)[: len(rows)][back] for column in zip(*parts, strict=True)]
    return Result(rows, *columns)


def _scoring(
    scorer: Scorer, data: PreparedData, table: TurnTable, config: ModelConfig, rows: np.ndarray
) -> tuple[Callable[[Inputs, np.ndarray], np.ndarray], Sequence[str]]:
    """A function from the inputs and rows of a batch to its logits, and the inputs it needs.

    Where the model encodes replies on their own, each distinct one is encoded once, here.
    """
    from dim_tf.runtime.scorer import VectorScorer

    if not isinstance(scorer, VectorScorer):
        return lambda inputs, _: scorer(inputs), scorer.names
    distinct = np.unique(table.candidates[rows])
    vectors = scorer.encode(data.candidates(distinct[None], config, names=scorer.names))  # [N, d]

    def score(inputs: Inputs, batch: np.ndarray) -> np.ndarray:
        replies = vectors[np.searchsorted(distinct, table.candidates[batch])]  # [B, C, d]
        return np.einsum("bd,bcd->bc", scorer.encode_query(inputs), replies)

    return score, scorer.query_names


def check_profiles(run: Run, data: PreparedData, persona: str) -> None:
    """Raises `UsageError` if `--persona both` may give more profiles than the run reads."""
    capacity, needed = run.model_config.max_profiles, 2 * data.sizes["max_profiles"]
    needs_both = persona == "both" and run.persona != "both"
    if needs_both and run.model_config.use_persona and capacity < needed:
        raise UsageError(
            f"--persona both gives up to {needed} profiles, but {run.path} was trained with at "
            f"most {capacity} (--persona {run.persona}); train a run with --persona both"
        )


def sample_batches(
    data: PreparedData,
    table: TurnTable,
    config: ModelConfig,
    rows: np.ndarray,
    batch_size: int = BATCH,
) -> Iterator[Inputs]:
    """Inputs of some of the batches that `evaluate` makes; `Scorer` fits its buckets to them."""
    batch_size = min(batch_size, len(rows))
    order = _filled(rows[_by_context(table, rows)], batch_size)
    starts = np.arange(0, len(order), batch_size)
    for start in starts[:: max(len(starts) // SAMPLE_BATCHES, 1)]:
        yield data.inputs(table, order[start : start + batch_size], config)[0]


def _by_context(table: TurnTable, rows: np.ndarray) -> np.ndarray:
    """An order that groups turns with contexts of about the same size.

    Attention is computed for as many words as the longest context of a batch has.
    """
    return np.argsort((table.context[rows] != ABSENT).sum(axis=1), kind="stable")


def _filled(rows: np.ndarray, batch_size: int) -> np.ndarray:
    """Rows and repeats of the last one, to fill the last batch: no second shape is compiled."""
    return np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % batch_size)])
