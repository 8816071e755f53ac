"""Reads the authors' `processed_*.txt` files; their vocabularies are in the same folder.

Each line is one turn of five tab-separated fields: the context, whose utterances each end in
` _eos_`; the candidates, separated by `|`; the index of the gold reply; the partner's profiles and
the speaker's profiles, separated by `|` or `NA`. The texts are tokens joined by spaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data_prep import personachat
from data_prep.dialogues import Table, Turn
from dim_tf.data.text import EOS
from dim_tf.errors import DataError
from dim_tf.io.text_lines import numbered_lines

PREFIX = "processed_"
EXPECTED_FILES = PREFIX + personachat.EXPECTED_FILES
WORDS_FILE, CHARACTERS_FILE = "vocab.txt", "char_vocab.txt"

_FORMAT = "CONTEXT, CANDIDATES, INDEX, PARTNER'S PROFILES, SELF PROFILES between tabs"


def setting(file_name: str) -> tuple[str, str, str] | None:
    """The (split, persona, version) of a processed file's name, or None."""
    if not file_name.startswith(PREFIX):
        return None
    return personachat.setting(file_name.removeprefix(PREFIX))


def open_table(path: Path, label: str, lenient: bool = False) -> Table:
    """The table of a processed file; `lenient` has no effect, since the label is an index."""
    turns = partial(read_turns, path, label)
    return Table(*setting(path.name), label, turns, tokenised=True)


def read_turns(path: str | os.PathLike, label: str | None = None) -> Iterator[Turn]:
    """Yields the turns of a processed file.

    The files do not mark where a dialogue starts: a turn belongs to the same dialogue as the
    previous one if its context starts with that turn.

    Raises:
        DataError: The file is not of this format; names file and line.
    """
    label = str(path) if label is None else label
    dialogue, line, history = -1, 0, None
    for line, text in numbered_lines(path, label):
        if not text.strip():
            continue
        try:
            context, candidates, gold, partner_profiles, self_profiles = _parse(text)
        except DataError as error:
            raise DataError(str(error), path=label, line=line) from None
        if history is None or context[: len(history)] != history:
            dialogue += 1
        history = (*context, candidates[gold])
        yield Turn(context, candidates, gold, self_profiles, partner_profiles, dialogue, line)
    if history is None:
        raise DataError("the file is empty, expected turns", path=label)


def _parse(text: str) -> tuple:
    fields = text.split("\t")
    if len(fields) != 5:
        raise DataError(f"found {len(fields)} fields, expected 5: {_FORMAT}")
    context = tuple(part.strip() for part in f"{fields[0]} ".split(f" {EOS} "))
    if context[-1]:
        raise DataError(f"the context does not end in {EOS}")
    context = context[:-1]
    if not all(context):
        raise DataError(f"utterance {context.index('') + 1} of the context is empty")
    candidates = personachat.split_candidates(fields[1])
    if fields[2] not in map(str, range(len(candidates))):
        expected = f"expected the gold reply's index, 0 to {len(candidates) - 1}"
        raise DataError(f"found label {fields[2]!r}, {expected}")
    return context, candidates, int(fields[2]), _profiles(fields[3]), _profiles(fields[4])


def _profiles(field: str) -> tuple[str, ...]:
    if field in ("NA", ""):
        return ()
    profiles = tuple(profile.strip() for profile in field.split("|"))
    if not all(profiles):
        raise DataError("found an empty profile, expected a sentence")
    return profiles
