"""The common form of all sources: turns, tables of turns, and a corpus of tables.

A `Corpus` holds one `Table` per setting (split, persona, version). A table streams its `Turn`s, so
no reader keeps a corpus in memory.
"""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One context-response example, as raw text."""

    context: tuple[str, ...]  # oldest first; the last is the partner's, then they alternate
    candidates: tuple[str, ...]  # in the order of the source
    gold: int  # index of the gold reply; -1 if absent, in a source opened with `lenient`
    self_profiles: tuple[str, ...]  # of the speaker who replies
    partner_profiles: tuple[str, ...]
    dialogue: int  # number of the dialogue in its table, from 0
    line: int  # line of the turn in the source, from 1


def find_gold(reply: str, candidates: Sequence[str]) -> int:
    r"""The index of the reply among its candidates: the same text, or else the same words; or -1.

    >>> find_gold("I  ski", ["no", "i ski"]), find_gold("i ski", ["I ski", "i ski"])
    (1, 1)
    >>> find_gold("cafe\N{COMBINING ACUTE ACCENT}", ["no", "caf\xe9"])
    1
    """
    if reply in candidates:
        return candidates.index(reply)
    texts = (unicodedata.normalize("NFC", text) for text in (reply, *candidates))
    words = [text.lower().split() for text in texts]
    return words.index(words[0], 1) - 1 if words[0] in words[1:] else -1


@dataclass(frozen=True)
class Table:
    """The turns of one (split, persona, version), as in `dim_tf.data.dataset`.

    `turns` yields the turns, each time it is called; it raises `DataError` with file and line if
    the source is damaged.
    """

    split: str
    persona: str  # the official "other" files are "their"
    version: str
    path: str  # origin of the turns, for messages
    turns: Callable[[], Iterator[Turn]]
    tokenised: bool = False  # whether the texts are tokens joined by spaces

    @property
    def name(self) -> str:
        """Name of the table in files and messages, such as `test_self_original`."""
        return f"{self.split}_{self.persona}_{self.version}"


@dataclass(frozen=True)
class Corpus:
    """Everything that one source holds; a context manager that removes its temporary folder."""

    name: str
    tables: tuple[Table, ...]  # in the order of `SPLITS`, `PERSONAS`, `VERSIONS`
    sources: tuple[dict[str, str], ...]  # name and sha256 of each file that was read
    words: tuple[str, ...] | None = None  # the authors' vocabulary by id, if the source has it
    characters: Mapping[int, str] | None = None  # the authors' characters by id, likewise
    licence: str = ""
    notes: tuple[str, ...] = ()  # remarks for the report, such as files that were ignored
    folder: tempfile.TemporaryDirectory | None = None  # of the files, if they were unpacked

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, *error) -> None:
        if self.folder is not None:
            self.folder.cleanup()
