r"""Text files line by line: UTF-8 with or without BOM, `\n` or `\r\n`, plain, `.gz` or `.xz`."""

from __future__ import annotations

import codecs
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from dim_tf.errors import DataError

_OPENERS = {".gz": gzip.open, ".xz": lzma.open}


def numbered_lines(path: str | os.PathLike, label: str | None = None) -> Iterator[tuple[int, str]]:
    r"""Streams `(number, text)` of each line, numbers from 1, texts without their line end.

    Only `\n` ends a line, so that no other character of a text is taken for a line break.

    Args:
        path: The file; `.gz` and `.xz` are unpacked on the fly.
        label: What messages call the file; its path if not given.

    Raises:
        DataError: The file is missing, not UTF-8, or its compressed data is damaged.
    """
    path = Path(path)
    label = str(path) if label is None else label
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as handle:
            for line in handle:
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                yield number, line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        found = f"found byte 0x{error.object[error.start]:02x} at position {error.start + 1}"
        raise DataError(f"{found}, expected UTF-8 text", path=label, line=number) from None
    except FileNotFoundError:
        raise DataError("the file is missing", path=label) from None
    except IsADirectoryError:
        raise DataError("found a folder, expected a file", path=label) from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        message = f"the {path.suffix} data is damaged or truncated ({error})"
        raise DataError(message, path=label, line=number + 1) from None
