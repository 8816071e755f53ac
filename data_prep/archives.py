"""Unpacks archives from any origin; no file is written outside the target folder."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from dim_tf.errors import DataError, UsageError

SUFFIXES = (".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar", ".zip")

_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError),
    *(UnicodeDecodeError, IndexError),  # damaged names in a zip archive
    RuntimeError,  # an encrypted zip archive, or an unknown compression
)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar (plain, gzip, xz) or zip archive.

    Raises:
        DataError: The archive is damaged or unsafe (in a tar: a device, or a member outside the
            folder).
        UsageError: This Python has no safe extraction.
    """
    if not hasattr(tarfile, "data_filter"):
        raise UsageError("unpacking needs Python 3.11.4 or newer (tarfile's filter for data)")
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as bundle:
                for member in bundle.infolist():
                    member.filename = member.filename.replace("\\", "/")  # made on Windows
                    bundle.extract(member, folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
                # Truncation after the last member only shows when the stream is read to its end.
                while tar.fileobj.read(1 << 20):
                    pass
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(f"cannot unpack this archive ({reason})", path=archive) from None
