r"""Text files line by line: UTF-8 with or without BOM, plain or compressed by gzip or xz."""

from __future__ import annotations

import codecs
import gzip
import itertools
import json
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, BinaryIO

from dim_tf.errors import DataError

# Names of files of JSON Lines, or of a JSON array.
JSON_LINES = re.compile(r"(.+)\.(?:jsonl|ndjson|json)(?:\.gz|\.xz)?", re.IGNORECASE)
# The first bytes of a compressed file -> what opens it.
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open}


def numbered_lines(
    source: str | os.PathLike | BinaryIO, label: str | None = None, records: bool = False
) -> Iterator[tuple[int, str]]:
    r"""Streams `(number, text)` of each line, numbers from 1, texts without their line end.

    `\n`, `\r\n` or `\r` ends a line, and no other character. Compressed files are decompressed on
    the fly. `label` names the source in errors, instead of its path. With `records`, the lines are
    those of `json_records`.

    Raises:
        DataError: The file is missing, not UTF-8, or its compressed data is damaged.
    """
    label = str(source) if label is None else label
    lines = numbered_bytes(source, label)
    for number, line in json_records(lines, label) if records else lines:
        try:
            yield number, decoded(line)
        except DataError as error:
            raise DataError(str(error), path=label, line=number) from None


def numbered_bytes(
    source: str | os.PathLike | BinaryIO, label: str | None = None
) -> Iterator[tuple[int, bytes]]:
    """As `numbered_lines`, but bytes without line ends and BOM, of a file or of an open stream."""
    is_path = isinstance(source, str | os.PathLike)
    label = str(source) if label is None else label
    number = 0
    try:
        with open(source, "rb") if is_path else nullcontext(source) as raw:  # noqa: PTH123
            head = raw.peek(6)
            opener = next((o for magic, o in _OPENERS.items() if head.startswith(magic)), None)
            for line in opener(raw) if opener else raw:
                if number == 0:
                    line = line.removeprefix(codecs.BOM_UTF8)
                for part in line.rstrip(b"\r\n").split(b"\r"):
                    number += 1
                    yield number, part
    except FileNotFoundError:
        raise DataError("the file is missing", path=label) from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the compressed data is damaged or truncated ({error})"
        raise DataError(message, path=label, line=number + 1) from None


def json_records(lines: Iterator[tuple[int, bytes]], label: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank; for an array, on the first or on all lines, its elements.

    Elements are numbered from 1, whatever their lines.

    Raises:
        DataError: An array that begins with a line `[` is damaged.
    """
    filled = ((number, line) for number, line in lines if line.strip())
    for first in itertools.islice(filled, 1):
        read = [first]
        elements = _array(read, label)
        # A line that is JSON on its own is answered before the next one is read.
        if elements is None and first[1].lstrip().startswith(b"["):
            read += filled
            elements = _array(read, label)
        yield from enumerate(elements, start=1) if elements is not None else read
    yield from filled


def _array(lines: list[tuple[int, bytes]], label: str) -> list[bytes] | None:
    """The elements of the JSON array that some lines are; None if they are none."""
    try:
        found = json.loads(decoded(b"\n".join(line for _, line in lines)))
    except (DataError, ValueError, RecursionError) as error:
        begins = len(lines) > 1 and lines[0][1].strip() == b"["  # as no JSON Lines do
        if begins and isinstance(error, json.JSONDecodeError):
            message = f"not JSON: {error.msg} at position {error.colno}"
            raise DataError(message, path=label, line=lines[error.lineno - 1][0]) from None
        return None
    return [json.dumps(each).encode() for each in found] if isinstance(found, list) else None


def decoded(line: bytes) -> str:
    r"""Decodes a line; raises `DataError` if it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"found byte 0x{line[error.start]:02x} at position {error.start + 1}"
        raise DataError(f"{found}, expected UTF-8 text") from None


def json_value(text: str, **options: Any) -> Any:
    """Parses a line of JSON with the options of `json.loads`; raises `DataError`."""
    try:
        return json.loads(text, **options)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} at position {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 100,000 brackets
        raise DataError(f"not JSON that can be read: {error}") from None
