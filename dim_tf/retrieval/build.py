"""Making and changing pools. A call that was stopped is repeated, and goes on."""

from __future__ import annotations

import dataclasses
import itertools
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dim_tf.cli.progress import Progress
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval.lexical import Lexical
from dim_tf.retrieval.pool_folder import (
    LEXICAL,
    Manifest,
    fingerprint,
    load_encoder,
    opened_vectors,
)
from dim_tf.retrieval.replies import PREPARED, Reply, read_replies
from dim_tf.retrieval.vectors import Vectors
from dim_tf.runs import pretrained

# The pretrained model that encodes replies by default.
ENCODER = "personachat-encoder"
# Replies that are encoded and stored together.
BATCH = 2_048


def build(
    source: str,
    path: str | os.PathLike,
    run: str | os.PathLike = ENCODER,
    *,
    index_type: str = "HNSW",
    search_width: int = 400,
    uri: str = "",
    token: str = "",
) -> Manifest:
    """Makes a pool folder, or goes on with one that the same call began.

    Args:
        source: str. As of `read_replies`. Replies with the same text, or the same `id`, are one.
        path: str. The folder.
        run: str. The run of a dual encoder, which encodes them: a folder or a pretrained model.
        index_type: str. HNSW, IVF_FLAT or FLAT (exact).
        search_width: int. How many neighbours HNSW visits in a search, or lists IVF_FLAT.
        uri: str. The Milvus server; empty for Milvus Lite in the folder.
        token: str. The server's token; see `Vectors`.

    Raises:
        DataError: The source is missing or damaged, or has no reply; an id has two texts.
        UsageError: The folder holds something else; the run is no dual encoder.
    """
    folder = Path(path)
    atomic.check_place(folder)
    ranker = Ranker.load(run)
    vector_size = ranker.encode_replies(["-"]).shape[1]
    began = Manifest(
        state="building",
        source=_absolute(source),
        lines=0,
        replies=0,
        run=str(pretrained.find(run).absolute()),
        fingerprint=fingerprint(str(run)),
        vector_size=vector_size,
        index_type=index_type,
        search_width=search_width,
        uri=uri,
        collection=f"dim_tf_{uuid.uuid4().hex[:12]}" if uri else "replies",
    )
    manifest = _begun(folder, began)
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write(folder)
    with opened_vectors(folder, manifest, token, change=True) as vectors:
        vectors.create(manifest.vector_size)
        with Progress("replies", None, "lines") as progress:
            for lines, batch in _batches(_distinct(source), manifest.lines):
                # A call that was stopped may have stored some of the first ones.
                _store(vectors, ranker, batch, replace=lines.start == manifest.lines)
                dataclasses.replace(manifest, lines=lines.stop).write(folder)
                progress.advance(len(lines))
        return _finish(folder, vectors, manifest)


def add(path: str | os.PathLike, source: str, token: str = "") -> Manifest:
    """Adds replies to a pool; those with an id that it has replace it."""
    folder = Path(path)
    manifest = _changeable(folder)
    ranker = load_encoder(manifest)
    with opened_vectors(folder, manifest, token, change=True) as vectors:
        for _ in _distinct(source):  # before anything is changed
            pass
        dataclasses.replace(manifest, state="changing").write(folder)
        for _, batch in _batches(_distinct(source), 0):
            _store(vectors, ranker, batch, replace=True)
        return _finish(folder, vectors, manifest)


def delete(path: str | os.PathLike, ids: Sequence[str], token: str = "") -> Manifest:
    """Deletes replies by id.

    Raises:
        UsageError: The pool has no such reply, or no other.
    """
    folder = Path(path)
    manifest = _changeable(folder)
    with opened_vectors(folder, manifest, token, change=True) as vectors:
        vectors.load()
        unknown = sorted(set(ids) - vectors.known(ids))
        # An interrupted deletion may have deleted some.
        if unknown and manifest.state == "complete":
            raise UsageError(f"{folder}: found no reply with the id {unknown[0]}")
        if len(vectors) == len(set(ids)) - len(unknown):
            raise UsageError(f"{folder}: nothing would be left; remove the folder instead")
        dataclasses.replace(manifest, state="changing").write(folder)
        vectors.delete(ids)
        return _finish(folder, vectors, manifest)


def _begun(folder: Path, began: Manifest) -> Manifest:
    """The manifest to go on with: that in the folder if it is of the same call."""
    if not folder.exists() or not any(folder.iterdir()):
        return began
    found = Manifest.read(folder)
    if found.state != "building":
        raise UsageError(f"{folder} exists; give another folder, or --add to add replies")
    if not found.lines:
        return began
    for name in ("source", "run", "fingerprint", "index_type", "search_width", "uri"):
        ours, theirs = getattr(began, name), getattr(found, name)
        if ours != theirs:
            raise UsageError(
                f"{folder}: an unfinished pool of another call ({name}: {theirs}, not {ours}); "
                "repeat that call, or give another folder"
            )
    return found


def _changeable(folder: Path) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest.state == "building":
        raise DataError("unfinished: the command that made it was stopped; repeat it", path=folder)
    return manifest


def _distinct(source: str) -> Iterator[tuple[int, Reply]]:
    """The replies of a source with their lines, equal ones once.

    Raises:
        DataError: An id has two texts, or the source has no reply.
    """
    texts: dict[str, int] = {}
    line = 0
    for line, reply in read_replies(source):
        known, digest = texts.get(reply.id), hash(reply.text)
        if known is None:
            texts[reply.id] = digest
            yield line, reply
        elif known != digest:
            raise DataError(
                f"{reply.id} is the id of an earlier line with another text",
                path=source,
                line=line,
                field="id",
            )
    if not line:
        raise DataError("found no reply", path=source)


def _batches(
    replies: Iterable[tuple[int, Reply]], after: int
) -> Iterator[tuple[range, list[Reply]]]:
    """Batches of the replies after a line, each with the lines that it ends the reading of."""
    rest = ((line, reply) for line, reply in replies if line > after)
    while batch := list(itertools.islice(rest, BATCH)):
        end = batch[-1][0]
        yield range(after, end), [reply for _, reply in batch]
        after = end


def _store(vectors: Vectors, ranker: Ranker, batch: Sequence[Reply], replace: bool) -> None:
    encoded = ranker.encode_replies([reply.text for reply in batch])
    vectors.put(batch, encoded, replace)


def _finish(folder: Path, vectors: Vectors, manifest: Manifest) -> Manifest:
    """Builds the indexes of what is stored, and completes the manifest."""
    vectors.build_index(manifest.index_type)
    lexical = Lexical.build(vectors.rows("id", "text"))
    lexical.save(folder / LEXICAL)
    manifest = dataclasses.replace(manifest, state="complete", replies=len(lexical))
    manifest.write(folder)
    return manifest


def _absolute(source: str) -> str:
    """The source, which must be the same in a repeated call from another folder."""
    if source.startswith(PREPARED):
        return PREPARED + str(Path(source.removeprefix(PREPARED)).absolute())
    return str(Path(source).absolute())
