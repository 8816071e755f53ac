"""Files of word vectors, streamed: GloVe's text and word2vec's text, plain, `.gz` or `.zip`.

A file of 5 GB is read line by line; only the lines of wanted words are kept. Every line is checked
for its dimension and for what is no number, at the cost of looking at its characters.
"""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError

# What unpacking a damaged .gz, .xz or .zip raises.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)
LONGEST_LINE = 1 << 20
NUMERIC = b"0123456789.+-eE \t"
LINES_A_STEP = 1000
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors: float32 [len(words), dim]."""

    words: list[str]
    vectors: np.ndarray

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self.vectors.shape[1]

    def contradicts(self, other: WordVectors) -> bool:
        """Whether most words that both have a vector of have another one there.

        Vectors that were rounded to float16 are the same.

        >>> one = WordVectors(["hi", "tea"], np.array([[1.0, 0.5], [0.0, 0.0]], np.float32))
        >>> one.contradicts(WordVectors(["tea", "hi"], np.array([[3.0, 4.0], [1.0, 0.5]])))
        False
        >>> one.contradicts(WordVectors(["hi"], np.array([[0.5, 1.0]])))
        True
        """
        places = {word: place for place, word in enumerate(other.words)}
        pairs = [(n, places[word]) for n, word in enumerate(self.words) if word in places]
        if not pairs:
            return False
        ours, theirs = np.array(pairs).T
        ours, theirs = self.vectors[ours], other.vectors[theirs]
        both = ours.any(axis=1) & theirs.any(axis=1)
        equal = np.isclose(ours[both], theirs[both], rtol=2e-3, atol=1e-3).all(axis=1)
        return bool(both.any() and equal.mean() < 0.5)


def read_vectors(
    path: Path,
    wanted: Collection[str],
    extra: int = 0,
    acceptable: Callable[[str], bool] = bool,
) -> WordVectors:
    """The vectors of some words of a file.

    Args:
        path: A `.txt`, `.gz` or `.zip` (of one file), in GloVe's text format or in word2vec's,
            which has a first line with the count and the dimension. A word may hold spaces; of a
            word that is there twice, the first counts.
        wanted: The words to keep.
        extra: So many further words are kept, the first ones of the file.
        acceptable: Which words may be such further words.

    Returns:
        The words found, in the order of the file.

    Raises:
        DataError: The file is missing, empty, cut short or binary, or a line is not a word and as
            many finite numbers as the first line's.
    """
    words: dict[str, None] = {}
    rows: list[np.ndarray] = []
    wanted = frozenset(wanted)
    for number, word, fields in _lines(Path(path)):
        name = word.decode("utf-8", "replace")
        if name in words:
            continue
        if name not in wanted:
            if extra <= 0 or not acceptable(name):
                continue
            extra -= 1
        words[name] = None
        rows.append(_numbers(fields, path, number))
    dim = len(fields.split())
    return WordVectors(list(words), np.array(rows, np.float32).reshape(len(rows), dim))


def _lines(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, word and numbers of each line, all checked to have one dimension."""
    dim = promised = None
    count = number = 0
    try:
        with _opened(path) as (stream, advance):
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if number % LINES_A_STEP == 0:
                    advance()
                if b"\0" in line or len(line) == LONGEST_LINE:
                    raise DataError(
                        "found binary data, expected lines of a word and its numbers (text format)",
                        path=path,
                        line=number,
                    )
                line = line.rstrip(b" \t\r\n")
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if number == 1 and (header := _header(line)) is not None:
                    promised, dim = header
                    continue
                if dim is None:
                    dim = len(line.split()) - 1
                    if dim < 1:
                        raise DataError(
                            f"found {_shown(line)}, expected a word and its numbers",
                            path=path,
                            line=number,
                        )
                yield number, *_split(line, dim, path, number)
                count += 1
            advance()
    except DAMAGE as error:
        raise DataError(f"damaged or cut short ({error})", path=path) from None
    except NotImplementedError as error:  # such as Windows' Deflate64
        raise DataError(f"{error}; unpack the file and give its path", path=path) from None
    if count == 0:
        raise DataError("found no vector, expected lines of a word and its numbers", path=path)
    if promised is not None and count < promised:
        raise DataError(
            f"found {count} vectors, expected {promised} by the first line: the file is cut short",
            path=path,
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """The unpacked bytes, and a function that moves the progress bar on."""
    if not path.is_file():
        raise DataError("no such file of word vectors", path=path)
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        progress = stack.enter_context(Progress(f"reading {path.name}", path.stat().st_size, "B"))
        done = 0

        def advance() -> None:
            nonlocal done
            here = raw.tell()
            progress.advance(max(here - done, 0))
            done = max(here, done)

        if path.suffix == ".gz":
            yield stack.enter_context(gzip.open(raw)), advance
        elif path.suffix == ".zip":
            archive = stack.enter_context(open_zip(raw))
            members = [item for item in archive.infolist() if not item.is_dir()]
            if len(members) != 1:
                raise DataError(
                    f"found {len(members)} files in the archive, expected one; unpack the one you "
                    "want and give its path",
                    path=path,
                )
            if members[0].flag_bits & 1:
                raise DataError(
                    "the archive is encrypted; unpack the file and give its path", path=path
                )
            member = stack.enter_context(archive.open(members[0]))
            yield io.BufferedReader(member, 1 << 20), advance
        else:
            yield raw, advance


def open_zip(file: str | os.PathLike | BinaryIO) -> zipfile.ZipFile:
    """Opens a zip archive; raises `BadZipFile` for damaged names too, which `zipfile` does not."""
    try:
        archive = zipfile.ZipFile(file)
        for member in archive.infolist():
            member.is_dir()
    except (UnicodeDecodeError, IndexError) as error:  # not UTF-8, empty
        raise zipfile.BadZipFile(f"the name of a member: {error}") from None
    return archive


def _header(line: bytes) -> tuple[int, int] | None:
    """Count and dimension, if this is the first line of word2vec's format."""
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _split(line: bytes, dim: int, path: Path, number: int) -> tuple[bytes, bytes]:
    """Cuts a line before its last `dim` fields."""
    separator = b" " if b" " in line else b"\t"
    word, _, fields = line.partition(separator)
    one_each = fields.count(separator) == dim - 1 and separator * 2 not in line
    if one_each and not fields.translate(None, NUMERIC):
        return word, fields
    # A word with spaces in it, doubled spaces, or something wrong: look closely.
    parts = line.split()
    if not parts:
        raise DataError(
            f"found an empty line, expected a word and {dim} numbers", path=path, line=number
        )
    word_parts, numbers = parts[:-dim], parts[-dim:]
    if not word_parts or any(_is_number(part) for part in word_parts[1:]):
        raise DataError(f"found {len(parts) - 1} numbers, expected {dim}", path=path, line=number)
    fields = b" ".join(numbers)
    if fields.translate(None, NUMERIC):
        _numbers(fields, path, number)
    return b" ".join(word_parts), fields


def _numbers(fields: bytes, path: Path, number: int) -> np.ndarray:
    """The numbers of a line; raises `DataError` at the first that is none, or not finite."""
    parts = fields.split()
    try:
        row = np.array(parts, np.float64)
    except ValueError:
        row = None
    if row is None or not (np.abs(row) <= LARGEST).all():
        wrong = next(part for part in parts if not _is_number(part) or not _fits(part))
        raise DataError(f"found {_shown(wrong)}, expected a finite number", path=path, line=number)
    return row.astype(np.float32)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _fits(field: bytes) -> bool:
    return abs(float(field)) <= LARGEST


def _shown(field: bytes) -> str:
    return repr(field[:40].decode("utf-8", "replace"))


def matrix(words: Sequence[str], parts: Sequence[WordVectors]) -> np.ndarray:
    """One row a word, the parts side by side; zeros where a part lacks the word.

    The rows of `<pad>` and `<unk>` (ids 0 and 1) are zero.

    Returns:
        float32 [V, sum of the parts' dimensions].

    >>> glove = WordVectors(["hi"], np.ones((1, 2), np.float32))
    >>> word2vec = WordVectors(["_eos_"], np.full((1, 1), 3, np.float32))
    >>> matrix(["<pad>", "<unk>", "hi", "_eos_"], [glove, word2vec])
    array([[0., 0., 0.],
           [0., 0., 0.],
           [1., 1., 0.],
           [0., 0., 3.]], dtype=float32)
    """
    row = {word: place for place, word in enumerate(words) if place > 1}
    blocks = []
    for part in parts:
        block = np.zeros((len(words), part.dim), np.float32)
        known = [(row[word], place) for place, word in enumerate(part.words) if word in row]
        if known:
            rows, places = np.array(known).T
            block[rows] = part.vectors[places]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
