"""Unpacks archives that may come from anywhere: nothing is ever written outside the folder."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from dim_tf.data.word_vectors import DAMAGE, open_zip
from dim_tf.errors import DataError

SUFFIXES = (".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar", ".zip")

_DAMAGE = (
    *DAMAGE,
    tarfile.TarError,
    NotImplementedError,  # a zip member packed by a method that Python does not know
)


def is_archive_name(name: str) -> bool:
    """Whether a file name is that of an archive.

    >>> is_archive_name("personachat.tgz"), is_archive_name("own.jsonl.xz")
    (True, False)
    """
    return name.lower().endswith(SUFFIXES)


def unpack(archive: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Unpacks the files of a tar (plain, gzip, xz) or zip archive into `folder`.

    Raises:
        DataError: It is no archive, is empty, damaged or truncated, or one of its members has an
            absolute path, leaves the folder (`../`), or is neither a file nor a folder.
    """
    archive, folder = Path(archive), Path(folder)
    count = 0
    try:
        for name, content in _members(archive):
            target = folder / _safe(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as handle:
                shutil.copyfileobj(content, handle, 1 << 20)
            count += 1
    except FileExistsError as error:
        message = f"two members have the path {Path(error.filename).relative_to(folder)}"
        raise DataError(message, path=archive) from None
    except _DAMAGE as error:
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
        message = f"not a readable archive; it is damaged, truncated or something else ({reason})"
        raise DataError(message, path=archive) from None
    except DataError as error:
        raise DataError(str(error), path=archive) from None
    if count == 0:
        raise DataError("the archive holds no file", path=archive)


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if not archive.stat().st_size:
        raise DataError("the file is empty, expected an archive")
    if archive.name.lower().endswith(".zip"):
        return _zip_members(archive)
    return _tar_members(archive)


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                _safe(member.name)
            elif member.isreg():
                yield member.name, tar.extractfile(member)
            else:
                raise DataError(f"member {member.name!r} is a link or device, expected a file")
        # A cut-off end behind the last member shows only when all of it is unpacked.
        while tar.fileobj.read(1 << 20):
            pass


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with open_zip(archive) as bundle:
        for member in bundle.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"member {member.filename!r} is a link, expected a file")
            if member.flag_bits & 1:
                raise DataError(f"member {member.filename!r} is encrypted, expected a plain file")
            if member.is_dir():
                _safe(member.filename)
                continue
            with bundle.open(member) as content:
                yield member.filename, content


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise DataError(f"member {name!r} would leave the folder, expected a relative path")
    if not path.parts and name not in (".", "./"):
        raise DataError("a member has no name")
    return path
