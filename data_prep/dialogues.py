"""What every source is read into: turns, tables of turns, and a corpus of tables.

A `Corpus` holds one `Table` for each setting (split, persona, version) that its source offers; a
table streams its `Turn`s, so that no reader has to keep a corpus in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS


@dataclass(frozen=True, slots=True)
class Turn:
    """One context-response example, as raw text.

    Attributes:
        context: The utterances so far, oldest first. The last is the partner's, and the speakers
            alternate backwards from it. May be empty.
        candidates: The candidate replies in the source's order.
        gold: The index of the (first copy of the) true reply among the candidates. It is -1 only
            in a source that was opened leniently, where the reply is not among them.
        own: The profiles of the speaker who replies.
        partner: The profiles of the other speaker.
        dialogue: The running number of the dialogue in its table, from 0.
        line: The line of the source that holds the turn, from 1.
    """

    context: tuple[str, ...]
    candidates: tuple[str, ...]
    gold: int
    own: tuple[str, ...]
    partner: tuple[str, ...]
    dialogue: int
    line: int


@dataclass(frozen=True)
class Table:
    """The turns of one (split, persona, version).

    Attributes:
        split: "train", "valid" or "test".
        persona: "none", "self", "their" or "both"; the official "other" files are "their".
        version: "original" or "revised".
        path: Where the turns come from, for messages.
        turns: Streams the turns; may be called again and again. Raises `DataError` with file and
            line where the source is damaged.
        tokenised: The texts are tokens joined by spaces already: split on spaces, no other rule.
    """

    split: str
    persona: str
    version: str
    path: str
    turns: Callable[[], Iterator[Turn]]
    tokenised: bool = False

    @property
    def name(self) -> str:
        """The table's name in files and messages, such as `test_self_original`."""
        return f"{self.split}_{self.persona}_{self.version}"


@dataclass(frozen=True)
class Corpus:
    """Everything that one source holds.

    A corpus that was unpacked from an archive owns the temporary folder it lies in; use it as a
    context manager (or call `close`) to remove that folder.

    Attributes:
        name: A short name of the corpus.
        tables: Its tables, in the order of `SPLITS`, `PERSONAS`, `VERSIONS`.
        sources: The files it was read from: `{"name": ..., "sha256": ...}`.
        words: The authors' vocabulary, if the source brings it: the word of each id.
        characters: The authors' character vocabulary, if the source brings it: id -> character.
        licence: The licence of the texts, if it is known.
        notes: What a reader of the report should know, such as files that were ignored.
        folder: The temporary folder that the corpus lies in, if there is one.

    >>> table = Table("test", "self", "original", "memory", lambda: iter(()))
    >>> with Corpus("mine", (table,), ()) as corpus:
    ...     [table.name for table in corpus.tables]
    ['test_self_original']
    """

    name: str
    tables: tuple[Table, ...]
    sources: tuple[dict[str, str], ...]
    words: tuple[str, ...] | None = None
    characters: Mapping[int, str] | None = None
    licence: str = ""
    notes: tuple[str, ...] = ()
    folder: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Removes the temporary folder; the tables cannot be read any more."""
        if self.folder is not None:
            self.folder.cleanup()


def table_order(table: Table) -> tuple[int, int, int]:
    """The sorting key of a table: by split, persona, version."""
    return (
        SPLITS.index(table.split),
        PERSONAS.index(table.persona),
        VERSIONS.index(table.version),
    )
