"""Pools: searched in a file and on a server, by the commands too."""

from __future__ import annotations

import io
import json

import grpc
import numpy as np
import pytest

from dim_tf import chat, index, predict
from dim_tf.cli import parser
from dim_tf.errors import ConfigError, DataError, PoolError
from dim_tf.retrieval import build, vectors
from dim_tf.retrieval.pool_folder import PoolFolder
from dim_tf.retrieval.replies import text_id
from dim_tf.retrieval.searcher import Searcher
from tests.dim_tf.conftest import SUBJECTS
from tests.dim_tf.retrieval.turns import CONTEXT, LINES, PERSONA


def test_the_first_stage_finds_what_both_retrievers_find_and_the_run_ranks_it(
    made, encoder, ranker
):
    with Searcher.open(made, "RUN") as searcher:
        rows = searcher.reply(CONTEXT, PERSONA, top_k=None, filter="")
        few = searcher.reply(CONTEXT, PERSONA, top_k=1, first_stage=2)
        assert len(searcher.reply(CONTEXT, PERSONA, top_k=4, first_stage=1)) == 4
        with pytest.warns(UserWarning, match="your persona"):
            marked = searcher.reply(CONTEXT, [f"your persona: {text}" for text in PERSONA])
        assert marked == searcher.reply(CONTEXT, PERSONA)
        mood = searcher.reply(CONTEXT, PERSONA, filter='topic == "mood"')
        assert searcher.reply(CONTEXT, PERSONA, filter='topic == "no"') == []
        with pytest.raises(ConfigError, match="top_k"):
            searcher.reply(CONTEXT, PERSONA, top_k="5")
        for wrong in ("topic = 3", "text like '%a%b%c'"):
            with pytest.raises(DataError, match="filter"):
                searcher.reply(CONTEXT, PERSONA, filter=wrong)
    by_place = sorted(rows, key=lambda row: row["index"])
    candidates = [row["candidate"] for row in by_place]
    assert sorted(candidates) == sorted({line["text"].strip() for line in LINES})
    expected = ranker.rank(CONTEXT, PERSONA, candidates)
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    # Both retrievers, against what they compute.
    dots = encoder.encode_replies(candidates) @ encoder.encode_query(CONTEXT, PERSONA)
    dense = [row["first_stage"]["dense"] for row in by_place]
    np.testing.assert_allclose([each["score"] for each in dense], dots, atol=1e-6)
    assert [each["rank"] for each in dense] == (1 + (-dots).argsort().argsort()).tolist()
    bm25 = {row["id"]: row["first_stage"]["bm25"] for row in rows}
    # "hello" is not in the last utterance, "dogs" is in the persona.
    assert {row["candidate"] for row in rows if bm25[row["id"]]} == {
        "i like dogs",
        "tea",
        "you like tea",
    }
    assert len(few) == 1
    assert few[0]["candidate"] in candidates[:2]
    assert sorted(row["candidate"] for row in mood) == ["fine", "hello i'm fine"]
    assert {row["id"] for row in rows} >= {"dogs", "7"}


def test_a_pool_on_a_server(made, run, source, tmp_path, monkeypatch):
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    monkeypatch.setattr(vectors, "CLUSTERED", 1)
    server, database, port = start_server_in_thread(str(tmp_path / "server"), "127.0.0.1", 0)
    try:
        folder, uri = tmp_path / "pool", f"http://127.0.0.1:{port}"
        build.build(str(source), folder, str(run), uri=uri, index_type="HNSW")
        assert not (folder / "milvus.db").exists()
        with Searcher.open(folder, "RUN") as one, Searcher.open(made, "RUN") as other:
            found, expected = (each.reply(CONTEXT, PERSONA) for each in (one, other))
            # Another index may round the dot products otherwise.
            dense = [
                [row["first_stage"]["dense"].pop("score") for row in rows]
                for rows in (found, expected)
            ]
            assert found == expected
            np.testing.assert_allclose(*dense, rtol=1e-6)
            build.delete(folder, ["dogs"])
            assert "dogs" not in {row["id"] for row in one.reply(CONTEXT, PERSONA)}
    finally:
        server.stop(0)
        database.close()
    with pytest.raises(PoolError, match=uri):
        Searcher.open(folder, "RUN")


def test_a_lost_connection_is_an_error_of_the_pool(made, monkeypatch):
    class Lost(grpc.RpcError):
        def details(self):
            return "out of\nmemory"

    def lose(*arguments, **options):
        raise Lost

    with PoolFolder.open(made) as opened:
        monkeypatch.setattr(opened.vectors._client, "query", lose)
        with pytest.raises(PoolError, match="Milvus: out of memory"):
            opened.vectors.texts(["dogs"])


def test_commands_make_a_pool_and_answer_from_it(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "replies.txt").write_text("tea\nfine\n\ni like dogs\n")
    folder = str(tmp_path / "pool")
    options = ["--pool", str(tmp_path / "replies.txt"), "--run", str(run), "--out", folder]
    assert parser.run(index.main, [*options, "--index-type", "FLAT"]) == 0
    assert "3 replies" in capsys.readouterr().out
    (tmp_path / "more.txt").write_text("you like tea\n")
    add = ["--out", folder, "--add", str(tmp_path / "more.txt")]
    for kept in (options, ["--search-width", "3"], ["--delete", "x"]):
        assert parser.run(index.main, [*add, *kept]) == 2
    assert parser.run(index.main, add) == 0
    assert parser.run(index.main, ["--out", folder, "--delete", text_id("fine")]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{folder}: {n} replies" for n in (4, 3)]
    turn = ["--run", "RUN", "--context", "hello", "--candidates", folder, "--json"]
    assert parser.run(predict.main, turn) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert len(ranking) == 3
    assert ranking[0]["first_stage"]["dense"]["rank"] in (1, 2, 3)
    assert parser.run(predict.main, [*turn, "--filter", "=="]) == 2
    assert parser.run(predict.main, [*turn, "--filter", "id == 'nothere'"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == [] and "passes --filter" in said.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n"), "utf-8"))
    assert parser.run(chat.main, ["--run", "RUN", "--pool", folder]) == 0
    assert capsys.readouterr().out == f"bot> {ranking[0]['candidate']}\n"


def test_the_candidates_of_a_prepared_folder_are_a_pool(run, prepared, tmp_path):
    assert build.build(f"prepared:{prepared}", tmp_path / "pool", str(run)).replies == len(SUBJECTS)
    with PoolFolder.open(tmp_path / "pool") as pool:
        texts = {row["text"] for row in pool.vectors.rows("text")}
    assert texts == {f"i like {subject} a lot" for subject in SUBJECTS}
