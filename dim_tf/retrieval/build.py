"""Making and changing pools. A call that was stopped is repeated, and goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval.lexical import Lexical, has_word
from dim_tf.retrieval.pool_folder import (
    LEXICAL,
    MANIFEST,
    Manifest,
    changing,
    check_uri,
    fingerprint,
    load_encoder,
    opened_vectors,
)
from dim_tf.retrieval.replies import (
    PREPARED,
    Reply,
    check_id,
    digest,
    read_replies,
    text_id,
)
from dim_tf.retrieval.vectors import Vectors
from dim_tf.runs import pretrained

# The pretrained model that encodes replies by default.
ENCODER = "personachat-encoder"
INDEX_TYPE, SEARCH_WIDTH = "IVF_SQ8", 80
# Replies that are encoded and stored together.
BATCH = 2_048


def build(
    source: str,
    path: str | os.PathLike,
    run: str | os.PathLike = ENCODER,
    *,
    index_type: str = INDEX_TYPE,
    search_width: int = SEARCH_WIDTH,
    uri: str = "",
) -> Manifest:
    """Makes a pool folder, or goes on with one that the same call began.

    Args:
        source: str. As of `read_replies`. Replies with the same text and no `id` are one.
        path: str. The folder.
        run: str. The run of a dual encoder, which encodes them: a folder or a pretrained model.
        index_type: str. IVF_SQ8, HNSW or FLAT (exact).
        search_width: int. How many lists IVF_SQ8 visits in a search, or neighbours HNSW.
        uri: str. The Milvus server; empty for Milvus Lite in the folder.

    Raises:
        DataError: The source is missing or damaged, or has no reply with a word; an id has two
            texts.
        UsageError: The folder holds something else, or another process uses it; the run is no dual
            encoder.
        CheckpointError: The run cannot be opened.
        PoolError: As of `Vectors`.
    """
    folder = Path(path)
    atomic.check_place(folder)
    check_uri(uri)
    sha256 = digest(source)
    ranker = Ranker.load(run)
    vector_size = ranker.encode_replies(["-"]).shape[1]
    is_pretrained = pretrained.find(run) != Path(run)
    began = Manifest(
        state="building",
        source=_absolute(source),
        digest=sha256,
        pending="",
        lines=0,
        replies=0,
        run=str(run if is_pretrained else Path(run).absolute()),
        fingerprint=fingerprint(str(run)),
        vector_size=vector_size,
        index_type=index_type,
        search_width=search_width,
        uri=uri,
        collection=f"dim_tf_{uuid.uuid4().hex[:12]}" if uri else "replies",
    )
    # What is refused is refused before anything is written.
    _begun(folder, began)
    if not _check(source):
        raise DataError("no reply has a word of two letters or more", path=source)
    folder.mkdir(parents=True, exist_ok=True)
    with changing(folder):
        manifest = _begun(folder, began)
        manifest.write(folder)
        with opened_vectors(folder, manifest) as vectors:
            # A server may have lost what a stopped call stored.
            done = manifest.lines if vectors.exists() else 0
            manifest = dataclasses.replace(manifest, lines=done)
            manifest.write(folder)
            vectors.create(manifest.vector_size, afresh=not done)
            with Progress("replies", None, "lines", start=done) as progress:
                for lines, batch in _batches(_distinct(source), done):
                    # A call that was stopped may have stored some of the first ones.
                    _store(vectors, ranker, batch, replace=lines.start == done)
                    manifest = dataclasses.replace(manifest, lines=lines.stop)
                    manifest.write(folder)
                    progress.advance(len(lines))
            return _finish(folder, vectors, manifest)


def add(path: str | os.PathLike, source: str) -> Manifest:
    """Adds replies to a pool; those with an id that it has replace it.

    Raises:
        DataError: As in `build`; the folder is no pool, or is unfinished.
        UsageError: Another process uses the folder.
        CheckpointError: The pool's run is missing or has other weights.
        PoolError: As of `Vectors`.
    """
    folder = Path(path)
    pending = f"--add of a file with the sha256 {digest(source)}"
    _check(source)  # before anything is changed
    with _change(folder, pending) as (manifest, vectors):
        ranker = load_encoder(manifest)
        dataclasses.replace(manifest, pending=pending).write(folder)
        for _, batch in _batches(_distinct(source), 0):
            _store(vectors, ranker, batch, replace=True)
        return _finish(folder, vectors, manifest)


def delete(path: str | os.PathLike, ids: Sequence[str]) -> Manifest:
    """Deletes replies by id.

    Raises:
        DataError: The folder is no pool, or is unfinished; a text cannot be an id; no reply
            with a word would be left.
        UsageError: An id is unknown, or no reply would be left; as in `add`.
        PoolError: As of `Vectors`.
    """
    folder = Path(path)
    for each in ids:
        check_id(each)
    pending = f"--delete {' '.join(sorted(ids))}"
    with _change(folder, pending) as (manifest, vectors):
        vectors.load()
        gone = set(ids)
        unknown = sorted(gone - vectors.known(ids))
        # An interrupted deletion may have deleted some.
        if unknown and manifest.pending != pending:
            raise UsageError(f"{folder}: found no reply with the id {unknown[0]}")
        if len(vectors) == len(gone) - len(unknown):
            raise UsageError(f"{folder}: nothing would be left; remove the folder instead")
        left = (row for row in vectors.rows("id", "text") if row["id"] not in gone)
        lexical = Lexical.build(left)  # raises before anything is changed
        dataclasses.replace(manifest, pending=pending).write(folder)
        vectors.delete(ids)
        return _finish(folder, vectors, manifest, lexical)


def _begun(folder: Path, began: Manifest) -> Manifest:
    """The manifest to go on with: that in the folder if it is of the same call."""
    if not folder.exists() or all(each.name.startswith(".") for each in folder.iterdir()):
        return began
    if not (folder / MANIFEST).exists():
        raise UsageError(f"{folder} holds something else; give another folder")
    found = Manifest.read(folder)
    if found.state != "building":
        raise UsageError(f"{folder} exists; give another folder, or --add to add replies")
    for name in ("source", "digest", "run", "fingerprint", "index_type", "search_width", "uri"):
        ours, theirs = getattr(began, name), getattr(found, name)
        if ours != theirs and found.lines:
            raise UsageError(
                f"{folder}: an unfinished pool of another call ({name}: {theirs}, not {ours}); "
                "repeat that call, or give another folder"
            )
    if found.lines:
        return found
    kept = found.collection if found.uri == began.uri else began.collection
    return dataclasses.replace(began, collection=kept)


@contextlib.contextmanager
def _change(folder: Path, pending: str) -> Iterator[tuple[Manifest, Vectors]]:
    """A pool to change; warns if another change of it was stopped and will not be completed."""
    Manifest.read(folder)  # refuses before the folder is locked
    with changing(folder):
        manifest = Manifest.read(folder)
        if manifest.state == "building":
            raise DataError(
                "unfinished: the command that made it was stopped; repeat it", path=folder
            )
        if manifest.pending not in ("", pending):
            stopped = f"{manifest.pending} was stopped, so only a part of it may be done"
            warnings.warn(f"{folder}: {stopped}; do the rest after this", stacklevel=4)
        with opened_vectors(folder, manifest) as vectors:
            yield manifest, vectors


def _distinct(source: str) -> Iterator[tuple[int, Reply]]:
    """The replies of a source with their lines, equal ones once.

    Raises:
        DataError: Two replies differ in text or fields and have one id, their own or that of their
            text; or the source has no reply.
    """
    known: dict[str, int] = {}
    line = 0
    for line, reply in read_replies(source):
        content = hash((reply.text, json.dumps(reply.fields, sort_keys=True)))
        if reply.id not in known:
            known[reply.id] = content
            yield line, reply
        elif known[reply.id] != content:
            message = f"{reply.id} is the id of an earlier line with another text or other fields"
            if reply.id == text_id(reply.text):
                message = "an earlier line has this text and other fields; give each an id"
            raise DataError(message, path=source, line=line, field="id")
    if not line:
        raise DataError("found no reply", path=source)


def _check(source: str) -> bool:
    """Reads a source to its end, raises `DataError`; returns whether BM25 can find a reply."""
    found = False
    for _, reply in _distinct(source):
        found = found or has_word(reply.text)
    return found


def _batches(
    replies: Iterable[tuple[int, Reply]], after: int
) -> Iterator[tuple[range, list[Reply]]]:
    """Batches of the replies after a line, each with the range of lines that it covers."""
    rest = ((line, reply) for line, reply in replies if line > after)
    while batch := list(itertools.islice(rest, BATCH)):
        end = batch[-1][0]
        yield range(after, end), [reply for _, reply in batch]
        after = end


def _store(vectors: Vectors, ranker: Ranker, batch: Sequence[Reply], replace: bool) -> None:
    encoded = ranker.encode_replies([reply.text for reply in batch])
    vectors.put(batch, encoded, replace)


def _finish(
    folder: Path, vectors: Vectors, manifest: Manifest, lexical: Lexical | None = None
) -> Manifest:
    """Builds the indexes of what is stored, and completes the manifest."""
    vectors.build_index(manifest.index_type)
    if lexical is None:
        lexical = Lexical.build(vectors.rows("id", "text"))
    lexical.save(folder / LEXICAL)
    manifest = dataclasses.replace(manifest, state="complete", pending="", replies=len(lexical))
    manifest.write(folder)
    return manifest


def _absolute(source: str) -> str:
    """The source, which must be the same in a repeated call from another folder."""
    if source.startswith(PREPARED):
        return PREPARED + str(Path(source.removeprefix(PREPARED)).absolute())
    return str(Path(source).absolute())
