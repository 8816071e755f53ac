"""The user's own data as JSON Lines: a dialogue a line, or a turn a line.

    {"utterances": [...], "persona_a": [...], "persona_b": [...]}
    {"context": [...], "persona": [...], "response": "...", "candidates": [...]}

The first line's shape is the file's. In a dialogue, speaker a speaks first; `persona_a_revised`,
`persona_b_revised` and `split` may be added. In a turn, the last context utterance is the
partner's and the speakers alternate backwards; `candidates`, `persona_revised` and `split` may be
left out. An optional field may also be null; fields of other names are ignored.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from dim_tf.data.text import kind, problem_of
from dim_tf.errors import DataError
from dim_tf.io.text_lines import json_value, numbered_lines

_SHAPES = {"utterances": "a dialogue", "response": "a turn"}


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply in a dialogue: what will be a turn.

    Attributes:
        line: The line of the file.
        context: The utterances before it, oldest first.
        text: The reply.
        candidates: The candidates (the reply among them), or None if the file brings none.
        own: The replying speaker's profiles by version; None where the file has no such version.
        partner: The other speaker's.
    """

    line: int
    context: tuple[str, ...]
    text: str
    candidates: tuple[str, ...] | None
    own: dict[str, tuple[str, ...] | None]
    partner: dict[str, tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The replies of one dialogue.

    Attributes:
        line: Its (first) line in the file.
        split: The `split` field, or None.
        utterances: All that is said in it.
        replies: The replies that become turns; may be empty.
    """

    line: int
    split: str | None
    utterances: frozenset[str]
    replies: tuple[Reply, ...]


def read_dialogues(
    path: str | os.PathLike, sides: str = "b", label: str | None = None, lenient: bool = False
) -> tuple[str, list[Dialogue]]:
    """Reads a file of either shape.

    Turns of one dialogue are known by their contexts: one that starts with the context and the
    response of the line before belongs to the same dialogue.

    Args:
        path: The file; may be `.gz` or `.xz`.
        sides: Whose replies become turns: "a", "b" or "both". A file of turns has no sides.
        label: What messages call the file; its path if not given.
        lenient: Accept a response that is not among its candidates.

    Returns:
        "dialogue" or "turn", and the dialogues in the file's order.

    Raises:
        DataError: The file is damaged, or a field is missing or wrong; names line and field.
    """
    label = str(path) if label is None else label
    shape, records = "", []
    for line, text in numbered_lines(path, label):
        if not text.strip():
            continue
        record = _Record(text, line, label)
        if shape and record.shape != shape:
            message = f"this line is {_SHAPES[record.shape]}, the ones before are {_SHAPES[shape]}"
            raise DataError(f"{message}; expected one shape a file", path=label, line=line)
        shape = record.shape
        if shape == "utterances":
            records.append(_dialogue(record, sides))
        else:
            records.append(_turn(record, lenient))
    if not records:
        raise DataError("the file is empty, expected a JSON object a line", path=label)
    if shape == "utterances":
        return "dialogue", records
    return "turn", _join_turns(records)


def _dialogue(record: _Record, sides: str) -> Dialogue:
    utterances = record.texts("utterances")
    if len(utterances) < 2:
        record.fail("utterances", f"found {len(utterances)} utterances, expected at least 2")
    personas = [
        {
            "original": record.texts(f"persona_{side}"),
            "revised": record.texts(f"persona_{side}_revised", optional=True),
        }
        for side in "ab"
    ]
    wanted = {"a": (0,), "b": (1,), "both": (0, 1)}[sides]
    replies = [
        Reply(
            record.line,
            utterances[:place],
            utterances[place],
            None,
            personas[place % 2],
            personas[1 - place % 2],
        )
        for place in range(1, len(utterances))
        if place % 2 in wanted
    ]
    return Dialogue(record.line, record.split(), frozenset(utterances), tuple(replies))


def _turn(record: _Record, lenient: bool) -> Dialogue:
    context, response = record.texts("context"), record.text("response")
    candidates = record.texts("candidates", optional=True)
    if candidates is not None and not candidates:
        record.fail("candidates", "found no candidates; leave the field out to have them drawn")
    if candidates is not None and response not in candidates and not lenient:
        found = f"the response is not among the {len(candidates)} candidates"
        record.fail("candidates", f"{found}, expected it there")
    own = {
        "original": record.texts("persona"),
        "revised": record.texts("persona_revised", optional=True),
    }
    nobody = {"original": (), "revised": ()}
    reply = Reply(record.line, context, response, candidates, own, nobody)
    utterances = frozenset((*context, response))
    return Dialogue(record.line, record.split(), utterances, (reply,))


def _join_turns(turns: list[Dialogue]) -> list[Dialogue]:
    groups: list[list[Dialogue]] = []
    for turn in turns:
        if groups and _goes_on(groups[-1][-1], turn):
            groups[-1].append(turn)
        else:
            groups.append([turn])
    return [
        Dialogue(
            group[0].line,
            group[0].split,
            frozenset().union(*(turn.utterances for turn in group)),
            tuple(reply for turn in group for reply in turn.replies),
        )
        for group in groups
    ]


def _goes_on(before: Dialogue, turn: Dialogue) -> bool:
    said = (*before.replies[0].context, before.replies[0].text)
    return before.split == turn.split and turn.replies[0].context[: len(said)] == said


class _Record:
    """One JSON object with its place, for messages."""

    def __init__(self, text: str, line: int, label: str):
        self.line, self._label = line, label
        try:
            self._fields = json_value(text)
        except DataError as error:
            raise DataError(str(error), path=label, line=line) from None
        if not isinstance(self._fields, dict):
            found = f"found {kind(self._fields)}, expected a JSON object"
            raise DataError(found, path=label, line=line)
        shapes = [shape for shape in _SHAPES if self._fields.get(shape) is not None]
        if len(shapes) != 1:
            found = "neither" if not shapes else "both"
            message = (
                f'found {found} of the fields "utterances" (a dialogue) and "response" (a turn)'
            )
            raise DataError(f"{message}, expected one of them", path=label, line=line)
        self.shape = shapes[0]

    def fail(self, field: str, message: str) -> NoReturn:
        raise DataError(message, path=self._label, line=self.line, field=field)

    def text(self, field: str) -> str:
        return self._checked(field, self._fields[field])

    def texts(self, field: str, optional: bool = False) -> tuple[str, ...] | None:
        value = self._fields.get(field)
        if value is None and optional:
            return None
        if not isinstance(value, list):
            hint = "" if field in self._fields else "; write [] if there is none"
            found = kind(value) if field in self._fields else "no such field"
            self.fail(field, f"found {found}, expected a list of texts{hint}")
        return tuple([self._checked(field, text, place) for place, text in enumerate(value)])

    def split(self) -> str | None:
        value = self._fields.get("split")
        if value is not None and not isinstance(value, str):
            self.fail("split", f"found {kind(value)}, expected a text")
        return value

    def _checked(self, field: str, text: Any, place: int | None = None) -> str:
        where = "" if place is None else f"item {place + 1}: "
        problem = problem_of(text)
        if problem:
            self.fail(field, where + problem)
        return sys.intern(text.strip())
