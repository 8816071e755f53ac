"""Opens a `--source` as a corpus, with the reader that it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from data_prep import archives, download, jsonl, own_data, personachat, processed
from data_prep.dialogues import Corpus, Table
from dim_tf.data import tf1_vocab
from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS
from dim_tf.errors import DataError, UsageError, did_you_mean
from dim_tf.io import atomic, text_lines

# Written by examples/make_sample.py.
SAMPLE = Path(__file__).with_name("sample.tar.xz")
EXPECTED = (
    "sample, download, a folder, an archive (.tgz, .tar.gz, .tar.xz, .zip) or JSON Lines (.jsonl,"
    " .jsonl.gz, .jsonl.xz, a folder of train.jsonl, valid.jsonl and test.jsonl)"
)

_LISTED_NAMES = 5
# What only the reader of own data takes.
_OWN_OPTIONS = ("sides", "candidates", "resplit", "speaker_sentences")

Sources = tuple[dict[str, str], ...]  # as of `Corpus`


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source."""

    sides: str = "b"  # own dialogues: whose replies become turns, "a", "b" or "both"
    candidates: int = 20  # own data: number of candidates of a turn where they are drawn
    seed: int = 1  # own data: seed of splitting and drawing
    resplit: bool = False  # own data: split 80/10/10, ignore the `split` fields
    speaker_sentences: int | None = None  # own data: make personas of at most so many sentences
    lenient: bool = False  # accept a reply that is not among its candidates (`gold` is -1)
    cache: Path = Path("downloads")  # folder for the official archive
    url: str = download.PERSONACHAT_URL
    sha256: str = download.PERSONACHAT_SHA256


def open_source(source: str, options: SourceOptions | None = None) -> Corpus:
    """Opens a source; use the result as a context manager, since it may own temporary files.

    Args:
        source: str. `sample` (the built-in corpus), `download` (the official archive), or the path
            of a folder, an archive or a JSON Lines file.
        options: SourceOptions. How to read it; the defaults if None.

    Raises:
        DataError: The source is missing or damaged. Damaged turns are reported when the tables are
            read.
        UsageError: An option is for JSON Lines, and the source is something else.
    """
    options = options or SourceOptions()
    path = Path(source)
    if source == "sample":
        return _open_archive(SAMPLE, "sample", options)
    if source == "download":
        path = download.fetch(options.url, options.sha256, options.cache)
    elif not source or not path.exists():
        hint = did_you_mean(source, ("sample", "download"))
        raise DataError(f"found no source {source!r}, expected {EXPECTED}{hint}")
    match = text_lines.JSON_LINES.fullmatch(path.name)
    own = jsonl.files_of(path) if match or path.is_dir() else {}
    if path.is_dir() and not own:
        return _open_folder(path, str(path), path.resolve().name, options)
    suffix = next((s for s in archives.SUFFIXES if path.name.lower().endswith(s)), None)
    if (suffix or source == "download") and not own:
        summed, name = _summed(path), path.name[: -len(suffix)] if suffix else path.stem
        corpus = _open_archive(path, name, options, (summed,))
        official = summed["sha256"] == download.PERSONACHAT_SHA256
        return replace(corpus, licence="CC BY 4.0" if official else "")
    if own:
        names = (*_OWN_OPTIONS, "seed", "lenient")
        tables, notes = own_data.open_tables(path, **{n: getattr(options, n) for n in names})
        others = sorted(path.iterdir()) if path.is_dir() else []
        notes += _ignored(file.name for file in others if file.is_file() and file not in own)
        name = path.resolve().name if path.is_dir() else match[1]
        return Corpus(name, tables, tuple(map(_summed, own)), notes=notes)
    raise DataError(f"no source has such a name; expected {EXPECTED}", path=path)


def _open_archive(
    path: Path, name: str, options: SourceOptions, sources: Sources | None = None
) -> Corpus:
    """Opens an archive; `sources` are those of the files in it if None."""
    label = "sample" if path == SAMPLE else str(path)
    temporary = tempfile.TemporaryDirectory(prefix="data_prep-")
    try:
        with atomic.naming(temporary.name):
            archives.unpack(path, Path(temporary.name))
        corpus = _open_folder(Path(temporary.name), label, name, options, sources)
    except BaseException:
        temporary.cleanup()
        raise
    return replace(corpus, folder=temporary)


def _open_folder(
    folder: Path, label: str, name: str, options: SourceOptions, sources: Sources | None = None
) -> Corpus:
    """Opens the known files of `folder`, or of its only subfolder that has any."""
    for option in _OWN_OPTIONS:
        if getattr(options, option) != getattr(SourceOptions(), option):
            shown = f"--{option.replace('_', '-')}"
            raise UsageError(f"{shown}: only a source of JSON Lines takes it; leave it out")
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
        tuple(sorted(tables, key=_order)),
        tuple(map(_summed, used)) if sources is None else sources,
        words,
        characters,
        notes=_ignored(ignored),
    )


def _order(table: Table) -> tuple[int, int, int]:
    return (
        SPLITS.index(table.split),
        PERSONAS.index(table.persona),
        VERSIONS.index(table.version),
    )


def _find_reader(folder: Path, label: str) -> tuple[Path, ModuleType]:
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    for level in ([folder], inner):
        found = [
            (candidate, reader)
            for candidate in level
            for reader in (personachat, processed)
            if any(reader.setting(path.name) for path in candidate.iterdir())
        ]
        if len(found) == 1:
            return found[0]
        if found:
            corpora = ", ".join(f"{reader.EXPECTED_FILES} in {path.name}" for path, reader in found)
            raise DataError(f"found more than one corpus ({corpora}), expected one", path=label)
    names = sorted(path.name for path in folder.iterdir())
    found = f"found {_some(names) if names else 'an empty folder'}"
    expected = f"expected files named {personachat.EXPECTED_FILES} or {processed.EXPECTED_FILES}"
    if any(text_lines.JSON_LINES.fullmatch(each) for each in names):
        expected = (
            "expected a single file of JSON Lines, or a folder of train, valid and test.jsonl"
        )
    raise DataError(f"{found}, {expected}", path=label)


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED_NAMES
    return ", ".join(names[:_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _ignored(names: Iterable[str]) -> tuple[str, ...]:
    """The note on files that are not read, if there are any."""
    names = list(names)
    return (f"ignored files: {_some(names)}",) if names else ()


def _summed(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": atomic.sha256(path)}
