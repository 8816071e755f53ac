"""The collection of vectors in Milvus."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from dim_tf.retrieval import vectors
from dim_tf.retrieval.replies import Reply


@pytest.mark.parametrize("index_type", ["IVF_SQ8", "HNSW"])
def test_few_replies_are_searched_exactly_and_many_by_the_index(tmp_path, monkeypatch, index_type):
    monkeypatch.setattr(vectors, "CLUSTERED", 300)
    rows = np.random.default_rng(1).normal(size=(400, 8)).astype("float32")
    query = rows[0]
    ids = [str(number) for number in range(len(rows))]

    def put(some: range) -> None:
        replies = [Reply(ids[each], "a text", {}) for each in some]
        collection.put(replies, rows[some.start : some.stop], replace=False)
        collection.build_index(index_type)

    def nearest(count: int) -> None:
        found = collection.search(query, 5, index_type, 80)
        expected = np.argsort(-(rows[:count] @ query))[:5]
        assert [each for each, _ in found] == [ids[each] for each in expected]
        np.testing.assert_allclose(
            [score for _, score in found], rows[expected] @ query, rtol=exact[built()]
        )

    def built() -> str:
        return collection._call("describe_index", "vector")["index_type"]

    exact = {"FLAT": 1e-6, "HNSW": 1e-6, "IVF_SQ8": 0.02}
    with contextlib.closing(vectors.Vectors(str(tmp_path / "a.db"), "replies")) as collection:
        collection.create(8, afresh=True)
        put(range(200))
        assert built() == "FLAT"
        nearest(200)
        put(range(200, 400))
        assert built() == index_type
        nearest(400)
        collection.delete(ids[200:])
        collection.build_index(index_type)
        assert built() == "FLAT"
        nearest(200)


def test_a_server_gets_the_token(monkeypatch):
    import pymilvus

    given = []
    monkeypatch.setenv("DIM_TF_MILVUS_TOKEN", "root:secret")
    monkeypatch.setattr(pymilvus, "MilvusClient", lambda uri, **options: given.append(options))
    vectors.Vectors("http://127.0.0.1:1", "replies")
    assert given[0]["token"] == "root:secret"
