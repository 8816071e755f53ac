"""Pools: built, stopped, changed, searched, in a file and on a server."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, strategies as st

from dim_tf import chat, index, predict, serve
from dim_tf.cli import parser
from dim_tf.errors import CheckpointError, DataError, PoolError, UsageError
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval import build, vectors
from dim_tf.retrieval.pool_folder import Manifest, PoolFolder
from dim_tf.retrieval.replies import read_replies
from dim_tf.retrieval.searcher import Searcher
from dim_tf.runs.run import Run
from dim_tf.service.app import create_app
from tests.dim_tf import test_fuzz
from tests.tiny_run import tiny_ranker, tiny_run

LINES = [
    {"text": "i like dogs", "id": "dogs", "topic": "animals"},
    {"text": "fine", "id": 7, "topic": "mood"},
    {"text": "tea"},
    {"text": "you like tea", "topic": "drinks"},
    {"text": " tea "},
    {"text": "hello i'm fine", "topic": "mood"},
]
CONTEXT, PERSONA = ["hello you", "you like tea ?"], ["i like dogs ."]


def starspace(path, seed) -> Run:
    run = tiny_run(path)
    vectors = np.random.default_rng(seed).normal(size=run.word_vectors.shape).astype("float32")
    return dataclasses.replace(run, model="starspace", word_vectors=vectors)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The run that encodes."""
    path = tmp_path_factory.mktemp("runs") / "starspace"
    with starspace(path, 1).creating() as new:
        new.save_best(new.build_model())
    return path


@pytest.fixture(scope="module")
def encoder(run) -> Ranker:
    return Ranker.load(run)


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    """The ranker of "RUN": a small one, which compiles fast."""
    run = starspace(Path("RUN"), 2)
    return Ranker(run, run.build_model())


@pytest.fixture(autouse=True)
def loaded(monkeypatch, run, encoder, ranker) -> None:
    """No run is loaded twice."""
    known = {str(run): encoder, "RUN": ranker}
    monkeypatch.setattr(
        Ranker, "load", lambda path, precision=None: known.get(path) or tiny_ranker()
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "replies.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


@pytest.fixture(scope="module")
def made(run, source, encoder, tmp_path_factory) -> Path:
    """A complete pool; not to be changed."""
    path = tmp_path_factory.mktemp("pools") / "pool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "load", lambda path: encoder)
        build.build(str(source), path, str(run))
    return path


@pytest.fixture
def pool(made, tmp_path) -> Path:
    """A pool that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "pool"))


def test_the_first_stage_finds_what_both_retrievers_find_and_the_run_ranks_it(
    made, encoder, ranker
):
    with Searcher.open(made, "RUN") as searcher:
        rows = searcher.reply(CONTEXT, PERSONA, top_k=None, filter="")
        few = searcher.reply(CONTEXT, PERSONA, top_k=1, first_stage=2)
        mood = searcher.reply(CONTEXT, PERSONA, filter='topic == "mood"')
        assert searcher.reply(CONTEXT, PERSONA, filter='topic == "no"') == []
        with pytest.raises(DataError, match="filter"):
            searcher.reply(CONTEXT, PERSONA, filter="topic = 3")
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


def test_a_stopped_build_goes_on_and_a_change_too(run, source, tmp_path, monkeypatch):
    source = Path(shutil.copy(source, tmp_path / "replies.jsonl"))
    store, calls = build._store, []

    def stopping(vectors, ranker, batch, replace):
        store(vectors, ranker, batch, replace)
        calls.append(len(batch))
        if len(calls) == 2:  # stored, but not yet noted
            raise KeyboardInterrupt

    monkeypatch.setattr(build, "BATCH", 2)
    monkeypatch.setattr(build, "_store", stopping)
    folder = tmp_path / "pool"
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    for refused in (
        lambda: Searcher.open(folder, "RUN"),
        lambda: build.add(folder, str(source)),
        lambda: build.build(str(source), folder, str(run), index_type="FLAT"),
    ):
        with pytest.raises((DataError, UsageError), match="unfinished"):
            refused()
    text = source.read_text()
    source.write_text(text + '{"text": "new"}\n')
    with pytest.raises(UsageError, match=r"unfinished.*digest"):
        build.build(str(source), folder, str(run))
    source.write_text(text)
    assert build.build(str(source), folder, str(run)).replies == 5
    assert calls == [2, 2, 2, 1]
    calls[:] = [0]
    with pytest.raises(KeyboardInterrupt):
        build.add(folder, str(source))
    with pytest.raises(DataError, match="unfinished"):
        Searcher.open(folder, "RUN")
    with pytest.raises(UsageError, match="repeat --add"):
        build.delete(folder, ["dogs"])
    assert build.add(folder, str(source)).replies == 5


def test_what_a_build_stored_that_noted_nothing_is_not_kept(run, source, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        store(*arguments, **options)
        raise KeyboardInterrupt

    store, folder, other = build._store, tmp_path / "pool", tmp_path / "other.txt"
    monkeypatch.setattr(build, "_store", stop)
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    monkeypatch.setattr(build, "_store", store)
    other.write_text("hello\nyou like dogs\n")
    assert build.build(str(other), folder, str(run)).replies == 2
    with PoolFolder.open(folder) as opened:
        assert {row["text"] for row in opened.vectors.rows("text")} == {"hello", "you like dogs"}


def test_a_build_whose_vectors_were_lost_begins_again(run, source, tmp_path, monkeypatch):
    def stopping(vectors, ranker, batch, replace):
        store(vectors, ranker, batch, replace)
        if not replace:  # the second batch
            raise KeyboardInterrupt

    store, folder = build._store, tmp_path / "pool"
    monkeypatch.setattr(build, "BATCH", 2)
    monkeypatch.setattr(build, "_store", stopping)
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    assert Manifest.read(folder).lines
    shutil.rmtree(folder / "milvus.db")
    monkeypatch.setattr(build, "_store", store)
    assert build.build(str(source), folder, str(run)).replies == 5


def test_replies_are_added_replaced_and_deleted(pool, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text('{"text": "i like tea", "id": "dogs"}\n{"text": "dogs"}\n')
    assert build.add(pool, str(more)).replies == 6
    assert build.delete(pool, ["7"]).replies == 5
    with pytest.raises(UsageError, match="nothere"):
        build.delete(pool, ["nothere"])
    with pytest.raises(DataError, match="quotes"):
        build.delete(pool, ["a'] or id not in ['"])
    with Searcher.open(pool, "RUN") as searcher:
        rows = {row["id"]: row for row in searcher.reply(CONTEXT, PERSONA, top_k=None)}
        assert len(searcher) == len(rows) == 5
        assert "7" not in rows
        assert rows["dogs"]["candidate"] == "i like tea"
        assert rows["dogs"]["first_stage"]["bm25"]
        # The file belongs to one process, and is free after it.
        with pytest.raises(UsageError, match="--uri"):
            Searcher.open(pool, "RUN")
    with pytest.raises(UsageError, match="nothing"):
        build.delete(pool, list(rows))


def test_what_is_no_pool_is_refused(pool, run, source, tmp_path, encoder):
    texts, wordless = tmp_path / "texts.jsonl", tmp_path / "wordless"
    texts.write_text('{"text": "tea", "id": "tea"}\n{"text": "?"}\n')
    build.build(str(texts), wordless, str(run))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n \n")
    with pytest.raises(DataError, match=r"texts\.txt.*no reply"):
        build.build(str(texts), tmp_path / "new", str(run))
    texts.write_text("?\n")
    with pytest.raises(DataError, match="no reply has a word"):
        build.build(str(texts), tmp_path / "marks", str(run))
    with pytest.raises(UsageError, match="give a file"):
        build.build("/dev/null", tmp_path / "stream", str(run))
    with pytest.raises(UsageError, match="dual encoder"):
        build.build(str(source), tmp_path / "dim", "DIM")
    with pytest.raises(UsageError, match="exists"):
        build.build(str(source), pool, str(run))
    with pytest.raises(UsageError, match="something else"):
        build.build(str(source), tmp_path, str(run))
    for uri in ("localhost:19530", "http://", "http://h:port", "http://h:99999", "http://[::1"):
        with pytest.raises(UsageError, match="--uri"):
            build.build(str(source), tmp_path / "new", str(run), uri=uri)
    for line in (
        '{"text": 3}',
        '{"id": "a"}',
        '{"text": "a", "id": []}',
        '{"text": "a", "vector": 1}',
        '{"text": "a", "id": "it\'s"}',
        '{"text": "a", "id": "\\\\"}',
        '{"text": "a", "id": "\\ud800"}',
        '{"text": "a", "topic": "\\ud800"}',
        '{"text": "a", "\\ud800": 1}',
        f'{{"text": "a", "topic": [1, {{"n": {2**63}}}]}}',
        f'{{"text": "a", "topic": "{"x" * 65_536}"}}',
    ):
        source = tmp_path / "bad.jsonl"
        source.write_text(f'{{"text": "tea"}}\n{line}\n')
        with pytest.raises(DataError, match=r"bad\.jsonl:2"):
            list(read_replies(str(source)))
    source.write_text('{"text": "tea", "id": 1}\n{"text": "fine", "id": "1"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:2.*id"):
        build.add(pool, str(source))
    with pytest.raises(DataError, match="no reply has a word"):
        build.delete(wordless, ["tea"])
    for unchanged in (pool, wordless):
        with PoolFolder.open(unchanged):
            pass
    manifest = json.loads((pool / "manifest.json").read_text())
    for name, value, error in (
        ("fingerprint", "0" * 64, CheckpointError),
        ("replies", 9, DataError),
        ("index_type", "TREE", DataError),
    ):
        (pool / "manifest.json").write_text(json.dumps({**manifest, name: value}))
        with pytest.raises(error):
            Searcher.open(pool, "RUN")
    (pool / "manifest.json").write_text(json.dumps(manifest))
    (pool / "bm25" / "params.index.json").write_text("{")
    with pytest.raises(DataError, match="bm25"):
        Searcher.open(pool, "RUN")


def test_commands_make_a_pool_and_answer_from_it(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "replies.txt").write_text("tea\nfine\n\ni like dogs\n")
    folder = str(tmp_path / "pool")
    options = ["--pool", str(tmp_path / "replies.txt"), "--run", str(run), "--out", folder]
    assert parser.run(index.main, [*options, "--index-type", "FLAT"]) == 0
    assert parser.run(index.main, [*options, "--add", "more.txt"]) == 2
    assert "3 replies" in capsys.readouterr().out
    turn = ["--run", "RUN", "--context", "hello", "--candidates", folder, "--json"]
    assert parser.run(predict.main, turn) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert len(ranking) == 3
    assert ranking[0]["first_stage"]["dense"]["rank"] in (1, 2, 3)
    assert parser.run(predict.main, [*turn, "--filter", "=="]) == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n"), "utf-8"))
    assert parser.run(chat.main, ["--run", "RUN", "--pool", folder]) == 0
    assert capsys.readouterr().out == f"bot> {ranking[0]['candidate']}\n"


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


def unreachable(*arguments):
    raise PoolError("http://secret:19530: Milvus: no answer")


def test_the_service_replies_from_a_pool(made, ranker, monkeypatch, capsys):
    with Searcher.open(made, "RUN") as searcher:
        app = create_app(ranker, searcher=searcher)
        with TestClient(app) as client, TestClient(create_app(ranker)) as without:
            turn = {"context": CONTEXT, "persona": PERSONA}
            answer = client.post("/reply", json={**turn, "top_k": 4})
            assert answer.json()["ranking"] == searcher.reply(**turn, top_k=4)
            answer = client.post("/reply", json={**turn, "filter": "topic = 3"})
            assert (answer.status_code, "milvus.db" in answer.text) == (422, False)
            assert client.post("/reply", json={**turn, "first_stage": 0}).status_code == 422
            assert client.post("/reply", json={}).status_code == 200
            assert "5 replies" in client.get("/").text
            assert without.post("/reply", json=turn).status_code == 404
            monkeypatch.setattr(searcher, "retrieve", unreachable)
            answer = client.post("/reply", json=turn)
            assert (answer.status_code, "secret" in answer.text) == (503, False)
    options = ["--run", "personachat-subset", "--pool", str(made), "--workers", "2"]
    assert parser.run(serve.main, options) == 2
    assert "--uri" in capsys.readouterr().err


@test_fuzz.counts
def test_any_request_for_a_reply_is_answered_or_refused(made, ranker, count):
    filters = st.one_of(test_fuzz.words, st.sampled_from(["topic == 'mood'", "id > 3", "a[0]"]))
    fields = {
        "context": st.one_of(test_fuzz.lists, test_fuzz.json_values),
        "persona": st.lists(test_fuzz.some, max_size=2),
        "first_stage": test_fuzz.numbers,
        "filter": st.one_of(filters, filters, test_fuzz.json_values),
    }
    with Searcher.open(made, "RUN") as searcher:
        app = create_app(ranker, searcher=searcher)
        with TestClient(app, raise_server_exceptions=False) as client:

            @test_fuzz.fuzz(count)
            @given(st.fixed_dictionaries({}, optional=fields).map(test_fuzz.as_json))
            def post(body):
                answer = client.post(
                    "/reply", content=body, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code in (200, 422), body
                assert ("ranking" in answer.json()) == (answer.status_code == 200)

            post()


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
            assert found == expected
            build.delete(folder, ["dogs"])
            assert "dogs" not in {row["id"] for row in one.reply(CONTEXT, PERSONA)}
    finally:
        server.stop(0)
        database.close()
    with pytest.raises(PoolError, match=uri):
        Searcher.open(folder, "RUN")
