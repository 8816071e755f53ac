"""What a run was found to do on a table of turns, and how that is kept in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dim_tf.data.dataset import PreparedData
from dim_tf.data.prepared_folder import TurnTable
from dim_tf.evaluation import error_analysis, model_card
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.evaluator import Result, ranked
from dim_tf.io import atomic
from dim_tf.runs import ranks
from dim_tf.runs.ranks import TurnRanks
from dim_tf.runs.record import RESULTS
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    from dim_tf.runtime.scorer import Scorer

SCORES_HEADER = "query_id\tdocument_id\tscore\trank\trelevance"


def rank_table(
    run: Run, data: PreparedData, scorer: Scorer, table: TurnTable, turns: int | None = None
) -> dict[str, float]:
    """Ranks a table as `ranked` does and keeps what was found; gives hits@k, MRR and MAP."""
    result = ranked(run, data, scorer, table, turns)
    keep(run, data, table, result, run.best_update())
    return result.summary()


def keep(
    run: Run,
    data: PreparedData,
    table: TurnTable,
    result: Result,
    update: int | None,
    out: Path | None = None,
    precision: str | None = None,
) -> Path:
    """Keeps in the run folder what was found on a table: scores, ranks, results, model card.

    Args:
        run: The run.
        data: Its prepared folder.
        table: Of that folder.
        result: Of the table.
        update: That of the weights; None if they were not trained here.
        out: The scores file, if elsewhere than in the run folder.
        precision: What was computed in, if another than the run's own.

    Returns:
        Where the scores are.
    """
    turns = len(result.rows)
    stem = f"persona_{table.split}_out"
    out = out or run.path / f"{name_of(run, table, turns, stem, precision)}.txt"
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
        Lines for the command to print: hits@1 by kinds of turns, and where the files are.
    """
    found = error_analysis.analyse(result, data, table, count, run.model_config, calibration)
    name = name_of(run, table, len(result.rows), f"mistakes_{table.split}", precision)
    text, page = run.path / f"{name}.txt", run.path / f"{name}.html"
    atomic.write_text(text, error_analysis.text(found))
    atomic.write_text(page, error_analysis.page(found, f"Mistakes of {run.name}"))
    return [*error_analysis.table_lines(found), f"mistakes: {text}", f"mistakes: {page}"]


def write_scores(path: Path, result: Result) -> None:
    """Writes the scores in the authors' format, best candidate of each turn first.

    `query_id` is the turn's row in its table, `document_id` the candidate's column, the score its
    probability. hits@k can be read off the rank of the lines whose relevance is 1.
    """

    def lines():
        yield SCORES_HEADER
        for number, row in enumerate(result.rows):
            for rank, column in enumerate(result.order(number), start=1):
                score = result.probabilities[number, column]
                relevance = float(column == result.target[number])
                yield f"{row}\t{column}\t{score:.9g}\t{rank}\t{relevance}"

    atomic.write_lines(path, lines())


def name_of(run: Run, table: TurnTable, turns: int, stem: str, precision: str | None = None) -> str:
    """The name of a file about a table: `stem`, and what sets it apart from the usual case.

    That is the whole split in the run's own setting and precision; for others, it says which and
    how many turns.
    """
    if (table.persona, table.version) != (run.persona, run.version):
        stem += f"_{table.persona}_{table.version}"
    stem = stem if turns == len(table) else f"{stem}_{turns}_turns"
    return f"{stem}_{precision}" if precision else stem


def key_of(table: TurnTable, turns: int, precision: str | None = None) -> str:
    """The name in `results.json` of a test of some turns of a table.

    `precision` is what was computed in, if another than the run's own.
    """
    name = table.name if turns == len(table) else f"{table.name}, {turns} turns"
    return f"{name}, {precision}" if precision else name
