"""Ranks the turns of a split with a trained run: `python -m dim_tf.evaluate --run RUN ...`.

Prints hits@1, 2, 5, 10, MRR and MAP, and writes the scores of all candidates in the
authors' format. With `--errors N` also the N most confident mistakes, and hits@1 by the number of
context utterances, by the length of the gold reply and by whether it shares words with the persona.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dim_tf import backend, cli, files, metrics, mistakes, mistakes_page, model_card, turn_ranks
from dim_tf.calibration import Calibration
from dim_tf.config import PRECISIONS, ModelConfig
from dim_tf.dataset import PERSONAS, SPLITS, VERSIONS, Inputs, PreparedData
from dim_tf.errors import UsageError
from dim_tf.prepared_folder import ABSENT, TurnTable
from dim_tf.progress import Progress
from dim_tf.record import RESULTS
from dim_tf.run_folder import Run
from dim_tf.turn_ranks import TurnRanks

if TYPE_CHECKING:
    from dim_tf.scoring import Scorer

SAMPLE_SEED = 2019
SCORES_HEADER = "query_id\tdocument_id\tscore\trank\trelevance"


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
    batch_size: int = 32,
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


def sample_batches(
    data: PreparedData,
    table: TurnTable,
    config: ModelConfig,
    rows: np.ndarray,
    batch_size: int = 32,
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

    files.write_lines(path, lines())


def ranked(
    run: Run,
    data: PreparedData,
    scorer: Scorer,
    table: TurnTable,
    turns: int | None = None,
    batch_size: int = 32,
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
    gold = table.candidates[result.rows, result.target]
    key = key_of(table, turns, precision)
    turn_ranks.save(run, key, TurnRanks(result.rows, result.ranks, gold, data.text_fingerprint))
    entry = {"turns": turns, "of": len(table), "update": update}
    files.write_json(run.path / RESULTS, {**run.results(), key: {**entry, **result.summary()}})
    model_card.write(run)
    stem = f"persona_{table.split}_out"
    out = out or run.path / f"{name_of(run, table, turns, stem, precision)}.txt"
    write_scores(out, result)
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
    found = mistakes.analyse(result, data, table, count, run.model_config, calibration)
    name = name_of(run, table, len(result.rows), f"mistakes_{table.split}", precision)
    text, page = run.path / f"{name}.txt", run.path / f"{name}.html"
    files.write_text(text, mistakes.text(found))
    files.write_text(page, mistakes_page.page(found, f"Mistakes of {run.path.name}"))
    return [*mistakes.table_lines(found), f"mistakes: {text}", f"mistakes: {page}"]


def rank_table(
    run: Run, data: PreparedData, scorer: Scorer, table: TurnTable, turns: int | None = None
) -> dict[str, float]:
    """Ranks a table as `ranked` does and keeps what was found; gives hits@k, MRR and MAP."""
    result = ranked(run, data, scorer, table, turns)
    keep(run, data, table, result, run.best_update())
    return result.summary()


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    _check_out(arguments.out)
    run = Run.open(arguments.run)
    data = PreparedData.load(arguments.prepared)
    run.check_prepared(data)
    persona, version = arguments.persona or run.persona, arguments.version or run.version
    table = data.table(arguments.split, persona, version)
    _check_profiles(run, data, persona)
    # Read first: a damaged one is to be known before minutes of work.
    calibration = Calibration.current(run.path) if arguments.errors else None

    backend.load()
    from dim_tf.scoring import Scorer

    rows = sample_rows(len(table), arguments.turns)
    samples = sample_batches(data, table, run.model_config, rows, arguments.batch_size)
    run.results()  # as above
    with run.same_weights():
        update = run.best_update()
        scorer = Scorer(run.load_model(arguments.precision), samples)
        result = ranked(run, data, scorer, table, arguments.turns, arguments.batch_size)
    summary = result.summary()
    own = arguments.precision in (None, run.model_config.precision)
    precision = None if own else arguments.precision
    out = Path(arguments.out) if arguments.out else None
    out = keep(run, data, table, result, update, out, precision)
    print(f"{table.name}: {describe_sample(len(table), arguments.turns)}")
    for name, value in summary.items():
        print(f"{name:8}{value:.4f}")
    print(f"scores: {out}")
    if arguments.errors:
        lines = keep_mistakes(run, data, table, result, arguments.errors, calibration, precision)
        print("\n".join(lines))
    print(f"{arguments.split} hits@1 {summary['hits@1']:.3f} MRR {summary['MRR']:.3f}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(prog="python -m dim_tf.evaluate", description=__doc__)
    parser.add_argument("--run", required=True, help="the run folder")
    parser.add_argument("--prepared", required=True, help="the prepared folder it was trained on")
    parser.add_argument("--split", choices=SPLITS, default="test", help="which split to rank")
    parser.add_argument("--persona", choices=PERSONAS, help="if another than the run's own")
    parser.add_argument("--version", choices=VERSIONS, help="if another than the run's own")
    parser.add_argument("--precision", choices=PRECISIONS, help="if another than the run's own")
    parser.add_argument("--turns", type=cli.positive, help="rank a fixed sample of so many turns")
    parser.add_argument("--batch-size", type=cli.positive, default=32, help="turns at once")
    parser.add_argument(
        "--errors", type=cli.positive, metavar="N", help="show the N most confident mistakes"
    )
    parser.add_argument("--out", help="scores file, if elsewhere than in the run folder")
    return parser


def _check_out(out: str | None) -> None:
    """Refuses, before anything is computed, a file that cannot be written."""
    if out is None:
        return
    if Path(out).exists() and not Path(out).is_file():
        raise UsageError(f"--out: {out} is not a file, expected the name of one")
    if not Path(out).parent.is_dir():
        raise UsageError(f"--out: there is no folder {Path(out).parent}")
    files.check_place(out)


def _check_profiles(run: Run, data: PreparedData, persona: str) -> None:
    room = run.model_config.max_profiles
    needed = 2 * data.sizes["max_profiles"] if persona == "both" else 1
    if run.model_config.use_persona and room < needed:
        raise UsageError(
            f"--persona both gives up to {needed} profiles, but {run.path} was trained with room "
            f"for {room} (--persona {run.persona}); train a run with --persona both"
        )


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


if __name__ == "__main__":
    sys.exit(cli.run(main))
