"""Talks with the retrieval bot in a terminal: `python -m dim_tf.chat --run RUN --pool FILE ...`.

    python -m dim_tf.chat --run RUN --persona persona.txt --pool replies.txt

The pool has one reply a line, the persona one sentence a line. The bot answers with the best reply
of the pool that it has not given yet; when it has given all, with the best. /help names what else
can be typed. Ctrl-D ends, Ctrl-C clears the line. Lines may also come from a pipe: then there is no
prompt, and each answer is one line.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dim_tf.cli.parser import Parser, positive, print_warnings
from dim_tf.cli.parser import run as run_command
from dim_tf.errors import DataError, UsageError, did_you_mean
from dim_tf.ranking import text_files
from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.turn import Pool

TOP = 10
HELP = """\
/why               what the words of the last answer looked at
/top [N]           the first N of the last ranking (10)
/persona           shows the persona
/persona A | B     changes it; the sentences stand between bars; - takes it away
/reset             forgets the conversation
/help              shows this
/quit              ends, as Ctrl-D does"""


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    persona = text_files.read_texts(arguments.persona, "sentence") if arguments.persona else []
    replies = text_files.read_texts(arguments.pool, "reply")
    for stream in (sys.stdin, sys.stdout):
        # What a terminal cannot show, or a pipe cannot mean, is no reason to stop.
        stream.reconfigure(errors="replace")
    with print_warnings():
        ranker = Ranker.load(arguments.run)
        pool = ranker.encode(replies)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (`input` has line editing and history then)
    chat = Chat(ranker, pool, persona)
    if sys.stdin.isatty():
        print(f"{len(pool):,} replies; {chat.persona()}\n/help names the commands.")
    _talk(chat, prompt="you> " if sys.stdin.isatty() else "")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.chat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="the run folder, or a shipped model's name")
    parser.add_argument("--pool", required=True, metavar="FILE", help="one reply a line")
    parser.add_argument("--persona", metavar="FILE", help="the bot's, one sentence a line")
    return parser


def _talk(chat: Chat, prompt: str) -> None:
    """Answers each line that is typed, until the input ends."""
    told: set[str] = set()
    while True:
        try:
            with print_warnings(told):
                said = chat.take(input(prompt))
        except (EOFError, Quit) as end:
            if prompt and isinstance(end, EOFError):
                print()
            return
        except KeyboardInterrupt:
            if not prompt:
                raise
            said = "\n"
        except (DataError, UsageError) as error:
            said = f"error: {error}\n"
        print(said, end="", flush=True)


class Quit(Exception):
    """The user has had enough."""


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What was answered to what: the ranking, and the row of it that was chosen."""

    context: list[str]
    persona: list[str]
    ranking: list[dict[str, Any]]
    chosen: dict[str, Any]

    @property
    def text(self) -> str:
        return self.chosen["candidate"]

    @property
    def note(self) -> str:
        """What a calibrated run says of it."""
        if self.chosen.get("fits", True):
            return ""
        none = "nothing that is left" if self.ranking[0]["fits"] else "nothing in the pool"
        return f"({none} fits; this is the nearest) "


class Chat:
    """A conversation with the bot.

    Args:
        ranker: Finds the answers.
        pool: Among these, encoded by the ranker.
        persona: The bot's profile sentences.
    """

    def __init__(self, ranker: Ranker, pool: Pool, persona: Sequence[str]):
        self._ranker, self._pool = ranker, pool
        self._persona = list(persona)
        self._context: list[str] = []
        self._given: set[str] = set()
        self._latest: _Answer | None = None
        self._commands: dict[str, Callable[[str], str]] = {
            "/why": self._why,
            "/top": self._top,
            "/persona": self._change_persona,
            "/reset": self._reset,
            "/help": lambda rest: HELP,
            "/quit": self._quit,
        }

    def take(self, line: str) -> str:
        """What to say to a line that was typed: an answer, or what a command gives.

        Raises:
            Quit: It says so.
            DataError: The line is no text.
            UsageError: There is no such command, or it does not make sense now.
        """
        line = line.strip()
        if not line:
            return ""
        name, _, rest = line.partition(" ")
        if not line.startswith("/"):
            said = self._answer(line)
        elif name in self._commands:
            said = self._commands[name](rest.strip())
        else:
            hint = did_you_mean(name, self._commands) or "; /help names those that there are"
            raise UsageError(f"there is no command {name}{hint}")
        return f"{said}\n"

    def persona(self) -> str:
        """The persona in a line."""
        return f"persona: {' | '.join(self._persona) or '-'}"

    def _answer(self, line: str) -> str:
        context = [*self._context, line]
        ranking = self._ranker.rank(context, self._persona, self._pool)
        fresh = (row for row in ranking if _same(row["candidate"]) not in self._given)
        answer = _Answer(context, list(self._persona), ranking, next(fresh, ranking[0]))
        # Only now: Ctrl-C or an error leaves the conversation as it was.
        self._context, self._latest = [*context, answer.text], answer
        self._given.add(_same(answer.text))
        return f"bot> {answer.note}{answer.text}"

    def _why(self, rest: str) -> str:
        last = self._last()
        found = self._ranker.explain(last.context, last.persona, last.text)
        return found.text() or "the model matches no words of the answer with others"

    def _top(self, rest: str) -> str:
        last = self._last()
        try:
            count = positive(rest) if rest else TOP
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"/top: {error}") from None
        said = text_files.table(last.ranking[:count])
        if last.chosen["rank"] > 1:
            said += f"\nanswered: rank {last.chosen['rank']}; those before it were given already"
        return said

    def _change_persona(self, rest: str) -> str:
        if rest:
            texts = [] if rest == "-" else [text.strip() for text in rest.split("|")]
            self._persona = [text for text in texts if text]
        return self.persona()

    def _reset(self, rest: str) -> str:
        self._context, self._given, self._latest = [], set(), None
        return "the conversation is forgotten"

    def _quit(self, rest: str) -> str:
        raise Quit

    def _last(self) -> _Answer:
        if self._latest is None:
            raise UsageError("there is no answer yet; say something first")
        return self._latest


def _same(text: str) -> str:
    """Equal for texts that read alike."""
    return " ".join(text.lower().split())


if __name__ == "__main__":
    sys.exit(run_command(main))
