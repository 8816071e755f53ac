"""The user's own data as JSON Lines: one dialogue per line, or one turn per line.

    {"utterances": [...], "persona_a": [...], "persona_b": [...]}
    {"context": [...], "persona": [...], "response": "...", "candidates": [...]}

All lines of a file have the same shape. In a dialogue, speaker a speaks first; `persona_a_revised`,
`persona_b_revised` and `split` are optional. In a turn, the last context utterance is the partner's
and the speakers alternate backwards; `candidates`, `persona_revised` and `split` are optional. An
optional field may be null; fields of other names are ignored.

Dialogues without personas name their speakers instead; see `data_prep.speaker_sentences`:

    {"utterances": [...], "speaker_a": "ann", "speaker_b": "ben"}
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
)

from data_prep.dialogues import find_gold
from dim_tf.data.dataset import SPLITS
from dim_tf.data.text import MARK_LEFT_OUT, without_mark
from dim_tf.errors import DataError
from dim_tf.io import json_model
from dim_tf.io.text_lines import JSON_LINES, json_value, numbered_lines


def _clean(text: str) -> str:
    if not text.strip():
        raise ValueError("a text that is not blank")
    return sys.intern(text.strip())  # equal texts share their memory


def _name(name: Any) -> str:
    if type(name) not in (str, int):
        raise ValueError("a name or a whole number")
    return _clean(str(name))


def _profile(text: str) -> str:
    profile = without_mark(text)
    if profile != text:
        warnings.warn(MARK_LEFT_OUT, stacklevel=2)
    return profile


Text = Annotated[str, AfterValidator(_clean)]
Name = Annotated[str, BeforeValidator(_name)]
Texts = tuple[Text, ...]
Profiles = tuple[Annotated[Text, AfterValidator(_profile)], ...]
# The profiles of a persona by version; None if the file lacks the version.
Persona = dict[str, Texts | None]


class DialogueLine(BaseModel, strict=True):
    """A line that holds a dialogue."""

    utterances: Annotated[Texts, Field(min_length=2)]
    persona_a: Profiles
    persona_b: Profiles
    persona_a_revised: Profiles | None = None
    persona_b_revised: Profiles | None = None
    split: str | None = None


class SpeakerLine(BaseModel, strict=True):
    """A line that holds a dialogue and names its speakers."""

    utterances: Annotated[Texts, Field(min_length=2)]
    speaker_a: Name
    speaker_b: Name
    split: str | None = None

    @field_validator("speaker_b")
    @classmethod
    def _is_another(cls, speaker: str, info: ValidationInfo) -> str:
        if speaker == info.data.get("speaker_a"):
            raise ValueError("another speaker than speaker_a")
        return speaker


class TurnLine(BaseModel, strict=True):
    """A line that holds a turn."""

    context: Texts
    persona: Profiles
    response: Text
    candidates: Annotated[Texts, Field(min_length=1)] | None = None
    persona_revised: Profiles | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a dialogue, to become a turn."""

    line: int
    context: Texts  # oldest first
    text: str
    candidates: Texts | None  # the reply included; None if they are to be drawn
    self_profiles: Persona  # of the speaker who replies
    partner_profiles: Persona
    speakers: tuple[str, str] | None = None  # who replies, and to whom, if the file says so


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The replies of one dialogue that become turns, and all its utterances."""

    number: int  # its line, counted through the files of a folder
    split: str | None
    utterances: frozenset[str]
    replies: tuple[Reply, ...]
    said: dict[str, Texts] = field(default_factory=dict)  # the utterances of each named speaker


def files_of(path: str | os.PathLike) -> dict[Path, str | None]:
    """A file of JSON Lines, without a split; or those of a folder that are named as splits."""
    path = Path(path)
    if not path.is_dir():
        return {path: None}
    found: dict[Path, str | None] = {}
    for file in sorted(path.iterdir()):
        match = JSON_LINES.fullmatch(file.name)
        split = match[1].lower() if match else ""
        if split in found.values():
            raise DataError(f"found another file of the split {split}, expected one", path=file)
        if split in SPLITS:
            found[file] = split
    return found


def read_dialogues(
    path: str | os.PathLike, sides: str = "b", lenient: bool = False, speakers: bool = False
) -> tuple[str, list[Dialogue]]:
    """Reads a file of either shape, or the files of a folder, see `files_of`.

    Consecutive turns belong to one dialogue if the second context starts with the first context
    and its response.

    Args:
        path: str or path. The file; may be `.gz` or `.xz`.
        sides: str. Whose replies become turns: "a", "b" or "both". Ignored in a file of turns.
        lenient: bool. Whether to accept a response that is not among its candidates.
        speakers: bool. Whether the lines are dialogues that name their speakers; personas are then
            ignored.

    Returns:
        "dialogue" or "turn", and the dialogues in the order of the file.

    Raises:
        DataError: The file is damaged, or a field is missing or wrong; names line and field.
    """
    shape, dialogues = None, []
    for file, split in files_of(path).items():
        before = dialogues[-1].number if dialogues else 0
        for line, text in numbered_lines(file, records=True):
            as_before = ", as the first line is" if shape else ""
            shape = shape or _shape(text, file, line, speakers)
            kind = "turn" if shape is TurnLine else "dialogue"
            advice = f"the line is read as a {kind}{as_before}"
            record = json_model.parse(text, shape, file, line, advice)
            found = _turn(record, line) if shape is TurnLine else _dialogue(record, line, sides)
            dialogues.append(replace(found, number=before + line, split=split or found.split))
            candidates = record.candidates if shape is TurnLine else None
            if candidates and find_gold(record.response, candidates) < 0 and not lenient:
                message = f"the response is not among the {len(candidates)} candidates"
                raise DataError(message, path=file, line=line, field="candidates")
    if not dialogues:
        raise DataError("the file is empty, expected a JSON object per line", path=path)
    if shape is TurnLine:
        return "turn", _join_turns(dialogues)
    return "dialogue", dialogues


def _shape(
    text: str, path: str | os.PathLike, line: int, speakers: bool
) -> type[DialogueLine | SpeakerLine | TurnLine]:
    try:
        fields = json_value(text)
    except DataError as error:
        expected = "expected an object on each line, or one JSON array of objects"
        raise DataError(f"{error}; {expected}", path=path, line=line) from None
    if speakers:
        if isinstance(fields, dict) and "response" in fields:
            message = "found a turn, expected a dialogue: --speaker-sentences needs whole dialogues"
            raise DataError(message, path=path, line=line, field="response")
        return SpeakerLine
    if isinstance(fields, dict):
        if {"utterances", "speaker_a"} <= fields.keys() and "persona_a" not in fields:
            message = "missing; expected a persona, or --speaker-sentences N to make them"
            raise DataError(message, path=path, line=line, field="persona_a")
        for name, shape in (("utterances", DialogueLine), ("response", TurnLine)):
            if fields.get(name) is not None:
                return shape
    expected = 'expected an object with "utterances" (a dialogue) or "response" (a turn)'
    raise DataError(expected, path=path, line=line)


def _dialogue(record: DialogueLine | SpeakerLine, line: int, sides: str) -> Dialogue:
    said = record.utterances
    if isinstance(record, SpeakerLine):
        speakers = record.speaker_a, record.speaker_b
        personas: list[Persona] = [{"original": (), "revised": None}] * 2
    else:
        speakers = None
        personas = [
            {"original": record.persona_a, "revised": record.persona_a_revised},
            {"original": record.persona_b, "revised": record.persona_b_revised},
        ]
    replies = [
        Reply(
            line,
            said[:n],
            said[n],
            None,
            personas[n % 2],
            personas[1 - n % 2],
            speakers and (speakers[n % 2], speakers[1 - n % 2]),
        )
        for n in range(1, len(said))
        if sides in ("ab"[n % 2], "both")
    ]
    said_by = {name: said[n::2] for n, name in enumerate(speakers or ())}
    return Dialogue(line, record.split, frozenset(said), tuple(replies), said_by)


def _turn(record: TurnLine, line: int) -> Dialogue:
    persona = {"original": record.persona, "revised": record.persona_revised}
    unknown = {"original": (), "revised": ()}
    response = record.response
    reply = Reply(line, record.context, response, record.candidates, persona, unknown)
    return Dialogue(line, record.split, frozenset((*record.context, response)), (reply,))


def _join_turns(turns: list[Dialogue]) -> list[Dialogue]:
    dialogues: list[Dialogue] = []
    for turn in turns:
        if dialogues and _continues(dialogues[-1], turn):
            last = dialogues.pop()
            utterances, replies = last.utterances | turn.utterances, last.replies + turn.replies
            turn = replace(last, utterances=utterances, replies=replies)
        dialogues.append(turn)
    return dialogues


def _continues(dialogue: Dialogue, turn: Dialogue) -> bool:
    last = dialogue.replies[-1]
    said = (*last.context, last.text)
    return dialogue.split == turn.split and turn.replies[0].context[: len(said)] == said
