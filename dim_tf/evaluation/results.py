"""Ranking tables of turns with a run, and how the run folder keeps the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from dim_tf.cli.progress import Progress
from dim_tf.data.dataset import PreparedData
from dim_tf.data.prepared_folder import TurnTable
from dim_tf.evaluation import error_analysis, evaluator, model_card
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.evaluator import Result
from dim_tf.io import atomic
from dim_tf.runs import ranks
from dim_tf.runs.ranks import TurnRanks
from dim_tf.runs.record import RESULTS
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

SCORES_HEADER = "query_id\tdocument_id\tscore\trank\trelevance"


@dataclasses.dataclass(frozen=True)
class RankedTable:
    """Turns of a table, ranked with the best weights of a run."""

    run: Run
    data: PreparedData
    table: TurnTable  # of `data`
    result: Result
    weights: str  # sha256 of the weights file
    update: int | None  # of the weights; None if they were not trained here
    precision: str | None = None  # of the computation; None if it is the run's

    def describe(self) -> str:
        """The table, and how many of its turns were ranked."""
        sample = evaluator.describe_sample(len(self.table), len(self.result.rows))
        return f"{self.table.name}: {sample}"

    def keep(self, out: Path | None = None) -> Path:
        """Keeps ranks, results, card and scores in the run folder; returns the scores file."""
        run, table, result = self.run, self.table, self.result
        turns = len(result.rows)
        gold = table.gold[result.rows]
        key = key_of(table, turns, self.precision)
        fingerprint = self.data.text_fingerprint
        ranks.save(run, key, TurnRanks(result.rows, result.ranks, gold, fingerprint))
        entry = {"turns": turns, "of": len(table), "update": self.update, **result.summary()}
        atomic.write_json(run.path / RESULTS, {**run.results(), key: entry})
        model_card.write(run)
        # The largest file: if the disk is full, the results are kept.
        out = out or run.path / f"{self._stem(f'persona_{table.split}_out')}.txt"
        write_scores(out, result)
        return out

    def keep_mistakes(self, count: int, calibration: Calibration | None) -> str:
        """Writes the most confident mistakes as text and as HTML; returns the text to print."""
        found = error_analysis.analyse(
            self.result, self.data, self.table, count, self.run.model_config, calibration
        )
        stem = self._stem(f"mistakes_{self.table.split}")
        text, page = self.run.path / f"{stem}.txt", self.run.path / f"{stem}.html"
        atomic.write_text(text, found.text())
        atomic.write_text(page, found.page(f"Mistakes of {self.run.name}"))
        return f"{found.slice_table()}mistakes: {text}\nmistakes: {page}"

    def _stem(self, stem: str) -> str:
        """The name of a file, which states what is not the run's own or not the whole split."""
        table, turns = self.table, len(self.result.rows)
        if (table.persona, table.version) != (self.run.persona, self.run.version):
            stem += f"_{table.persona}_{table.version}"
        stem = stem if turns == len(table) else f"{stem}_{turns}_turns"
        return f"{stem}_{self.precision}" if self.precision else stem


def rank_tables(
    run: Run,
    data: PreparedData,
    tables: Sequence[TurnTable],
    turns: int | None = None,
    batch_size: int = evaluator.BATCH,
    precision: str | None = None,
) -> list[RankedTable]:
    """Ranks turns of tables with the best weights of a run, and shows the progress.

    Ranks all turns of each table or a sample of `turns`, in the run's precision or in another.

    Raises:
        UsageError: The weights were replaced meanwhile.
    """
    backend.load()
    from dim_tf.runtime.scorer import batch_scorer

    ranked, config = [], run.model_config
    precision = None if precision == config.precision else precision
    rows = evaluator.sample_rows(len(tables[0]), turns)
    samples = evaluator.sample_batches(data, tables[0], config, rows, batch_size)
    with run.weights_unchanged() as weights:
        scorer, update = batch_scorer(run.load_model(precision), samples), run.best_update()
        for table in tables:
            rows = evaluator.sample_rows(len(table), turns)
            with Progress(f"ranking {table.name}", len(rows), "turns") as progress:
                result = evaluator.evaluate(
                    scorer, data, table, config, rows, batch_size, progress.advance
                )
            ranked.append(RankedTable(run, data, table, result, weights, update, precision))
    return ranked


def write_scores(path: Path, result: Result) -> None:
    """Writes the scores in the authors' format, best candidate of each turn first.

    `query_id` is the turn's row in its table, `document_id` the candidate's column, the score its
    probability. hits@k follows from the rank of the lines with relevance 1.
    """

    def lines() -> Iterator[str]:
        yield SCORES_HEADER
        for index, row in enumerate(result.rows):
            for rank, column in enumerate(result.order(index), start=1):
                score = result.probabilities[index, column]
                relevance = float(column == result.target[index])
                yield f"{row}\t{column}\t{score:.9g}\t{rank}\t{relevance}"

    atomic.write_lines(path, lines())


def key_of(table: TurnTable, turns: int, precision: str | None = None) -> str:
    """The key in `results.json` of a test on some turns of a table."""
    name = table.name if turns == len(table) else f"{table.name}, {turns} turns"
    return f"{name}, {precision}" if precision else name
