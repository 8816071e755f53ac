"""The vocabulary files of the authors' program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from dim_tf.data.text import PAD, UNK
from dim_tf.errors import DataError
from dim_tf.io.text_lines import numbered_lines


def read_words(path: str | os.PathLike, label: str | None = None) -> tuple[str, ...]:
    """Reads `vocab.txt`: one word per line, ids from 0.

    Raises:
        DataError: The file is empty, or a word is empty or occurs twice.
    """
    label = str(path) if label is None else label
    lines: dict[str, int] = {}
    for line, text in numbered_lines(path, label):
        word = text.strip()
        if not word or len(word.split()) > 1:
            raise DataError(f"found {text!r}, expected one word", path=label, line=line)
        if word in lines:
            found = f"the word {word!r} is already on line {lines[word]}"
            raise DataError(found, path=label, line=line)
        lines[word] = line
    if not lines:
        raise DataError("the file is empty, expected words", path=label)
    return tuple(lines)


def read_characters(path: str | os.PathLike, label: str | None = None) -> dict[int, str]:
    """Reads `char_vocab.txt`: lines `ID<TAB>CHARACTER`, ids from 1, as id -> character.

    Raises:
        DataError: A line has another form, or an id or a character occurs twice.
    """
    label = str(path) if label is None else label
    characters: dict[int, str] = {}
    for line, text in numbered_lines(path, label):
        number, _, character = text.partition("\t")
        if not (number.isascii() and number.isdigit() and len(number) < 7) or len(character) != 1:
            found = f"found {text!r}, expected an id, a tab and one character"
            raise DataError(found, path=label, line=line)
        if int(number) == 0:
            found = "found id 0, which is padding; expected 1 or more"
            raise DataError(found, path=label, line=line)
        if int(number) in characters or character in characters.values():
            found = f"the id or character of {text!r} occurs twice"
            raise DataError(found, path=label, line=line)
        characters[int(number)] = character
    if not characters:
        raise DataError("the file is empty, expected characters", path=label)
    return characters


def words_of_authors(words: Sequence[str]) -> list[str]:
    """The words of `vocab.txt` after our two reserved ones, without their own `<pad>`."""
    return [PAD, UNK, *(words[1:] if words[:1] and words[0] == PAD else words)]


def characters_of_authors(characters: Mapping[int, str]) -> list[str]:
    """The characters of `char_vocab.txt` by id, from 1; "" for an unused id."""
    return [PAD, *(characters.get(n, "") for n in range(1, max(characters, default=0) + 1))]
