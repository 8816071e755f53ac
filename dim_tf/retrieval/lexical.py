"""The lexical index of a pool: BM25 over the words of its replies."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from dim_tf.errors import DataError
from dim_tf.io import atomic
from dim_tf.retrieval.vectors import missing

IDS = "ids.npz"
_WORD = re.compile(r"\w\w")  # as bm25s splits texts


class Lexical:
    """BM25 over the words of replies, in memory.

    Args:
        ids: bytes [N]. The ids of the replies, in UTF-8.
        index: bm25s.BM25. The index of their texts, in the same order.
    """

    def __init__(self, ids: np.ndarray, index: Any) -> None:
        self._ids, self._index = ids, index

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def build(cls, rows: Iterable[dict[str, str]]) -> Self:
        """The index of rows with `id` and `text`; raises `DataError` if there is no word."""
        bm25s, ids, texts = _bm25s(), [], []
        for row in rows:
            ids.append(row["id"].encode())
            texts.append(row["text"])
        tokens = bm25s.tokenize(texts, stopwords=None, show_progress=False)
        if not any(tokens.ids):  # no text has a word, see `has_word`
            raise DataError("no reply has a word of two letters or more")
        index = bm25s.BM25()
        index.index(tokens, show_progress=False)
        return cls(np.array(ids), index)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the index as a folder, or replaces it."""
        with atomic.creating_folder(folder, replace=True) as new:
            self._index.save(new, show_progress=False)
            atomic.write_npz(new / IDS, {"ids": self._ids})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Opens what `save` wrote; raises `DataError` if it is missing or damaged."""
        bm25s = _bm25s()
        ids = atomic.read_npz(folder / IDS).get("ids")
        try:
            index = bm25s.BM25.load(folder)
            whole = index.scores["num_docs"] == len(ids)
        except Exception as error:  # JSON, numpy, files: each names damage in its own way
            raise DataError(f"damaged ({error})", path=folder) from None
        if not whole:
            raise DataError("damaged: ids and texts differ in number", path=folder)
        return cls(ids, index)

    def search(
        self, query: str, count: int, only: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """The replies that share words with a text, among `only`: ids and scores, best first."""
        words = _bm25s().tokenize([query], stopwords=None, return_ids=False, show_progress=False)[0]
        scores = self._index.get_scores(words) if words else np.zeros(len(self), "float32")
        if only is not None:
            # Not of the dtype of `self._ids`, which would cut an id that was added since.
            ids = np.array(sorted(each.encode() for each in only) or [b""])
            scores = np.where(np.isin(self._ids, ids), scores, 0)
        count = min(count, len(self))
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(self._ids[each].decode(), float(scores[each])) for each in best if scores[each]]


def has_word(text: str) -> bool:
    """Whether BM25 can find a text: it has a word of two letters or more."""
    return bool(_WORD.search(text))


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError:
        raise missing("bm25s") from None
    return bm25s
