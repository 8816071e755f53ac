r"""Draws what a reply looked at, the paper's Figure 3: `python -m dim_tf.attention --run RUN ...`.

A turn of a prepared folder:

    python -m dim_tf.attention --run RUN --prepared DIR --split test --turn 12

or texts, as for `dim_tf.predict`:

    python -m dim_tf.attention --run RUN --context "hi, what do you like?" \
        --persona "i love dogs." --response "hiking with my dogs!"

Writes a picture (PNG) and a page (HTML) with the weights from the reply to the context and from the
reply to the persona, equation 9: each row shows how one word of the reply spreads its attention.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dim_tf.cli.parser import Parser, collect_warnings, print_warnings, whole
from dim_tf.cli.parser import run as run_command
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.data.prepared_folder import ABSENT
from dim_tf.errors import UsageError
from dim_tf.evaluation.calibration import Calibration
from dim_tf.io import atomic
from dim_tf.ranking import heatmap, text_files
from dim_tf.ranking.heatmap import Heatmap
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

FOLDER = "attention"
TEXTS = ("context", "persona", "response", "candidates")


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    given = [name for name in TEXTS if getattr(arguments, name) is not None]
    if given and (arguments.prepared or arguments.turn is not None):
        raise UsageError(f"--{given[0]} and --prepared or --turn exclude each other")
    run = Run.open(arguments.run)
    # A shipped model stays as it came.
    place = run.path if run.path == Path(arguments.run) else Path()
    out = Path(arguments.out or place / FOLDER)
    atomic.check_place(out / "file")
    name, facts, maps = (_of_texts if given else _of_turn)(run, arguments)
    if not maps:
        raise UsageError(
            f"nothing to show: the model {run.model!r} of {run.path} matches no words of a "
            "reply with others, or finds neither context nor persona here"
        )
    out.mkdir(parents=True, exist_ok=True)
    picture, page = out / f"{name}.png", out / f"{name}.html"
    with atomic.replacing(picture) as temporary:
        heatmap.figure(maps).savefig(temporary, format="png")
    heading = f"What the reply looked at: {run.name}"
    atomic.write_text(page, heatmap.page(maps, heading, facts))
    print(picture)
    print(page)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.attention",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="the run folder")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where to (default: attention in the run folder; for a shipped model, in this one)",
    )
    parser.add_argument(
        "--candidate",
        type=_number,
        metavar="K",
        help="which candidate, from 0, blank lines not counted (default: the right reply; of "
        "texts, the best)",
    )
    turn = parser.group("a prepared turn")
    turn.add_argument("--prepared", metavar="DIR", help="the run's, or one made --like it")
    turn.add_argument("--split", choices=SPLITS, default="test", help="from which split")
    turn.add_argument(
        "--turn", type=_number, metavar="I", help="row of the turn, from 0: query_id of the scores"
    )
    texts = parser.group("texts")
    texts.add_argument("--context", nargs="*", metavar="TEXT", help="utterances, oldest first")
    texts.add_argument("--persona", nargs="*", metavar="TEXT", help="profile sentences")
    texts.add_argument("--response", metavar="TEXT", help="the reply")
    texts.add_argument("--candidates", metavar="FILE", help="or several, one a line")
    return parser


def _number(text: str) -> int:
    return whole(text, 0, 10**9)


def _of_turn(
    run: Run, arguments: argparse.Namespace
) -> tuple[str, list[tuple[str, str]], list[Heatmap]]:
    """Name of the files, what the page says above, and the weights of a prepared turn."""
    if arguments.prepared is None or arguments.turn is None:
        raise UsageError("give --prepared DIR and --turn I, or --context, --persona and --response")
    data = PreparedData.load(arguments.prepared)
    run = run.with_words_of(data)
    table = data.table(arguments.split, run.persona, run.version)
    row, candidate = arguments.turn, arguments.candidate
    if row >= len(table):
        raise UsageError(f"--turn: found {row}, expected 0 to {len(table) - 1} ({table.name})")
    there = np.flatnonzero(table.candidates[row] != ABSENT)
    target = int(table.target[row])
    column = target if candidate is None else candidate
    if column not in there:
        expected = f"expected one of {', '.join(map(str, there))}"
        raise UsageError(f"--candidate: found {column}, {expected} (turn {row} of {table.name})")

    backend.load()
    from dim_tf.ranking.attention import Attention, turn_heatmaps

    attention = Attention(run.load_model())
    maps = turn_heatmaps(attention, data, table, row, run.model_config, column)
    reply = data.texts(table, row)["candidates"][column]
    name = f"{table.name}_turn_{row}" + ("" if column == target else f"_candidate_{column}")
    which = "the right reply" if column == target else f"a wrong reply, candidate {column}"
    facts = [("turn", f"{row} of {table.name}"), ("reply", f"{reply} ({which})")]
    return name, facts, list(maps.values())


def _of_texts(
    run: Run, arguments: argparse.Namespace
) -> tuple[str, list[tuple[str, str]], list[Heatmap]]:
    """The same of texts."""
    if (arguments.response is None) == (arguments.candidates is None):
        raise UsageError("give one of --response TEXT and --candidates FILE")
    context, persona = arguments.context or [], arguments.persona or []
    candidates = [arguments.response]
    if arguments.candidates is not None:
        candidates = text_files.read_texts(arguments.candidates, "candidate")
    number = arguments.candidate
    if number is not None and number >= len(candidates):
        raise UsageError(f"--candidate: found {number}, expected 0 to {len(candidates) - 1}")
    with print_warnings():
        ranker = Ranker(run, run.load_model(), Calibration.load(run.path))
        ranking = ranker.rank(context, persona, candidates)
    chosen = next(row for row in ranking if number in (None, row["index"]))
    with collect_warnings():  # of what has just been told
        maps = ranker.explain(context, persona, chosen["candidate"]).maps
    facts = [("reply", chosen["candidate"])]
    if len(candidates) > 1:
        facts.append(("rank", f"{chosen['rank']} of {len(candidates)}"))
    return "text", facts, maps


if __name__ == "__main__":
    sys.exit(run_command(main))
