"""The results of ranked tables, and how a run folder keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dim_tf.data.dataset import PreparedData
from dim_tf.data.prepared_folder import TurnTable
from dim_tf.evaluation import error_analysis, model_card
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.evaluator import Result
from dim_tf.io import atomic
from dim_tf.runs import ranks
from dim_tf.runs.ranks import TurnRanks
from dim_tf.runs.record import RESULTS
from dim_tf.runs.run import Run

SCORES_HEADER = "query_id\tdocument_id\tscore\trank\trelevance"


def keep(
    run: Run,
    data: PreparedData,
    table: TurnTable,
    result: Result,
    update: int | None,
    out: Path | None = None,
    precision: str | None = None,
) -> Path:
    """Keeps scores, ranks, results and model card in the run folder.

    Args:
        run: The run.
        data: The prepared folder.
        table: A table of that folder.
        result: Its ranked turns.
        update: int. Update of the weights; None if they were not trained here.
        out: Path. The scores file, if not in the run folder.
        precision: str. Precision of the computation, if not the run's.

    Returns:
        The scores file.
    """
    turns = len(result.rows)
    stem = f"persona_{table.split}_out"
    out = out or run.path / f"{file_stem(run, table, turns, stem, precision)}.txt"
    write_scores(out, result)
    gold = table.candidates[result.rows, result.target]
    key = key_of(table, turns, precision)
    ranks.save(run, key, TurnRanks(result.rows, result.ranks, gold, data.text_fingerprint))
    entry = {"turns": turns, "of": len(table), "update": update}
    atomic.write_json(run.path / RESULTS, {**run.results(), key: {**entry, **result.summary()}})
    model_card.write(run)
    return out


def keep_mistakes(
    run: Run,
    data: PreparedData,
    table: TurnTable,
    result: Result,
    count: int,
    calibration: Calibration | None,
    precision: str | None = None,
) -> list[str]:
    """Writes the most confident mistakes into the run folder, as text and as HTML.

    Returns:
        Lines to print: hits@1 by slices of the turns, and the files.
    """
    found = error_analysis.analyse(result, data, table, count, run.model_config, calibration)
    stem = file_stem(run, table, len(result.rows), f"mistakes_{table.split}", precision)
    text, page = run.path / f"{stem}.txt", run.path / f"{stem}.html"
    atomic.write_text(text, found.text())
    atomic.write_text(page, found.page(f"Mistakes of {run.name}"))
    return [*found.slice_lines(), f"mistakes: {text}", f"mistakes: {page}"]


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


def file_stem(
    run: Run, table: TurnTable, turns: int, stem: str, precision: str | None = None
) -> str:
    """The name of a file about a table, without its ending.

    It names the setting, the number of turns and the precision, unless they are the run's setting,
    the whole split and the run's precision.
    """
    if (table.persona, table.version) != (run.persona, run.version):
        stem += f"_{table.persona}_{table.version}"
    stem = stem if turns == len(table) else f"{stem}_{turns}_turns"
    return f"{stem}_{precision}" if precision else stem


def key_of(table: TurnTable, turns: int, precision: str | None = None) -> str:
    """The key in `results.json` of a test on some turns of a table.

    `precision` is that of the computation, if not the run's.
    """
    name = table.name if turns == len(table) else f"{table.name}, {turns} turns"
    return f"{name}, {precision}" if precision else name
