"""Atomic file writes: a temporary file, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from dim_tf.errors import DataError, UsageError, is_full_disk


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` on success.

    The temporary file has the same name, in a temporary folder next to `path`: Keras reads the
    format from the suffixes. A symbolic link stays one, and an existing file keeps its mode. On an
    error `path` stays as it was.
    """
    target = Path(os.path.realpath(path))
    prefix = f".{target.name}.tmp-"
    with (
        naming(path),
        TemporaryDirectory(prefix=prefix, dir=target.parent, ignore_cleanup_errors=True) as folder,
    ):
        temporary = Path(folder, target.name)
        yield temporary
        with temporary.open("rb+") as handle:  # Windows flushes what is open for writing
            os.fsync(handle.fileno())
        put(temporary, path)


def put(new: Path, path: str | os.PathLike) -> None:
    """Moves a new file to `path`, as `replacing` does."""
    target = Path(os.path.realpath(path))
    if target.exists():
        shutil.copymode(target, new)
    new.replace(target)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Adds the path to OSErrors that lack one (a full disk)."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    except RuntimeError as error:  # HDF5, when it closes a file
        if not is_full_disk(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def remove_temporaries(path: str | os.PathLike) -> None:
    """Removes temporary files left by killed processes."""
    path = Path(path)
    for folder in path.parent.glob(f".{glob.escape(path.name)}.tmp-*/"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def creating_folder(path: str | os.PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary folder, which is renamed to `path` on success and removed on an error.

    A folder that exists must be empty, or is replaced once the new one is complete (`replace`).

    Raises:
        UsageError: Another process is creating the folder, or created it in the meantime.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    with naming(path), locking(temporary, f"{path}: another process is making it; wait for it"):
        try:
            new = temporary / path.name
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            yield new
            _put_in_place(new, path, replace)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(new: Path, path: Path, replace: bool) -> None:
    if path.exists():
        shutil.copymode(path, new)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        new.rename(path)
        return
    if not replace:
        raise UsageError(f"{path} was created by another process in the meantime")
    # A visible name: if the process is killed in between, the old folder is not lost.
    old = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}.old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def locking(folder: str | os.PathLike, message: str) -> Iterator[None]:
    """Locks a folder; the lock of a process that dies is free.

    Raises:
        UsageError: Another process holds the lock; `message` says what that means.
    """
    try:
        with FileLock(Path(folder) / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(message) from None


def check_place(path: str | os.PathLike) -> None:
    """Raises `UsageError` if `path` cannot be made, before anything is computed for it."""
    folder = next((each for each in Path(path).absolute().parents if each.exists()), Path(path))
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be made: {folder} is a file, expected a folder")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path} cannot be made: {folder} cannot be written to")


def check_output(path: str | os.PathLike, option: str) -> None:
    """As `check_place`, for a file that `option` names, in an existing folder."""
    target = Path(os.path.realpath(path))
    # What is still a link leads to itself.
    if target.is_symlink() or target.is_dir() or is_stream(path):
        raise UsageError(f"{option}: {path} is not a file, or is standard output; give a file")
    if not target.parent.is_dir():
        raise UsageError(f"{option}: found no folder {target.parent}")
    check_place(target)


def is_stream(path: str | os.PathLike) -> bool:
    """Whether a path is a pipe, a device or standard output: written to, and never replaced."""
    path = Path(path)
    is_output = path.exists() and os.path.samestat(path.stat(), os.fstat(1))
    return is_output or (path.exists() and not (path.is_file() or path.is_dir()))


def write_text(path: str | os.PathLike, text: str) -> None:
    r"""Writes UTF-8 text with `\n` line ends on every system.

    Bytes of a file name that are not UTF-8 become escapes.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    r"""Writes one line per item, each ended by `\n`; no item may contain a line break."""
    with replacing(path) as temporary:
        temporary.write_bytes("".join(line + "\n" for line in lines).encode("utf-8"))


def read_lines(path: str | os.PathLike) -> list[str]:
    r"""Reads what `write_lines` wrote; `\n`, `\r\n` or `\r` ends a line."""
    lines = _read_text(path).split("\n")
    return lines if lines[-1] else lines[:-1]


def append_line(path: str | os.PathLike, line: str) -> None:
    """Adds a line to a file; not atomic: a killed process can leave a partial line."""
    with naming(path), Path(path).open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file; raises `DataError` if it is missing or damaged."""
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", path=path, line=error.lineno) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 100,000 brackets
        raise DataError(f"not JSON that can be read: {error}", path=path) from None


def _read_text(path: str | os.PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")  # all line ends become \n
    except FileNotFoundError:
        raise DataError("the file is missing", path=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 at byte {error.start}", path=path) from None


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], *, compressed: bool = False
) -> None:
    """Writes named arrays; uncompressed files load as fast as they are read."""
    save = np.savez_compressed if compressed else np.savez
    with replacing(path) as temporary, temporary.open("wb") as handle:
        save(handle, **arrays)


def read_npz(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file, or those of `names` that it has, never a pickle.

    Raises `DataError` if the file is missing or damaged.
    """
    if not Path(path).exists():
        raise DataError("the file is missing", path=path)
    with Path(path).open("rb") as handle:
        try:
            archive = np.load(handle, allow_pickle=False)
            wanted = archive.files if names is None else set(names).intersection(archive.files)
            return {name: archive[name] for name in wanted}
        except Exception as error:  # zipfile, zlib, struct, ... : each names damage in its own way
            raise DataError(f"not a readable .npz file ({error})", path=path) from None


def sha256(path: str | os.PathLike) -> str:
    """The sha256 of a file, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
