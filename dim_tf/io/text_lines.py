r"""Text files line by line: UTF-8 with or without BOM, `\n` or `\r\n`, plain, `.gz` or `.xz`."""

from __future__ import annotations

import codecs
import gzip
import json
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from dim_tf.errors import DataError

_OPENERS = {".gz": gzip.open, ".xz": lzma.open}


def numbered_lines(path: str | os.PathLike, label: str | None = None) -> Iterator[tuple[int, str]]:
    r"""Streams `(number, text)` of each line, numbers from 1, texts without their line end.

    Only `\n` ends a line, so that no other character of a text is taken for a line break. `.gz` and
    `.xz` are decompressed on the fly. `label` names the file in errors, instead of its path.

    Raises:
        DataError: The file is missing, not UTF-8, or its compressed data is damaged.
    """
    label = str(path) if label is None else label
    for number, line in numbered_bytes(path, label):
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
    suffix = Path(source).suffix if is_path else ""
    number = 0
    try:
        opened = _OPENERS.get(suffix, open)(source, "rb") if is_path else nullcontext(source)
        with opened as handle:
            for line in handle:
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except FileNotFoundError:
        raise DataError("the file is missing", path=label) from None
    except IsADirectoryError:
        raise DataError("found a folder, expected a file", path=label) from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the {suffix} data is damaged or truncated ({error})"
        raise DataError(message, path=label, line=number + 1) from None


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
