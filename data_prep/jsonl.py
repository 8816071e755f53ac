"""The user's own data as JSON Lines: one dialogue per line, or one turn per line.

    {"utterances": [...], "persona_a": [...], "persona_b": [...]}
    {"context": [...], "persona": [...], "response": "...", "candidates": [...]}

All lines of a file have the same shape. In a dialogue, speaker a speaks first; `persona_a_revised`,
`persona_b_revised` and `split` are optional. In a turn, the last context utterance is the partner's
and the speakers alternate backwards; `candidates`, `persona_revised` and `split` are optional. An
optional field may be null; fields of other names are ignored.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from dim_tf.data.text import json_type_name, text_error
from dim_tf.errors import DataError
from dim_tf.io.text_lines import json_value, numbered_lines

_SHAPES = {"utterances": "a dialogue", "response": "a turn"}
# The profiles of a persona by version; None if the file lacks the version.
Persona = dict[str, tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a dialogue, to become a turn."""

    line: int
    context: tuple[str, ...]  # oldest first
    text: str
    candidates: tuple[str, ...] | None  # the reply included; None if they are to be drawn
    self_profiles: Persona  # of the speaker who replies
    partner_profiles: Persona


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The replies of one dialogue that become turns, and all its utterances."""

    line: int
    split: str | None
    utterances: frozenset[str]
    replies: tuple[Reply, ...]


def read_dialogues(
    path: str | os.PathLike, sides: str = "b", lenient: bool = False
) -> tuple[str, list[Dialogue]]:
    """Reads a file of either shape.

    Consecutive turns belong to one dialogue if the second context starts with the first context
    and its response.

    Args:
        path: str or path. The file; may be `.gz` or `.xz`.
        sides: str. Whose replies become turns: "a", "b" or "both". Ignored in a file of turns.
        lenient: bool. Whether to accept a response that is not among its candidates.

    Returns:
        "dialogue" or "turn", and the dialogues in the order of the file.

    Raises:
        DataError: The file is damaged, or a field is missing or wrong; names line and field.
    """
    shape, dialogues = "", []
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        record = _Record(text, line, path)
        if shape and record.shape != shape:
            message = f"this line is {_SHAPES[record.shape]}, the ones before are {_SHAPES[shape]}"
            raise DataError(f"{message}; expected one shape per file", path=path, line=line)
        shape = record.shape
        is_dialogue = shape == "utterances"
        dialogues.append(_dialogue(record, sides) if is_dialogue else _turn(record, lenient))
    if not dialogues:
        raise DataError("the file is empty, expected a JSON object per line", path=path)
    if shape == "utterances":
        return "dialogue", dialogues
    return "turn", _join_turns(dialogues)


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
    replies = [
        Reply(
            record.line,
            utterances[:index],
            utterances[index],
            None,
            personas[index % 2],
            personas[1 - index % 2],
        )
        for index in range(1, len(utterances))
        if sides in ("ab"[index % 2], "both")
    ]
    return Dialogue(record.line, record.split(), frozenset(utterances), tuple(replies))


def _turn(record: _Record, lenient: bool) -> Dialogue:
    context, response = record.texts("context"), record.text("response")
    candidates = record.texts("candidates", optional=True)
    if candidates == ():
        record.fail("candidates", "found no candidates; leave the field out to have them drawn")
    if candidates and response not in candidates and not lenient:
        record.fail("candidates", f"the response is not among the {len(candidates)} candidates")
    persona = {
        "original": record.texts("persona"),
        "revised": record.texts("persona_revised", optional=True),
    }
    unknown = {"original": (), "revised": ()}
    reply = Reply(record.line, context, response, candidates, persona, unknown)
    return Dialogue(record.line, record.split(), frozenset((*context, response)), (reply,))


def _join_turns(turns: list[Dialogue]) -> list[Dialogue]:
    groups: list[list[Dialogue]] = []
    for turn in turns:
        if groups and _continues(groups[-1][-1], turn):
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


def _continues(previous: Dialogue, turn: Dialogue) -> bool:
    said = (*previous.replies[0].context, previous.replies[0].text)
    return previous.split == turn.split and turn.replies[0].context[: len(said)] == said


class _Record:
    """One JSON object; its errors name file, line and field."""

    def __init__(self, text: str, line: int, path: str | os.PathLike):
        self.line, self._path = line, path
        try:
            self._fields = json_value(text)
            if not isinstance(self._fields, dict):
                found = json_type_name(self._fields)
                raise DataError(f"found {found}, expected a JSON object")
            shapes = [shape for shape in _SHAPES if self._fields.get(shape) is not None]
            if len(shapes) != 1:
                found = "both" if shapes else "neither"
                fields = 'the fields "utterances" (a dialogue) and "response" (a turn)'
                raise DataError(f"found {found} of {fields}, expected one of them")
        except DataError as error:
            raise DataError(str(error), path=path, line=line) from None
        self.shape = shapes[0]

    def fail(self, field: str, message: str) -> NoReturn:
        raise DataError(message, path=self._path, line=self.line, field=field)

    def text(self, field: str) -> str:
        return self._checked(field, self._fields[field])

    def texts(self, field: str, optional: bool = False) -> tuple[str, ...] | None:
        value = self._fields.get(field)
        if value is None and optional:
            return None
        if field not in self._fields:
            self.fail(field, "found no such field, expected a list of texts; write [] for none")
        if not isinstance(value, list):
            self.fail(field, f"found {json_type_name(value)}, expected a list of texts")
        return tuple(
            [self._checked(field, text, f"item {n}: ") for n, text in enumerate(value, start=1)]
        )

    def split(self) -> str | None:
        value = self._fields.get("split")
        if value is not None and not isinstance(value, str):
            self.fail("split", f"found {json_type_name(value)}, expected a text")
        return value

    def _checked(self, field: str, text: Any, item: str = "") -> str:
        error = text_error(text)
        if error:
            self.fail(field, item + error)
        return sys.intern(text.strip())
