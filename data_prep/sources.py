"""Decides which reader a `--source` needs, and opens it as a corpus."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from data_prep import archives, download, own_data, personachat, processed
from data_prep.dialogues import Corpus, Table, table_order
from dim_tf.data import tf1_vocab
from dim_tf.errors import DataError, did_you_mean
from dim_tf.io.atomic import sha256

# Written by examples/make_sample.py.
SAMPLE = Path(__file__).with_name("sample.tar.xz")
EXPECTED = (
    "sample, download, a folder, an archive (.tgz, .tar.gz, .tar.xz, .zip) or JSON Lines (.jsonl,"
    " .jsonl.gz, .jsonl.xz)"
)

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_LISTED_NAMES = 5


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        sides: Own dialogues: whose replies are the turns, "b", "a" or "both".
        candidates: Own data: how many candidates a turn gets where they are drawn.
        seed: Own data: the seed of splitting and drawing.
        resplit: Own data: split 80/10/10 whatever the `split` fields say.
        lenient: A reply that is not among its candidates is left to be counted (`gold` is -1).
        cache: `download`: the folder that keeps the archive.
        url: `download`: where the archive is.
        sha256: `download`: the sum it must have.
    """

    sides: str = "b"
    candidates: int = 20
    seed: int = 0
    resplit: bool = False
    lenient: bool = False
    cache: Path = Path("downloads")
    url: str = download.PERSONACHAT_URL
    sha256: str = download.PERSONACHAT_SHA256


def open_source(source: str, options: SourceOptions | None = None) -> Corpus:
    """Opens a source; use the result as a context manager, since it may own temporary files.

    Args:
        source: `sample` (the built-in corpus, always the same), `download` (the official
            archive), or the path of a folder, an archive or a JSON Lines file.
        options: How to read it; the defaults if not given.

    Raises:
        DataError: There is no such source, or it is damaged. Damage in the turns themselves shows
            when the tables are read.

    >>> with open_source("sample") as corpus:
    ...     print(corpus.name, corpus.tables[0].name)
    sample train_none_original
    """
    options = options or SourceOptions()
    path = Path(source)
    if source == "sample":
        return _in_temporary_folder(
            lambda folder: archives.unpack(SAMPLE, folder),
            lambda folder: _open_folder(folder, "sample", "sample", options),
        )
    if source == "download":
        archive = download.fetch(options.url, options.sha256, options.cache)
        return _open_archive(archive, "personachat", options, licence="CC BY 4.0")
    if not source or not path.exists():
        hint = did_you_mean(source, ("sample", "download"))
        raise DataError(f"found no source {source!r}, expected {EXPECTED}{hint}")
    if path.is_dir():
        return _open_folder(path, str(path), _printable(path.resolve().name), options)
    if archives.is_archive_name(path.name):
        return _open_archive(path, _stem(_printable(path.name), archives.SUFFIXES), options)
    plain_name = path.name.removesuffix(".gz").removesuffix(".xz")
    if plain_name.endswith(_JSON_SUFFIXES):
        return _open_json_lines(path, _stem(_printable(plain_name), _JSON_SUFFIXES), options)
    raise DataError(f"not a source, by its name; expected {EXPECTED}", path=path)


def _open_json_lines(path: Path, name: str, options: SourceOptions) -> Corpus:
    tables, notes = own_data.open_tables(
        path,
        sides=options.sides,
        candidates=options.candidates,
        seed=options.seed,
        resplit=options.resplit,
        lenient=options.lenient,
    )
    tables = tuple(sorted(tables, key=table_order))
    return Corpus(name, tables, (_summed(path, path.name),), notes=notes)


def _open_archive(path: Path, name: str, options: SourceOptions, licence: str = "") -> Corpus:
    return _in_temporary_folder(
        lambda folder: archives.unpack(path, folder),
        lambda folder: _open_folder(
            folder, str(path), name, options, (_summed(path, path.name),), licence
        ),
    )


def _in_temporary_folder(
    fill: Callable[[Path], object], open_folder: Callable[[Path], Corpus]
) -> Corpus:
    temporary = tempfile.TemporaryDirectory(prefix="data_prep-")
    try:
        fill(Path(temporary.name))
        corpus = open_folder(Path(temporary.name))
    except BaseException:
        temporary.cleanup()
        raise
    return replace(corpus, folder=temporary)


def _open_folder(
    folder: Path,
    label: str,
    name: str,
    options: SourceOptions,
    sources: tuple[Mapping[str, str], ...] = (),
    licence: str = "",
) -> Corpus:
    """Opens the known files of `folder`, or of the one folder in it that has any."""
    folder, reader = _find_reader(folder, label)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    tables: list[Table] = []
    words = characters = None
    ignored = []
    for path in files:
        shown = f"{label}/{path.name}"
        if reader.setting(path.name):
            tables.append(reader.open_table(path, shown, options.lenient))
        elif reader is processed and path.name == processed.WORDS_FILE:
            words = tf1_vocab.read_words(path, shown)
        elif reader is processed and path.name == processed.CHARACTERS_FILE:
            characters = tf1_vocab.read_characters(path, shown)
        else:
            ignored.append(path.name)
    used = [path for path in files if path.name not in ignored]
    return Corpus(
        name,
        tuple(sorted(tables, key=table_order)),
        sources or tuple(_summed(path, path.name) for path in used),
        words,
        characters,
        licence,
        (f"ignored files: {_some(ignored)}",) if ignored else (),
    )


def _find_reader(folder: Path, label: str) -> tuple[Path, ModuleType]:
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    for level in ([folder], inner):
        found = [
            (place, reader)
            for place in level
            for reader in (personachat, processed)
            if any(reader.setting(path.name) for path in place.iterdir())
        ]
        if len(found) == 1:
            return found[0]
        if found:
            kinds = ", ".join(f"{reader.EXPECTED_FILES} in {place.name}" for place, reader in found)
            raise DataError(f"found more than one corpus ({kinds}), expected one", path=label)
    names = sorted(path.name for path in folder.iterdir())
    raise DataError(
        f"found {_some(names) if names else 'an empty folder'}, expected files named"
        f" {personachat.EXPECTED_FILES} or {processed.EXPECTED_FILES}",
        path=label,
    )


def _printable(name: str) -> str:
    r"""A file name as UTF-8 can hold it: other bytes become escapes.

    >>> print(_printable(os.fsdecode(b"caf\xe9.txt")))
    caf\xe9.txt
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _some(names: list[str]) -> str:
    names = [_printable(name) for name in names]
    more = len(names) - _LISTED_NAMES
    return ", ".join(names[:_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _stem(name: str, suffixes: tuple[str, ...]) -> str:
    suffix = next(suffix for suffix in suffixes if name.lower().endswith(suffix))
    return name[: -len(suffix)]


def _summed(path: Path, name: str) -> dict[str, str]:
    return {"name": _printable(name), "sha256": sha256(path)}
