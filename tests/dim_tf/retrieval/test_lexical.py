"""BM25: what a filter leaves."""

from __future__ import annotations

from dim_tf.retrieval.lexical import Lexical


def test_an_id_that_was_added_since_is_not_taken_for_a_shorter_one():
    index = Lexical.build({"id": each, "text": "i like tea"} for each in ("100", "7"))
    assert index.search("tea", 9, only=["1000"]) == []
    assert [each for each, _ in index.search("tea", 9, only=["1000", "7"])] == ["7"]
    assert index.search("tea", 9, only=[]) == []
