"""Unpacks archives from any origin; no file is written outside the target folder."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from dim_tf.errors import DataError

SUFFIXES = (".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar", ".zip")

_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError),
    *(UnicodeDecodeError, IndexError),  # damaged names in a zip archive
    RuntimeError,  # an encrypted zip archive, or an unknown compression
)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a tar (plain, gzip, xz) or zip archive.

    Raises:
        DataError: The archive is damaged or unsafe (in a tar: a link, a device, or a member outside
            the folder).
    """
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as bundle:
                for member in bundle.infolist():
                    member.filename = member.filename.replace("\\", "/")  # made on Windows
                    bundle.extract(member, folder)
        else:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _extract(tar, member, folder)
                # Truncation after the last member only shows when the stream is read to its end.
                while tar.fileobj.read(1 << 20):
                    pass
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(f"cannot unpack this archive ({reason})", path=archive) from None


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Writes a member. `tarfile`'s filter for data is newer than the Python of Debian 12."""
    path = (folder / member.name).resolve()
    if not path.is_relative_to(folder.resolve()) or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"found {member.name!r}, expected files in folders of the archive")
    (path if member.isdir() else path.parent).mkdir(parents=True, exist_ok=True)
    if member.isfile():
        with tar.extractfile(member) as content, path.open("wb") as handle:
            shutil.copyfileobj(content, handle)
