r"""Draw the attention of a reply (Figure 3): `python -m dim_tf.attention --run RUN ...`.

A turn of a prepared folder:

    python -m dim_tf.attention --run RUN --prepared DIR --split test --turn 12

or texts, as for `dim_tf.predict`:

    python -m dim_tf.attention --run RUN --context "hi, what do you like?" \
        --persona "i love dogs." --response "hiking with my dogs!"

Write a picture (PNG) and a page (HTML) with the attention weights from the reply to the context
and to the persona, equation 9. Each row shows the weights of one word of the reply.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, print_warnings, run as run_command, sentence, whole
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.ranking import text_files
from dim_tf.ranking.attention_page import AttentionPage, page_of_texts, page_of_turn
from dim_tf.runs.run import Run

FOLDER = "attention"
TEXTS = ("context", "persona", "response", "candidates")


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    given = [name for name in TEXTS if getattr(arguments, name) is not None]
    if given and (arguments.prepared or arguments.turn is not None):
        raise UsageError(f"--{given[0]} and --prepared or --turn exclude each other")
    run = Run.open(arguments.run)
    # A pretrained model, given by name, is not written into.
    parent = run.path if run.path == Path(arguments.run) else Path()
    out = Path(arguments.out or parent / FOLDER)
    atomic.check_place(out / "file")
    page = _page(run, arguments, bool(given))
    if not page.maps:
        raise UsageError(
            f"nothing to show: the model {run.model!r} of {run.path} does not match words, or "
            "context and persona are empty"
        )
    with print_warnings():
        for path in page.write(out, f"What the reply looked at: {run.name}"):
            print(path)


def _page(run: Run, arguments: argparse.Namespace, of_texts: bool) -> AttentionPage:
    if not of_texts:
        if arguments.prepared is None or arguments.turn is None:
            raise UsageError(
                "give --prepared DIR and --turn I, or --context, --persona and --response"
            )
        data = PreparedData.load(arguments.prepared)
        return page_of_turn(run, data, arguments.split, arguments.turn, arguments.candidate)
    if (arguments.response is None) == (arguments.candidates is None):
        raise UsageError("give one of --response TEXT and --candidates FILE")
    candidates = [arguments.response]
    if arguments.candidates is not None:
        candidates = text_files.read_texts(arguments.candidates, "candidate")
    context, persona = arguments.context or [], arguments.persona or []
    return page_of_texts(run, context, persona, candidates, arguments.candidate)


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.attention", description=__doc__)
    parser.add_argument("--run", required=True, help="use this run folder or pretrained model")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write to DIR (default: attention in the run folder; for a pretrained model, in the "
        "current folder)",
    )
    parser.add_argument(
        "--candidate",
        type=_number,
        metavar="K",
        help="draw this candidate, from 0, blank lines not counted (default: the gold reply; with "
        "--candidates, the top-ranked one)",
    )
    row = "select the turn by its row, from 0 (query_id in the scores file)"
    turn = parser.group("a prepared turn")
    prepared = "read the prepared folder of the run, or one made with --like"
    turn.add_argument("--prepared", metavar="DIR", help=prepared)
    turn.add_argument("--split", choices=SPLITS, default="test", help="read this split")
    turn.add_argument("--turn", type=_number, metavar="I", help=row)
    texts = parser.group("texts")
    texts.add_argument("--context", nargs="*", metavar="TEXT", help="read utterances, oldest first")
    texts.add_argument("--persona", nargs="*", type=sentence, metavar="TEXT", help="read profiles")
    texts.add_argument("--response", metavar="TEXT", help="draw this reply")
    texts.add_argument("--candidates", metavar="FILE", help="rank these replies, one per line")
    return parser


def _number(text: str) -> int:
    return whole(text, 0, 10**9)


if __name__ == "__main__":
    sys.exit(run_command(main))
