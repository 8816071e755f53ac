r"""Rank replies to a conversation with a trained run: `python -m dim_tf.predict --run RUN ...`.

One turn on the command line:

    python -m dim_tf.predict --run RUN --context "hi, what do you like?" \
        --persona "i love dogs." "i hike a lot." --candidates replies.txt

or many as JSON Lines, each `{"context": [...], "persona": [...], "candidates": [...]}`:

    python -m dim_tf.predict --run RUN --input turns.jsonl --output rankings.jsonl

With a pool folder of `python -m dim_tf.index` as --candidates, the best ten replies are printed.

The last utterance of the context is the partner's; the speakers alternate backwards from it. Each
turn becomes one line `{"ranking": [...]}`, in the same order, with the turn's other fields (such as
an id; fields named `ranking`, `error` and `line` are dropped). A line that cannot be ranked becomes
`{"error": "...", "line": N}`, is reported on standard error, and makes the exit status 1.

Turns of a file are ranked in batches. `--input -` answers each line before it reads the next.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, positive, print_warnings, run as run_command, sentence
from dim_tf.config import PRECISIONS
from dim_tf.errors import UsageError
from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.text_files import read_texts, table
from dim_tf.ranking.turn import FIELDS
from dim_tf.ranking.turn_lines import STANDARD, check_files, rank_file, writing
from dim_tf.retrieval.searcher import TOP_K, Searcher


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    if arguments.input is None:
        return _rank_one(arguments)
    for name in (*FIELDS, "filter", "json"):
        if getattr(arguments, name):
            reason = "the output is JSON" if name == "json" else "the file holds the turns"
            raise UsageError(f"--{name} and --input exclude each other: {reason}")
    output = arguments.output or STANDARD
    check_files(arguments.input, output)
    with print_warnings():
        ranker = Ranker.load(arguments.run, arguments.precision)
    turns, bad = rank_file(ranker, arguments.input, output, arguments.top_k)
    print(f"{turns - bad:,} of {turns:,} turns ranked", file=sys.stderr)
    return 1 if bad else 0


def _rank_one(arguments: argparse.Namespace) -> None:
    if arguments.candidates is None:
        raise UsageError("give --candidates FILE with one reply per line, or --input FILE.jsonl")
    if arguments.output is not None:
        raise UsageError("--output belongs to --input; redirect standard output with > FILE")
    turn = arguments.context or [], arguments.persona or []
    if arguments.candidates and Path(arguments.candidates).is_dir():
        with (
            print_warnings(),
            Searcher.open(
                arguments.candidates, arguments.run, precision=arguments.precision
            ) as searcher,
        ):
            ranking = searcher.reply(*turn, arguments.top_k or TOP_K, filter=arguments.filter or "")
        if not ranking and arguments.filter:
            print("no reply of the pool passes --filter", file=sys.stderr)
    elif arguments.filter:
        raise UsageError("--filter: give a pool folder as --candidates")
    else:
        candidates = read_texts(arguments.candidates, "candidate")
        with print_warnings():
            ranker = Ranker.load(arguments.run, arguments.precision)
            ranking = ranker.rank(*turn, candidates, arguments.top_k)
    text = json.dumps(ranking, ensure_ascii=False, indent=2) if arguments.json else table(ranking)
    with writing(STANDARD) as out:
        out.write((text + "\n").encode("utf-8"))


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.predict", description=__doc__)
    parser.add_argument("--run", required=True, help="use this run folder or pretrained model")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="compute in this precision (default: the run's)"
    )
    parser.add_argument(
        "--top-k",
        type=positive,
        metavar="K",
        help=f"print only the best K (default: all; of a pool folder, {TOP_K})",
    )
    one = parser.group("one turn")
    one.add_argument("--context", nargs="*", metavar="TEXT", help="read utterances, oldest first")
    one.add_argument("--persona", nargs="*", type=sentence, metavar="TEXT", help="read profiles")
    one.add_argument(
        "--candidates",
        metavar="FILE",
        help="rank the replies of FILE, one a line (-: standard input), or search a pool folder",
    )
    one.add_argument(
        "--filter",
        metavar="EXPR",
        help="rank only replies of the pool that match this Milvus expression",
    )
    one.add_argument("--json", action="store_true", help="print JSON instead of a table")
    many = parser.group("JSON Lines; - is standard input or output")
    many.add_argument("--input", metavar="FILE", help="read turns, also from .gz or .xz")
    many.add_argument("--output", metavar="FILE", help="write rankings (default: -)")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
