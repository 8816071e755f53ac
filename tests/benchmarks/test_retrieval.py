from __future__ import annotations

import json

import numpy as np

from benchmarks import retrieval
from dim_tf import index
from dim_tf.cli import parser
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval import vectors


def test_figures(fast_run, prepared, tmp_path, monkeypatch, capsys):
    run = fast_run

    ranker = Ranker.load(run.path)  # compiled once for all
    monkeypatch.setattr(Ranker, "load", lambda *arguments: ranker)

    def here(command):
        name, *options = command
        assert name == "dim_tf.index" and parser.run(index.main, options) == 0
        return 7

    monkeypatch.setattr(retrieval, "_peak_of", here)
    monkeypatch.setattr(vectors, "CLUSTERED", 1)
    monkeypatch.setattr(retrieval, "chat_memory", lambda run, pool, turns: len(turns))
    path = tmp_path / "figures.json"
    options = ["--prepared", prepared, "--run", run.path, "--encoder", run.path, "--json", path]
    options += ["--split", "train", "--turns", "5", "--replies", "250"]
    assert parser.run(retrieval.main, list(map(str, options))) == 0
    figures = json.loads(path.read_text())
    assert (figures["turns"], figures["replies"]) == (5, 250)
    assert figures["build"]["memory"] == 7
    assert figures["nearest"] > 0.9
    assert figures["chat"] == {"memory": 5, "server": 0}
    for recall in figures["recall"].values():
        assert 0 <= recall["10"] <= recall["100"] <= recall["200"] <= 1
    # The run ranks as the retriever that it is, and the first stage keeps most of the pool.
    assert figures["recall"]["fused"]["200"] > 0.5
    assert 0 <= figures["end"]["ranked"]["hits@1"] <= figures["end"]["ranked"]["MRR@10"] <= 1
    assert {"dense", "bm25", "exact", "reply"} < set(figures["seconds"])
    assert f"dense finds {figures['nearest']:.3f}" in capsys.readouterr().out


def test_the_pool_is_filled_with_distinct_sentences():
    texts = ["a b c d", "e f", "g"]
    found = list(retrieval.filled(texts, 6))
    assert found[:3] == texts
    assert len(found) == len(set(found)) == 6
    np.testing.assert_array_equal(found, list(retrieval.filled(texts, 6)))
