"""Ranking the turns of a split: the scores of all their candidates, and what follows from them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import Inputs, PreparedData
from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.errors import UsageError
from dim_tf.evaluation import metrics
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    from dim_tf.runtime.scorer import Scorer

SAMPLE_SEED = 2019
# Turns at once, if nothing else is said.
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Result:
    """Scores of some turns of a table.

    Attributes:
        rows: The turns' rows in their table, [N].
        logits: float32 [N, C], of absent candidates too.
        target: The column of the gold reply, [N].
        present: bool [N, C].
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

    def order(self, number: int) -> np.ndarray:
        """The present candidates of the `number`-th turn, best first; among ties the gold last."""
        columns = np.flatnonzero(self.present[number])
        is_gold = columns == self.target[number]
        return columns[np.lexsort((is_gold, -self.logits[number, columns].astype("float64")))]


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
        scorer: Gives the logits [B, C] of a batch's inputs.
        data: Where the table comes from.
        table: The table.
        config: Sizes of the model.
        rows: Which turns; all if not given.
        batch_size: B.
        on_batch: Called with the number of turns after each batch.
    """
    rows = np.arange(len(table)) if rows is None else rows
    if not len(rows):
        raise UsageError(f"{data.path}: {table.name} holds no turns")
    batch_size = min(batch_size, len(rows))
    order = _by_context(table, rows)
    back = np.argsort(order)
    parts = []
    for inputs, target in data.batches(table, config, batch_size, _filled(rows[order], batch_size)):
        parts.append((scorer(inputs), target, inputs["responses_len"] > 0))
        if on_batch:
            on_batch(min(batch_size, len(rows) - batch_size * (len(parts) - 1)))
    columns = [np.concatenate(column)[: len(rows)][back] for column in zip(*parts, strict=True)]
    return Result(rows, *columns)


def ranked(
    run: Run,
    data: PreparedData,
    scorer: Scorer,
    table: TurnTable,
    turns: int | None = None,
    batch_size: int = BATCH,
) -> Result:
    """Scores turns of a table with a trained run, and shows the progress.

    Args:
        run: The run.
        data: Its prepared folder.
        scorer: With the run's best weights.
        table: Of that folder.
        turns: How many turns, as for `sample_rows`.
        batch_size: Turns at once.
    """
    rows = sample_rows(len(table), turns)
    with Progress(f"ranking {table.name}", len(rows), "turns") as progress:
        return evaluate(scorer, data, table, run.model_config, rows, batch_size, progress.advance)


def sample_batches(
    data: PreparedData,
    table: TurnTable,
    config: ModelConfig,
    rows: np.ndarray,
    batch_size: int = BATCH,
    count: int = 24,
) -> Iterator[Inputs]:
    """Inputs of some of the batches that `evaluate` makes, for `Scorer` to fit its sizes to."""
    batch_size = min(batch_size, len(rows))
    order = _filled(rows[_by_context(table, rows)], batch_size)
    starts = np.arange(0, len(order), batch_size)
    for start in starts[:: max(len(starts) // count, 1)]:
        yield data.inputs(table, order[start : start + batch_size], config)[0]


def _by_context(table: TurnTable, rows: np.ndarray) -> np.ndarray:
    """An order in which turns with contexts of about one size follow each other.

    Attention is computed for as many words as the longest context of a batch has.
    """
    return np.argsort((table.context[rows] != ABSENT).sum(axis=1), kind="stable")


def _filled(rows: np.ndarray, batch_size: int) -> np.ndarray:
    """Rows and repeats of the last, for whole batches: a smaller one would be compiled apart."""
    return np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % batch_size)])
