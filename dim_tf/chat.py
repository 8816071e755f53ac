"""Chat with the retrieval bot in a terminal: `python -m dim_tf.chat --run RUN --pool POOL ...`.

    python -m dim_tf.chat --run RUN --persona persona.txt --pool replies.txt

The pool is a file with one reply per line, or a folder of `python -m dim_tf.index`; the persona has
one sentence per line. The bot answers with the best reply of the pool that it has not given yet;
once it has given all that it considers, with the best one. /help lists the commands. Ctrl-D ends,
Ctrl-C clears the line. Lines may also come from a pipe: then there is no prompt.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from dim_tf.cli.parser import Parser, print_warnings, run as run_command
from dim_tf.errors import UsageError
from dim_tf.ranking import text_files
from dim_tf.ranking.chat import Chat
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval.searcher import Searcher


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    if "-" in (arguments.pool, arguments.persona):
        raise UsageError("standard input is what is said to the bot: give files")
    persona = text_files.read_texts(arguments.persona, "sentence") if arguments.persona else []
    searched = arguments.pool and Path(arguments.pool).is_dir()
    replies = None if searched else text_files.read_texts(arguments.pool, "reply")
    for stream in (sys.stdin, sys.stdout):
        # Characters that a terminal cannot show, or bytes that are not UTF-8, are no error here.
        stream.reconfigure(encoding="utf-8", errors="replace")
    with contextlib.ExitStack() as stack:
        with print_warnings():
            if replies is None:
                searcher = stack.enter_context(Searcher.open(arguments.pool, arguments.run))
                ranker, size = searcher.ranker, len(searcher)
                rank = functools.partial(searcher.reply, top_k=None)
            else:
                ranker, size = Ranker.load(arguments.run), len(replies)
                rank = functools.partial(ranker.rank, candidates=ranker.encode(replies))
        chat = Chat(ranker, rank, persona, prompt="you> " if sys.stdin.isatty() else "")
        if chat.prompt:
            print(f"{size:,} replies; {chat.persona_line}\n/help lists the commands.")
        chat.run()


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.chat", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="use this run folder or pretrained model")
    add("--pool", required=True, help="choose from these replies, a file or a folder")
    add("--persona", metavar="FILE", help="read the bot's persona, one sentence per line")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
