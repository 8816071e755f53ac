"""The authors' vocabulary files, and what becomes of them here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from dim_tf.data.text import PAD, UNK
from dim_tf.errors import DataError
from dim_tf.io.text_lines import numbered_lines


def read_words(path: str | os.PathLike, label: str | None = None) -> tuple[str, ...]:
    """Reads `vocab.txt`: the word of each id, one a line, ids from 0.

    Raises:
        DataError: There is no word, or one is empty or occurs twice.
    """
    label = str(path) if label is None else label
    lines: dict[str, int] = {}
    for line, text in numbered_lines(path, label):
        word = text.strip()
        if not word or len(word.split()) > 1:
            raise DataError(f"found {text!r}, expected one word", path=label, line=line)
        if word in lines:
            message = f"the word {word!r} is on line {lines[word]} already"
            raise DataError(message, path=label, line=line)
        lines[word] = line
    if not lines:
        raise DataError("the file is empty, expected words", path=label)
    return tuple(lines)


def read_characters(path: str | os.PathLike, label: str | None = None) -> dict[int, str]:
    """Reads `char_vocab.txt`: lines `ID<TAB>CHARACTER`, ids from 1, as id -> character.

    Raises:
        DataError: A line is of another form; an id or a character occurs twice.
    """
    label = str(path) if label is None else label
    characters: dict[int, str] = {}
    for line, text in numbered_lines(path, label):
        number, _, character = text.partition("\t")
        if not (number.isascii() and number.isdigit() and len(number) < 7) or len(character) != 1:
            message = f"found {text!r}, expected an id, a tab and one character"
            raise DataError(message, path=label, line=line)
        if int(number) == 0:
            raise DataError(
                "found id 0, which is padding; expected 1 or more", path=label, line=line
            )
        if int(number) in characters or character in characters.values():
            raise DataError(
                f"the id or character of {text!r} is there twice", path=label, line=line
            )
        characters[int(number)] = character
    if not characters:
        raise DataError("the file is empty, expected characters", path=label)
    return characters


def words_of_authors(words: Sequence[str]) -> list[str]:
    """The authors' `vocab.txt` behind our two reserved words; its own `<pad>` is left out.

    >>> words_of_authors(["<pad>", "fiance", "hello"])
    ['<pad>', '<unk>', 'fiance', 'hello']
    """
    return [PAD, UNK, *(words[1:] if words[:1] and words[0] == PAD else words)]


def characters_of_authors(characters: Mapping[int, str]) -> list[str]:
    """The authors' `char_vocab.txt` with its own ids; "" where an id is unused.

    Raises:
        DataError: An id below 1 (0 is padding) or so high that it cannot be meant.

    >>> characters_of_authors({1: "h", 3: "e"})
    ['<pad>', 'h', '', 'e']
    """
    for place in characters:
        if not 1 <= place <= 0x110000:
            raise DataError(
                f"character {characters[place]!r}: found id {place}, expected at least 1 and at "
                f"most {0x110000}"
            )
    return [PAD, *(characters.get(place, "") for place in range(1, max(characters, default=0) + 1))]
