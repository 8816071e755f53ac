"""From a pool to a reply: a first stage that searches it, then a ranker."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, Self

from dim_tf.data.text import without_mark
from dim_tf.ranking.ranker import Ranker, check_count
from dim_tf.retrieval.pool_folder import PoolFolder, load_encoder

TOP_K, FIRST_STAGE = 10, 200
# Reciprocal rank fusion: a reply scores the sum of 1 / (RRF + rank) over the retrievers.
RRF = 60


class Searcher:
    """Finds replies in a pool and ranks them.

    The first stage joins the nearest vectors and the best texts by BM25; the run then ranks them.
    Open one with `Searcher.open`; close it, or use it as a context manager.

    Args:
        ranker: Ranker. Ranks what the first stage finds.
        encoder: Ranker. Encodes queries as the pool's replies were.
        pool: PoolFolder. The open pool.

    Reference:
        Cormack et al., "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
        Methods", SIGIR 2009.
    """

    def __init__(self, ranker: Ranker, encoder: Ranker, pool: PoolFolder) -> None:
        self.ranker, self.encoder, self.pool = ranker, encoder, pool
        self._stack = contextlib.ExitStack()

    @classmethod
    def open(
        cls,
        pool: str | os.PathLike,
        run: str | os.PathLike,
        precision: str | None = None,
    ) -> Self:
        """Opens a pool folder and a run.

        Args:
            pool: str. The folder that `python -m dim_tf.index` made.
            run: str. The run that ranks: a folder or a pretrained model.
            precision: str. As of `Ranker.load`.

        Raises:
            DataError: No pool, or an unfinished or damaged one.
            CheckpointError: A run cannot be opened, or the pool's has other weights by now.
            UsageError: Another process uses the pool.
            PoolError: Milvus cannot be reached, or reports an error.
        """
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(PoolFolder.open(pool))
            ranker = Ranker.load(run, precision)
            searcher = cls(ranker, load_encoder(opened.manifest), opened)
            searcher._stack = stack.pop_all()
        return searcher

    def close(self) -> None:
        """Closes the pool."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.pool)

    def reply(
        self,
        context: Sequence[str] = (),
        persona: Sequence[str] = (),
        top_k: int | None = TOP_K,
        first_stage: int = FIRST_STAGE,
        filter: str = "",
    ) -> list[dict[str, Any]]:
        """The best replies of the pool to a context, best first.

        Args:
            context: list of str. As of `Ranker.rank`.
            persona: list of str. As of `Ranker.rank`; it takes part in the search too.
            top_k: int. Rows to return; None for all of the first stage.
            first_stage: int. Replies that the first stage finds and the run ranks; `top_k` if that
                is more.
            filter: str. A Milvus expression over the replies' fields, such as
                `topic == "food" and year > 2020`.

        Returns:
            list of dict. Rows of `Ranker.rank`, where `index` is the place in the first stage, with
            `id` and `first_stage`: for `dense` and `bm25` the `rank` (from 1) and `score` of the
            reply, or None if the retriever did not find it. Empty if no reply passes the filter.

        Raises:
            DataError, ConfigError: As in `Ranker.rank`, and for a filter that cannot be read.
            PoolError: As in `open`.
        """
        turn = self.ranker.turn(context, persona, ["-"])
        if top_k is not None:
            check_count("top_k", top_k)
        check_count("first_stage", first_stage)
        count = max(first_stage, top_k or 0)
        # The run may read fewer profiles than take part in the search.
        profiles = list(map(without_mark, persona))
        found = fuse(self.retrieve(turn.context, profiles, count, filter), count)
        texts = self.pool.vectors.texts(found) if found else {}
        # A reply on a server may have been deleted since the pool was opened.
        ids = [each for each in found if each in texts]
        if not ids:
            return []
        rows = self.ranker.rank(turn.context, turn.persona, [texts[each] for each in ids], top_k)
        for row in rows:
            row["id"] = ids[row["index"]]
            row["first_stage"] = found[row["id"]]
        return rows

    def retrieve(
        self,
        context: Sequence[str],
        persona: Sequence[str],
        count: int,
        filter: str = "",
    ) -> dict[str, list[tuple[str, float]]]:
        """What each retriever finds: `count` ids with their scores, best first."""
        pool, manifest = self.pool, self.pool.manifest
        only = None
        if filter:
            only = {row["id"] for row in pool.vectors.rows("id", expression=filter)}
        query = self.encoder.encode_query(context, persona[: self.encoder.profiles_read])
        size = min(count, len(pool))
        return {
            "dense": pool.vectors.search(
                query, size, manifest.index_type, manifest.search_width, filter
            ),
            "bm25": pool.lexical.search(lexical_query(context, persona), size, only),
        }


def lexical_query(context: Sequence[str], persona: Sequence[str]) -> str:
    """The text whose words BM25 looks up: the last utterance and the persona."""
    return " ".join([*context[-1:], *persona])


def fuse(
    results: dict[str, list[tuple[str, float]]], count: int
) -> dict[str, dict[str, dict[str, float] | None]]:
    """Joins the ids and scores that retrievers found, by reciprocal ranks.

    >>> found = fuse({"dense": [("a", 0.9), ("b", 0.8)], "bm25": [("b", 7.0)]}, count=2)
    >>> list(found), found["b"]["bm25"], found["a"]["bm25"]
    (['b', 'a'], {'rank': 1, 'score': 7.0}, None)
    """
    places = {
        name: {each: {"rank": n, "score": score} for n, (each, score) in enumerate(hits, start=1)}
        for name, hits in results.items()
    }
    fused: dict[str, float] = {}
    for ranks in places.values():
        for each, place in ranks.items():
            fused[each] = fused.get(each, 0) + 1 / (RRF + place["rank"])
    best = sorted(fused, key=lambda each: -fused[each])[:count]
    return {each: {name: ranks.get(each) for name, ranks in places.items()} for each in best}
