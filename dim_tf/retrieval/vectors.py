"""The vectors, texts and fields of a pool, in Milvus: a file of Milvus Lite, or a server."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from dim_tf.errors import DataError, PoolError, UsageError
from dim_tf.retrieval.replies import ID_BYTES, TEXT_BYTES, Reply

TOKEN = "DIM_TF_MILVUS_TOKEN"
IndexType = Literal["IVF_SQ8", "HNSW", "FLAT"]
# Index type -> what it is built with, and the name of its search width.
INDEX_TYPES: dict[IndexType, tuple[dict[str, int], str]] = {
    "IVF_SQ8": ({"nlist": 512}, "nprobe"),
    "HNSW": ({"M": 16, "efConstruction": 200}, "ef"),
    "FLAT": ({}, ""),
}
# Fewer replies are searched exactly: there is little to gain, and an index would miss some.
CLUSTERED = 10_000
PAGE = 10_000
# A server that has to wait for changes of the last seconds takes 0.2 s longer for a search, and
# one that hangs must not stop a service.
TIMEOUT_S = 10
READING = {"consistency_level": "Bounded", "timeout": TIMEOUT_S}


class Vectors:
    """A collection of replies in Milvus, searched by the dot product of their vectors.

    A server that asks for a token gets that of the variable DIM_TF_MILVUS_TOKEN.

    Args:
        uri: str. `http://HOST:19530` of a server, or the path of a Milvus Lite database (`.db`).
        collection: str. The name of the collection.

    Raises:
        UsageError: Milvus is not installed.
        PoolError: Milvus reports an error: no server answers, the file is damaged, ...
    """

    def __init__(self, uri: str, collection: str) -> None:
        self._uri, self._name = uri, collection
        try:
            with _logging_unchanged():
                import grpc
                import pymilvus
                from milvus_lite.server_manager import server_manager_instance
        except ImportError as error:
            raise missing(error.name) from None
        # It logs each error with a traceback, and raises it too.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._milvus, self._grpc, self._files = pymilvus, grpc, server_manager_instance
        token = os.environ.get(TOKEN, "")
        # Milvus Lite builds an index within a call, and drops a client that pings meanwhile.
        options = {"grpc.keepalive_time_ms": 2**31 - 1} if self.is_local else {}
        with self._errors():
            self._client = pymilvus.MilvusClient(uri, token=token, grpc_options=options)

    @property
    def is_local(self) -> bool:
        """Whether the collection is in a file."""
        return "://" not in self._uri

    def close(self) -> None:
        """Closes the connection, and the file."""
        self._client.close()
        if self.is_local:
            self._files.release_server(self._uri)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises the errors of Milvus as `PoolError`s of one line."""
        try:
            yield
        except self._milvus.MilvusException as error:
            raise PoolError(f"{self._uri}: Milvus: {_line(error.message)}") from None
        except self._grpc.RpcError as error:  # pymilvus lets some through
            raise PoolError(f"{self._uri}: Milvus: {_line(str(error.details()))}") from None

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method of the client on the collection."""
        with self._errors():
            return getattr(self._client, name)(self._name, *arguments, **options)

    def create(self, size: int, afresh: bool) -> None:
        """Makes the collection, for vectors [size]; a new one if `afresh`."""
        if self.exists():
            if not afresh:
                return
            self._call("drop_collection")
        kinds = self._milvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", kinds.VARCHAR, is_primary=True, max_length=ID_BYTES)
        schema.add_field("text", kinds.VARCHAR, max_length=TEXT_BYTES)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=size)
        self._call("create_collection", schema=schema, consistency_level="Strong")

    def exists(self) -> bool:
        """Whether the collection exists."""
        return bool(self._call("has_collection"))

    def build_index(self, index_type: str) -> None:
        """Builds the index of what has been put, and makes the collection ready for searches."""
        self._call("flush")
        if self._call("get_collection_stats")["row_count"] < CLUSTERED:
            index_type = "FLAT"
        built = self._call("list_indexes")
        if built and self._call("describe_index", built[0])["index_type"] != index_type:
            self._call("release_collection")
            self._call("drop_index", built[0])
            built = []
        if not built:
            params = self._client.prepare_index_params()
            built_with, _ = INDEX_TYPES[index_type]
            params.add_index("vector", index_type, metric_type="IP", params=built_with)
            self._call("create_index", params)
        self.load()

    def load(self) -> None:
        """Makes the collection ready for searches."""
        self._call("load_collection")

    def put(self, replies: Sequence[Reply], vectors: np.ndarray, replace: bool) -> None:
        """Stores replies; `replace` if the collection may have some of their ids."""
        rows = [
            {**reply.fields, "id": reply.id, "text": reply.text, "vector": vector}
            for reply, vector in zip(replies, vectors, strict=True)
        ]
        self._call("upsert" if replace else "insert", rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Removes replies; unknown ids are ignored."""
        self._call("delete", ids=list(ids))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that the collection has."""
        pages = (ids[first : first + PAGE] for first in range(0, len(ids), PAGE))
        return {row["id"] for page in pages for row in self._call("query", ids=list(page))}

    def __len__(self) -> int:
        [row] = self._call("query", filter="", output_fields=["count(*)"])
        return int(row["count(*)"])

    def texts(self, ids: Iterable[str]) -> dict[str, str]:
        """The texts of replies, by id."""
        rows = self._call("query", ids=list(ids), output_fields=["id", "text"], **READING)
        return {row["id"]: row["text"] for row in rows}

    def rows(self, *fields: str, expression: str = "") -> Iterator[dict[str, Any]]:
        """Streams these fields of all replies, or of those that pass a filter.

        Raises:
            DataError: The filter cannot be read.
            PoolError: As of the class.
        """
        if self.is_local and expression.count("%") > 2 and re.search(r"\blike\b", expression, re.I):
            # Milvus Lite matches it in this process by backtracking, perhaps for hours.
            message = "found like with more than two %, expected at most two for a pool in a file"
            raise DataError(message, field="filter")
        with self._errors():
            try:
                pages = self._client.query_iterator(
                    self._name,
                    PAGE,
                    filter=expression,
                    output_fields=list(fields),
                    # A build may wait; a service filters.
                    timeout=TIMEOUT_S if expression else None,
                )
            except self._milvus.MilvusException as error:
                if not expression:
                    raise
                self.exists()  # raises if it is not the filter
                raise DataError(_line(error.message), field="filter") from None
        with contextlib.closing(pages), self._errors():
            while page := pages.next():
                yield from page

    def search(
        self, query: np.ndarray, count: int, index_type: str, width: int, expression: str = ""
    ) -> list[tuple[str, float]]:
        """The nearest replies to a vector [d]: ids and dot products, best first."""
        width = max(width, count) if index_type == "HNSW" else width  # the neighbours it keeps
        name = INDEX_TYPES[index_type][1]
        [hits] = self._call(
            "search",
            data=[query.tolist()],
            anns_field="vector",
            limit=count,
            filter=expression,
            search_params={"params": {name: width}} if name else {},
            **READING,
        )
        return [(hit["id"], float(hit["distance"])) for hit in hits]


def _line(message: str) -> str:
    return " ".join(message.split())


@contextlib.contextmanager
def _logging_unchanged() -> Iterator[None]:
    """Without this the import of pymilvus closes all handlers that the program logs to."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure


def missing(package: str) -> UsageError:
    """The error for a package that is not installed."""
    return UsageError(
        f"a pool folder needs {package}: python -m pip install --editable '.[retrieve]'"
    )
