"""The service replies from a pool."""

from __future__ import annotations

from fastapi.testclient import TestClient
from hypothesis import given, strategies as st

from dim_tf import serve
from dim_tf.cli import parser
from dim_tf.errors import PoolError
from dim_tf.retrieval.searcher import Searcher
from dim_tf.service import server
from dim_tf.service.app import create_app
from tests import fuzz
from tests.dim_tf.retrieval.turns import CONTEXT, PERSONA


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
            assert client.post("/reply", json={**turn, "top_k": 1001}).status_code == 422
            assert client.post("/reply", json={}).status_code == 200
            assert "5 replies" in client.get("/").text
            assert without.post("/reply", json=turn).status_code == 404
            monkeypatch.setattr(searcher, "retrieve", unreachable)
            answer = client.post("/reply", json=turn)
            assert (answer.status_code, "secret" in answer.text) == (503, False)
    options = ["--run", "personachat", "--pool", str(made), "--workers", "2"]
    assert parser.run(serve.main, options) == 2
    assert "--uri" in capsys.readouterr().err


def test_a_worker_opens_the_pool(pool, tmp_path, monkeypatch):
    monkeypatch.setenv(server.metrics.FOLDER, str(tmp_path))
    app = server.load_app("RUN", str(pool), "", 1, 30)
    with TestClient(app) as client:
        answer = client.post("/reply", json={"context": CONTEXT, "persona": PERSONA})
        assert len(answer.json()["ranking"]) == 5


@fuzz.counts
def test_any_request_for_a_reply_is_answered_or_refused(made, ranker, count):
    filters = st.one_of(fuzz.words, st.sampled_from(["topic == 'mood'", "id > 3", "a[0]"]))
    fields = {
        "context": st.one_of(fuzz.lists, fuzz.json_values),
        "persona": st.lists(fuzz.some, max_size=2),
        "first_stage": fuzz.numbers,
        "filter": st.one_of(filters, filters, fuzz.json_values),
    }
    with Searcher.open(made, "RUN") as searcher:
        app = create_app(ranker, searcher=searcher)
        with TestClient(app, raise_server_exceptions=False) as client:

            @fuzz.fuzz(count)
            @given(st.fixed_dictionaries({}, optional=fields).map(fuzz.as_json))
            def post(body):
                answer = client.post(
                    "/reply", content=body, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code in (200, 422), body
                assert ("ranking" in answer.json()) == (answer.status_code == 200)

            post()
