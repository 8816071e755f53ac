"""Make a pool of replies to search: `python -m dim_tf.index --pool FILE --out POOL`.

    python -m dim_tf.index --pool replies.txt --out pools/chat

FILE has one reply per line; JSON Lines (.jsonl) have one object per line, with `text`, perhaps
`id`, and other fields to filter by. prepared:DIR takes the candidates of a prepared folder. Equal
replies are merged. To resume after an interruption, run the command again. Change a pool:

    python -m dim_tf.index --out pools/chat --add more.jsonl
    python -m dim_tf.index --out pools/chat --delete ID ID

A reply that is added replaces the one with its id.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, print_warnings, run as run_command, whole
from dim_tf.errors import UsageError
from dim_tf.retrieval import build
from dim_tf.retrieval.vectors import INDEX_TYPES, TOKEN


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    given = [name for name in ("pool", "add", "delete") if getattr(arguments, name)]
    if len(given) != 1:
        raise UsageError("give one of --pool, --add and --delete")
    making = ("run", "uri", "index_type", "search_width")
    options = {name: value for name in making if (value := getattr(arguments, name)) is not None}
    if options and not arguments.pool:
        name = next(iter(options)).replace("_", "-")
        raise UsageError(f"--{name} belongs to --pool: a pool keeps it")
    with print_warnings():
        if arguments.add:
            made = build.add(arguments.out, arguments.add)
        elif arguments.delete:
            made = build.delete(arguments.out, arguments.delete)
        else:
            made = build.build(arguments.pool, arguments.out, **options)
    print(f"{arguments.out}: {made.replies:,} replies")
    return None


def _width(text: str) -> int:
    return whole(text, 1, 65_536)


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.index", description=__doc__)
    add = parser.add_argument
    add("--out", required=True, metavar="POOL", help="make or change this folder")
    add("--pool", metavar="FILE", help="make the pool of these replies, or of prepared:DIR")
    add("--add", metavar="FILE", help="add these replies")
    add("--delete", nargs="+", metavar="ID", help="delete these replies")
    make = parser.group("make a pool")
    make.add_argument(
        "--run", help=f"encode replies with this run of a dual encoder (default: {build.ENCODER})"
    )
    make.add_argument(
        "--index-type",
        choices=INDEX_TYPES,
        help=f"build this index of the vectors (default: {build.INDEX_TYPE})",
    )
    make.add_argument(
        "--search-width",
        type=_width,
        metavar="N",
        help="visit N lists (IVF_SQ8) or neighbours (HNSW) in a search "
        f"(default: {build.SEARCH_WIDTH})",
    )
    make.add_argument(
        "--uri",
        help=f"keep the vectors on the Milvus server http://HOST:19530; its token is in {TOKEN}",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
