"""Reads the official PERSONA-CHAT files (ParlAI's layout).

The lines of a dialogue are numbered from 1; number 1 starts the next dialogue:

    1 your persona: i have a turtle .
    2 partner's persona: i like to dance .
    3 PARTNER TEXT<TAB>REPLY<TAB><TAB>CANDIDATE|CANDIDATE|...

If the partner text of the first turn is empty or `__SILENCE__`, the replying speaker opens the
dialogue: the context is empty.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data_prep.dialogues import Table, Turn, find_gold
from dim_tf.errors import DataError
from dim_tf.io.text_lines import numbered_lines

EXPECTED_FILES = "{train,valid,test}_{none,self,other,both}_{original,revised}.txt"
SILENCE = "__SILENCE__"

_FILE_NAME = re.compile(r"(train|valid|test)_(none|self|other|both)_(original|revised)\.txt")
_SELF, _PARTNER = "your persona:", "partner's persona:"
_TURN_FORMAT = "TEXT<TAB>REPLY<TAB><TAB>CANDIDATE|CANDIDATE|..."


def setting(file_name: str) -> tuple[str, str, str] | None:
    """The (split, persona, version) of an official file name, or None."""
    match = _FILE_NAME.fullmatch(file_name)
    if match is None:
        return None
    split, persona, version = match.groups()
    return split, "their" if persona == "other" else persona, version


def open_table(path: Path, label: str, lenient: bool = False) -> Table:
    """The table of an official file; `label` is its name in messages."""
    return Table(*setting(path.name), label, partial(read_turns, path, label, lenient))


def read_turns(
    path: str | os.PathLike, label: str | None = None, lenient: bool = False
) -> Iterator[Turn]:
    """Yields the turns of an official file; `label` is its name in messages.

    With `lenient`, a reply that is not among its candidates gives a turn with `gold` -1.

    Raises:
        DataError: The file is not of this format; names file and line.
    """
    label = str(path) if label is None else label
    number, dialogue, line = 0, -1, 0
    sizes: set[int] = set()
    self_profiles, partner_profiles, history, has_turn = (), (), (), True
    for line, text in numbered_lines(path, label):
        if not text.strip():
            continue
        try:
            # ParlAI writes a line break inside a text as these two characters.
            head, _, body = text.replace("\\n", " ").partition(" ")
            if head == "1":
                if not has_turn:
                    raise DataError("the previous dialogue has no turn")
                number, dialogue = 0, dialogue + 1
                self_profiles, partner_profiles, history, has_turn = (), (), (), False
            elif head != str(number + 1):
                raise DataError(_wrong_number(head, number))
            number += 1
            if "\t" not in body:
                if has_turn:
                    raise DataError(f"found {_short(body)}, expected {_TURN_FORMAT}")
                if body.startswith(_SELF):
                    self_profiles += (_profile(body.removeprefix(_SELF)),)
                elif body.startswith(_PARTNER):
                    partner_profiles += (_profile(body.removeprefix(_PARTNER)),)
                else:
                    expected = f"{_SELF!r}, {_PARTNER!r} or {_TURN_FORMAT}"
                    raise DataError(f"found {_short(body)}, expected {expected}")
                continue
            utterance, reply, candidates = _parse_turn(body, first=not has_turn)
            gold = _gold(reply, candidates, lenient)
        except DataError as error:
            raise DataError(str(error), path=label, line=line) from None
        sizes.add(len(candidates))
        context = (*history, utterance) if utterance else history
        history, has_turn = (*context, reply), True
        yield Turn(context, candidates, gold, self_profiles, partner_profiles, dialogue, line)
    if dialogue < 0:
        raise DataError("the file is empty, expected dialogues", path=label)
    if not has_turn:
        found = "the last dialogue has no turn; is the file cut off?"
        raise DataError(found, path=label, line=line)
    if len(sizes) > 1:
        found = f"found {min(sizes)} to {max(sizes)} candidates a turn; a | inside one divides it"
        warnings.warn(f"{label}: {found}", stacklevel=2)


def _parse_turn(body: str, first: bool) -> tuple[str, str, tuple[str, ...]]:
    fields = body.split("\t")
    if len(fields) != 4:
        hint = "; files without candidates cannot be ranked" if len(fields) == 2 else ""
        raise DataError(f"found {len(fields)} fields, expected 4: {_TURN_FORMAT}{hint}")
    utterance, reply = fields[0].strip(), fields[1].strip()
    if first and utterance == SILENCE:
        utterance = ""
    if not utterance and not first:
        raise DataError("the partner's text is empty; it may be so in the first turn only")
    if not fields[3].strip():
        raise DataError("found no candidates, expected CANDIDATE|CANDIDATE|... in field 4")
    return utterance, reply, split_candidates(fields[3])


def split_candidates(field: str) -> tuple[str, ...]:
    """The candidates of a field, which are separated by `|`; raises `DataError` if one is empty."""
    candidates = tuple([candidate.strip() for candidate in field.split("|")])
    if not all(candidates):
        number = candidates.index("") + 1
        raise DataError(f"candidate {number} of {len(candidates)} is empty, expected a text")
    return candidates


def _gold(reply: str, candidates: tuple[str, ...], lenient: bool) -> int:
    if not reply:
        raise DataError("the reply (field 2) is empty, expected a text")
    gold = find_gold(reply, candidates)
    if gold < 0 and not lenient:
        found = f"the reply {_short(reply)} is not among its {len(candidates)} candidates"
        raise DataError(found + "; a | divides candidates" * ("|" in reply))
    return gold


def _profile(text: str) -> str:
    profile = text.strip()
    if not profile:
        raise DataError("found an empty profile, expected a sentence")
    return profile


def _wrong_number(head: str, number: int) -> str:
    if not (head.isascii() and head.isdigit()):
        return f"found {_short(head)}, expected a line number and a space"
    expected = f"{number + 1} or, for a new dialogue, 1" if number else "1"
    return f"found line number {_short(head)}, expected {expected}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
