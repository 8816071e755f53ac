"""A pool folder: replies, with the vectors of a fast run and a lexical index.

manifest.json   what the pool was made from, and whether it is complete
milvus.db/      vectors, texts and fields in Milvus Lite; absent if they are on a server
bm25/           the lexical index
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, Self

from dim_tf.errors import CheckpointError, DataError, UsageError
from dim_tf.io import atomic, json_model
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval.lexical import Lexical
from dim_tf.retrieval.vectors import IndexType, Vectors
from dim_tf.runs import pretrained
from dim_tf.runs.run import weights_fingerprint

MANIFEST, LEXICAL, MILVUS = "manifest.json", "bm25", "milvus.db"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a pool is.

    Args:
        state: str. "building" until all of `source` is stored, then "complete".
        source: str. What it was made from.
        digest: str. The sha256 of that file.
        pending: str. The change that is not complete; empty if there is none.
        lines: int. The lines of `source` that are stored.
        replies: int. The replies of a complete pool.
        run: str. The run that encodes replies and queries: the name of a pretrained model, or the
            path of a folder.
        fingerprint: str. The sha256 of its weights.
        vector_size: int. d.
        index_type: str. IVF_SQ8, HNSW or FLAT.
        search_width: int. How many lists IVF_SQ8 visits, or neighbours HNSW.
        uri: str. The Milvus server; empty for Milvus Lite in the folder.
        collection: str. The name of the collection in Milvus.
        format: int. The version of this format.
    """

    __pydantic_config__: ClassVar = json_model.STRICT
    state: Literal["building", "complete"]
    source: str
    digest: str
    pending: str
    lines: int
    replies: int
    run: str
    fingerprint: str
    vector_size: int
    index_type: IndexType
    search_width: int
    uri: str
    collection: str
    format: Literal[1] = 1

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the manifest of a pool folder; raises `DataError`."""
        return json_model.read(folder / MANIFEST, cls, "make a pool with python -m dim_tf.index")

    def write(self, folder: Path) -> None:
        """Writes it."""
        atomic.write_json(folder / MANIFEST, json_model.plain(self))


def fingerprint(run: str) -> str:
    """The fingerprint of the weights of a run."""
    return weights_fingerprint(pretrained.find(run)) or ""


def load_encoder(manifest: Manifest) -> Ranker:
    """The run that the pool's vectors are of; raises `CheckpointError` if it has other weights."""
    if fingerprint(manifest.run) != manifest.fingerprint:
        raise CheckpointError(
            f"{manifest.run} is missing, or its weights have changed since the pool was made; make "
            "the pool again with python -m dim_tf.index"
        )
    return Ranker.load(manifest.run)


def changing(folder: Path) -> contextlib.AbstractContextManager[None]:
    """A folder belongs to one process while it changes; raises `UsageError` if another has it."""
    return atomic.locking(folder, f"{folder}: another process uses it; wait until that has ended")


def opened_vectors(folder: Path, manifest: Manifest) -> contextlib.AbstractContextManager[Vectors]:
    """The vectors of a pool, until the end of the context; raises `PoolError` as `Vectors` does."""
    uri = manifest.uri or str(folder.absolute() / MILVUS)
    return contextlib.closing(Vectors(uri, manifest.collection))


@dataclasses.dataclass(frozen=True)
class PoolFolder:
    """An open pool.

    Args:
        manifest: Manifest. What it is.
        vectors: Vectors. Vectors, texts and fields.
        lexical: Lexical. The lexical index.
    """

    manifest: Manifest
    vectors: Vectors
    lexical: Lexical

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: str | os.PathLike) -> Iterator[Self]:
        """Opens a complete pool.

        Args:
            path: str. The folder.

        Raises:
            DataError: No pool, or an unfinished or damaged one.
            UsageError: Another process uses the pool, which is in a file.
            PoolError: As of `Vectors`.
        """
        folder = Path(path)
        manifest = Manifest.read(folder)
        with contextlib.ExitStack() as stack:
            if not manifest.uri:
                stack.enter_context(
                    atomic.locking(
                        folder,
                        f"{folder}: in use; a pool in a file belongs to one process. For several, "
                        "make it on a Milvus server with --uri http://HOST:19530",
                    )
                )
                manifest = Manifest.read(folder)  # it may have changed until then
            if manifest.state == "building" or manifest.pending:
                what = "changes" if manifest.pending else "makes"
                raise DataError(
                    f"unfinished: wait for the command that {what} it, or repeat it if it was "
                    "stopped",
                    path=folder,
                )
            lexical = Lexical.load(folder / LEXICAL)
            vectors = stack.enter_context(opened_vectors(folder, manifest))
            found = 0
            if vectors.exists():
                vectors.load()
                found = len(vectors)
            if not found == len(lexical) == manifest.replies:
                raise DataError(
                    f"damaged: {found:,} vectors and {len(lexical):,} texts, expected "
                    f"{manifest.replies:,}; make it again",
                    path=folder,
                )
            yield cls(manifest, vectors, lexical)

    def __len__(self) -> int:
        return self.manifest.replies


def check_uri(uri: str) -> None:
    """Raises `UsageError` if a text is neither empty nor the address of a server."""
    try:
        parts = urllib.parse.urlsplit(uri)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a bad port, or half of an IPv6 address
        valid = False
    if uri and not valid:
        raise UsageError(f"--uri {uri}: expected http://HOST:PORT")
