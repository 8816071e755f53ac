"""A conversation with the retrieval bot in a terminal or through a pipe."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from dim_tf.cli.parser import positive, print_warnings
from dim_tf.errors import DataError, PoolError, UsageError, did_you_mean, shown
from dim_tf.ranking import text_files
from dim_tf.ranking.ranker import Ranker

TOP = 10


@dataclasses.dataclass(frozen=True)
class _Answer:
    """The ranking of the pool in a turn, and the row that was chosen as the answer."""

    context: list[str]
    persona: list[str]
    ranking: list[dict[str, Any]]
    chosen: dict[str, Any]

    @property
    def text(self) -> str:
        return self.chosen["candidate"]

    @property
    def note(self) -> str:
        """A remark before an answer that does not fit; a calibrated run tells."""
        if self.chosen.get("fits", True):
            return ""
        none = "nothing that is left" if self.ranking[0]["fits"] else "nothing in the pool"
        return f"({none} fits; this is the nearest) "


class Chat:
    """Answers each line with the best reply of a pool; lines that start with / are commands.

    Args:
        ranker: Ranker. Explains an answer.
        rank: Callable. Ranks replies of the pool for a context and a persona, as `Ranker.rank`.
        persona: list of str. The bot's persona.
        prompt: str. Empty if the lines come from a pipe.
    """

    def __init__(
        self,
        ranker: Ranker,
        rank: Callable[[list[str], list[str]], list[dict[str, Any]]],
        persona: Sequence[str],
        prompt: str = "",
    ):
        self.prompt = prompt
        self._commands = {
            f"/{name}": getattr(self, name)
            for name in ("why", "top", "persona", "reset", "help", "quit")
        }
        self._ranker, self._rank = ranker, rank
        self._persona = list(persona)
        self._context: list[str] = []
        self._given: set[str] = set()
        self._latest: _Answer | None = None
        self._warned: set[str] = set()

    def run(self) -> None:
        """Talks until the input ends or `/quit`; Ctrl-C clears the line of a terminal."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  edits and history of the lines
        ended = False
        while not ended:
            try:
                ended = self._handle(input(self.prompt).strip())
            except EOFError:
                print(end="\n" if self.prompt else "")
                return
            except KeyboardInterrupt:
                if not self.prompt:
                    raise
                print()

    @property
    def persona_line(self) -> str:
        """The persona in one line."""
        return f"persona: {shown(' | '.join(self._persona)) or '-'}"

    def _handle(self, line: str) -> bool:
        """Handles a line; returns whether the conversation ends."""
        try:
            with print_warnings(self._warned):
                if line.startswith("/"):
                    return bool(self._command(*line.split(maxsplit=1)))
                if line:
                    self._answer(line)
        except (DataError, PoolError, UsageError) as error:
            print(f"error: {error}", flush=True)
        return False

    def _command(self, name: str, arg: str = "") -> bool | None:
        if name not in self._commands:
            hint = did_you_mean(name, self._commands) or "; /help lists the commands"
            raise UsageError(f"unknown command {name}{hint}")
        return self._commands[name](arg)

    def help(self, arg: str) -> None:
        """/help               list the commands."""
        for command in self._commands.values():
            print(inspect.getdoc(command), flush=True)

    def why(self, arg: str) -> None:
        """/why                show the attention of the last answer."""
        last = self._last()
        found = self._ranker.explain(last.context, last.persona, last.text)
        print(found.text() or "the model does not match words, so it has no attention", flush=True)

    def top(self, arg: str) -> None:
        """/top [N]            show the first N rows of the last ranking (10)."""
        last = self._last()
        try:
            count = positive(arg) if arg else TOP
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"/top: {error}") from None
        print(text_files.table(last.ranking[:count]), flush=True)
        if last.chosen["rank"] > 1:
            print(
                f"answered: rank {last.chosen['rank']}; earlier rows were given before", flush=True
            )

    def persona(self, arg: str) -> None:
        """/persona [A | B]    show the persona, or replace its sentences; - removes them."""
        if arg:
            texts = [] if arg == "-" else [text.strip() for text in arg.split("|")]
            self._persona = [text for text in texts if text]
        print(self.persona_line, flush=True)

    def reset(self, arg: str) -> None:
        """/reset              clear the conversation."""
        self._context, self._given, self._latest = [], set(), None
        print("the conversation is cleared", flush=True)

    def quit(self, arg: str) -> bool:
        """/quit               end, as Ctrl-D does."""
        return True

    def _answer(self, line: str) -> None:
        context = [*self._context, line]
        ranking = self._rank(context, self._persona)
        if not ranking:
            raise UsageError("the pool has no reply left")
        fresh = (row for row in ranking if _normal(row["candidate"]) not in self._given)
        answer = _Answer(context, list(self._persona), ranking, next(fresh, ranking[0]))
        # Only now: Ctrl-C or an error leaves the conversation unchanged.
        self._context, self._latest = [*context, answer.text], answer
        self._given.add(_normal(answer.text))
        print(f"bot> {answer.note}{shown(answer.text)}", flush=True)

    def _last(self) -> _Answer:
        if self._latest is None:
            raise UsageError("no answer was given yet; type an utterance first")
        return self._latest


def _normal(text: str) -> str:
    """The text without differences of case and spacing."""
    return " ".join(text.lower().split())
