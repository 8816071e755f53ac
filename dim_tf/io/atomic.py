"""Files that are whole or not there: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dim_tf.errors import DataError, UsageError, is_full_disk

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on success it takes the place of `path` at once.

    The temporary name keeps the file's suffixes, since Keras reads the format from them. On any
    error it is removed and `path` is left as it was.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [p.name for p in folder.iterdir()], (folder / "a.txt").read_text()
    (['a.txt'], 'whole')
    """
    path = Path(path)
    stem, dot, suffixes = path.name.partition(".")
    temporary = path.with_name(f"{stem}-{uuid.uuid4().hex[:8]}.tmp{dot}{suffixes}")
    try:
        yield temporary
        with temporary.open("rb+") as handle:  # Windows flushes what is open for writing
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _named(error, path) from None
    except RuntimeError as error:  # of HDF5, if that was to close a file
        if not is_full_disk(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def creating_folder(path: str | os.PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `path`, which takes that name when all is in it.

    On any error nothing is left of it. What a killed process left is removed first; a process that
    still works there holds a lock on its folder.

    Args:
        path: The folder to be made. An empty one may be there.
        replace: What is there is removed, once the new folder has its place.

    Raises:
        UsageError: Meanwhile another process has made it.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> with creating_folder(folder / "run") as temporary:
    ...     _ = (temporary / "a.txt").write_text("whole")
    >>> [str(p.relative_to(folder)) for p in folder.rglob("*.*")]
    ['run/a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{glob.escape(path.name)}-{'[0-9a-f]' * 8}.tmp/"):
        # Another process may be removing it too.
        with contextlib.suppress(FileNotFoundError), locking(leftover) as free:
            if free:
                shutil.rmtree(leftover)
    with contextlib.ExitStack() as locks:
        temporary = _new_folder(path, locks)
        try:
            yield temporary
            _put_in_place(temporary, path, replace)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _new_folder(path: Path, locks: contextlib.ExitStack) -> Path:
    """A temporary folder beside `path`, locked."""
    while True:
        temporary = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}.tmp")
        temporary.mkdir()
        # Before it is locked, another process may take it for a leftover.
        with contextlib.suppress(FileNotFoundError):
            if locks.enter_context(locking(temporary)) is not False and temporary.exists():
                return temporary


def _put_in_place(new: Path, path: Path, replace: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        new.rename(path)
        return
    if not replace:
        raise UsageError(f"{path} was made meanwhile by another process")
    # A visible name: killed in between, the old folder is not lost.
    old = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}.old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def locking(folder: str | os.PathLike) -> Iterator[bool | None]:
    """Locks a folder until the end or the death of the process.

    False if another holds it; None where folders cannot be locked.
    """
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # some network file systems
            free = None
        yield free
    finally:
        os.close(handle)


def check_place(path: str | os.PathLike) -> None:
    """Raises `UsageError` if nothing can be made at `path`, before anything is computed for it."""
    for folder in Path(path).absolute().parents:
        if folder.exists():
            if not folder.is_dir():
                raise UsageError(f"{path} cannot be made: {folder} is a file, expected a folder")
            if not os.access(folder, os.W_OK):
                raise UsageError(f"{path} cannot be made: {folder} cannot be written to")
            return


def check_output(path: str | os.PathLike, option: str) -> None:
    """As `check_place`, for a file that `option` gives: it is made in a folder that is there."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise UsageError(f"{option}: {path} is not a file, expected the name of one")
    if not path.parent.is_dir():
        raise UsageError(f"{option}: there is no folder {path.parent}")
    check_place(path)


def _named(error: OSError, path: str | os.PathLike) -> OSError:
    """The error with a file in it: a full disk does not say which file has no room."""
    if error.filename is None:
        error.filename = str(path)
    return error


def is_temporary(path: str | os.PathLike) -> bool:
    """Whether a file's name is one that `replacing` gives.

    >>> is_temporary("a/best-0123abcd.tmp.weights.h5"), is_temporary("best.weights.h5")
    (True, False)
    """
    return re.search(r"-[0-9a-f]{8}\.tmp(\.|$)", Path(path).name) is not None


def remove_temporaries(path: str | os.PathLike) -> None:
    """Removes what killed writers of the file `path` left behind."""
    stem = Path(path).name.partition(".")[0]
    for other in Path(path).parent.glob(f"{glob.escape(stem)}-*"):
        if is_temporary(other) and len(other.name.partition(".")[0]) == len(stem) + 9:
            other.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    r"""Writes UTF-8 text whose lines end in `\n` on every system.

    Bytes of a file name that are not UTF-8 become escapes.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    r"""Writes one line an item, each ended by `\n`; no item may hold a line break."""
    with replacing(path) as temporary:
        temporary.write_bytes("".join(line + "\n" for line in lines).encode("utf-8"))


def read_lines(path: str | os.PathLike) -> list[str]:
    r"""Reads what `write_lines` wrote: `\n` alone ends a line, so no other character is lost."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise DataError("the file is missing", path=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 at byte {error.start}", path=path) from None
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def append_line(path: str | os.PathLike, line: str) -> None:
    """Adds a line to a file of lines; a kill may leave a part of it."""
    try:
        with Path(path).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
    except OSError as error:
        raise _named(error, path) from None


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes indented JSON with sorted keys."""
    # Bytes of a file name that are not UTF-8 become JSON's own escapes.
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file; raises `DataError` if it is missing or damaged."""
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise DataError("the file is missing", path=path) from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 at byte {error.start}", path=path) from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", path=path, line=error.lineno) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 100,000 brackets
        raise DataError(f"not JSON that can be read: {error}", path=path) from None


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], *, compressed: bool = False
) -> None:
    """Writes named arrays; uncompressed, loading costs no more than reading."""
    save = np.savez_compressed if compressed else np.savez
    with replacing(path) as temporary, temporary.open("wb") as handle:
        save(handle, **arrays)


def read_npz(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file, or those of `names` that it has, never a pickle.

    Raises `DataError` if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = archive.files if names is None else set(names).intersection(archive.files)
            return {name: archive[name] for name in wanted}
    except FileNotFoundError:
        raise DataError("the file is missing", path=path) from None
    except Exception as error:  # zipfile, zlib, struct, ... : each names damage in its own way
        raise DataError(f"not a readable .npz file ({error})", path=path) from None


def sha256(path: str | os.PathLike) -> str:
    """The sha256 of a file, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
