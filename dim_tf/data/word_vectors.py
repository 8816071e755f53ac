"""Pretrained word vectors in the text formats of GloVe and word2vec, plain or compressed."""

from __future__ import annotations

import io
import itertools
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError
from dim_tf.io.text_lines import numbered_bytes

HEAD_LINES = 100
LARGEST = float(np.finfo(np.float32).max)
EXPECTED = "expected lines of a word and its numbers (text format)"


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
        """Whether most words that both have differ in their vectors.

        Vectors that only differ by rounding to float16 count as equal.
        """
        known = set(other.words)
        words = ["", "", *(word for word in self.words if word in known)]
        ours, theirs = (matrix(words, [vectors]) for vectors in (self, other))
        both = ours.any(axis=1) & theirs.any(axis=1)
        equal = np.isclose(ours[both], theirs[both], rtol=2e-3, atol=1e-3).all(axis=1)
        return bool(both.any() and equal.mean() < 0.5)


def read_vectors(
    path: Path,
    wanted: Collection[str],
    extra: int = 0,
    acceptable: Callable[[str], bool] = bool,
) -> WordVectors:
    """Reads the vectors of some words, line by line: a file of 5 GB needs little memory.

    The dimension is that of most of the first lines. Lines that do not end in as many finite
    numbers are skipped, with one warning. A word may contain spaces; its first line counts.

    Args:
        path: Path. A text file, or a `.gz`, `.xz` or `.zip` of one file.
        wanted: collection of str. Words to keep.
        extra: int. Number of further words to keep, the first ones of the file.
        acceptable: callable. Which words may be such further words.

    Returns:
        The words found, in the order of the file.

    Raises:
        DataError: The file is missing, damaged, binary, or shorter than its word2vec header says.
    """
    wanted = frozenset(wanted)
    words: dict[str, None] = {}
    rows: list[np.ndarray] = []
    skipped: list[int] = []
    with _opened(path) as lines, Progress(f"reading {path.name}", None, "lines") as progress:
        head = list(itertools.islice(lines, HEAD_LINES))
        promised, dim = _layout(head, path)
        count = 0
        for number, line in itertools.chain(head[promised is not None :], lines):
            progress.advance()
            count += 1
            fields = line.rsplit(maxsplit=dim)
            if len(fields) <= dim:
                skipped.append(number)
                continue
            word = fields[0].strip().decode("utf-8", "replace")
            is_extra = word not in wanted
            if word in words or (is_extra and not (extra > 0 and acceptable(word))):
                continue
            row = _numbers(fields[1:])
            if row is None:
                skipped.append(number)
                continue
            extra -= is_extra
            words[word] = None
            rows.append(row)
    if promised is not None and count < promised:
        found = f"found {count} vectors, expected {promised} as the first line says"
        raise DataError(f"{found}: the file is cut short", path=path)
    if skipped:
        what = f"skipped {len(skipped)} lines without {dim} finite numbers"
        warnings.warn(f"{path}: {what}, the first is line {skipped[0]}", stacklevel=2)
    return WordVectors(list(words), np.array(rows, np.float32).reshape(len(rows), dim))


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The numbered lines of a file that are not blank."""
    if path.suffix.lower() != ".zip":
        yield _lines(path, path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member for member in archive.infolist() if not member.is_dir()]
            if len(names) != 1:
                found = f"found {len(names)} files in the archive, expected one"
                raise DataError(f"{found}; unpack it and give the path of one file", path=path)
            with archive.open(names[0]) as member:
                yield _lines(io.BufferedReader(member, 1 << 20), path)
    # RuntimeError: an encrypted archive, or a compression that Python does not know.
    except (zipfile.BadZipFile, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"{error}; unpack the file and give its path", path=path) from None


def _lines(source: Path | BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in numbered_bytes(source, str(path)):
        if b"\0" in line:
            raise DataError(f"found binary data, {EXPECTED}", path=path, line=number)
        if line.strip():
            yield number, line


def _layout(head: Sequence[tuple[int, bytes]], path: Path) -> tuple[int | None, int]:
    """The count of vectors that a word2vec header states, or None; and the dimension."""
    fields = [line.split() for _, line in head]
    promised = None
    if fields and len(fields[0]) == 2 and all(field.isdigit() for field in fields[0]):
        promised = int(fields.pop(0)[0])
    if not fields:
        raise DataError(f"found no vector, {EXPECTED}", path=path)
    ((dim, _),) = Counter(len(line) - 1 for line in fields).most_common(1)
    if dim < 1 or all(_numbers(line[-dim:]) is None for line in fields):
        found = repr(head[0][1][:40].decode("utf-8", "replace"))
        raise DataError(f"found {found}, {EXPECTED}", path=path, line=head[0][0])
    return promised, dim


def _numbers(fields: Sequence[bytes]) -> np.ndarray | None:
    """The numbers as float32; None if one of them is no finite number."""
    try:
        row = np.array(fields, np.float64)
    except ValueError:
        return None
    return row.astype(np.float32) if (np.abs(row) <= LARGEST).all() else None


def matrix(words: Sequence[str], parts: Sequence[WordVectors]) -> np.ndarray:
    """One row per word, the parts side by side; zeros where a part lacks the word.

    The rows of `<pad>` and `<unk>` (ids 0 and 1) are zero.

    Returns:
        float32 [V, sum of the parts' dimensions].
    """
    ids = {word: word_id for word_id, word in enumerate(words) if word_id > 1}
    blocks = []
    for part in parts:
        block = np.zeros((len(words), part.dim), np.float32)
        pairs = [(ids[word], row) for row, word in enumerate(part.words) if word in ids]
        if pairs:
            word_ids, rows = np.array(pairs).T
            block[word_ids] = part.vectors[rows]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
