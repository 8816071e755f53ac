"""Requests and answers of the service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, strategies as st

from dim_tf.service import batcher, metrics
from dim_tf.service.app import create_app
from dim_tf.service.guard import LOG
from tests import fuzz
from tests.tiny_run import tiny_ranker

TURN = {"context": ["hello", "i like dogs"], "persona": ["i'm fine"], "candidates": ["tea", "dogs"]}


def test_answers_are_those_of_the_ranker(client):
    ranker = tiny_ranker()
    answer = client.post("/rank", json=TURN)
    assert answer.json()["ranking"] == ranker.rank(**TURN)
    assert client.post("/rank", json={**TURN, "top_k": 1}).json()["ranking"] == ranker.rank(
        **TURN, top_k=1
    )
    asked = {"context": TURN["context"], "persona": [], "candidate": "i like"}
    found, expected = client.post("/explain", json=asked).json(), ranker.explain(**asked).context
    assert found["persona"] is None
    assert (*map(tuple, found["context"]["groups"]),) == expected.groups
    np.testing.assert_allclose(found["context"]["weights"], expected.weights, atol=1e-4)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b'{"candidates": ', 422, "not JSON"),
        (b'{"candidates": ["a"], "perona": []}', 422, 'field "perona"'),
        (b'{"candidates": []}', 422, 'field "candidates": found [], expected at least 1 item'),
        (b'{"candidates": ["a", 1]}', 422, 'field "candidates[1]": found 1'),
        (b'["a"]', 422, "expected an object"),
        (b'{"candidates": ["a"], "context": null}', 422, 'field "context": found null'),
        (b'{"candidates": [" "]}', 422, 'field "candidates[0]": found an empty text'),
        (b'{"candidates": ["a"], "top_k": 0}', 422, 'field "top_k": found 0'),
        (b'{"candidates": ["a"], "persona": ["a", "b", "c"]}', 422, "found 3 profiles"),
        (b'{"candidates": ["a"], "\\ud800": 1}', 422, "\\ud800"),
        (json.dumps({"candidates": ["a"] * 1001}).encode(), 422, "1000"),
        (json.dumps({"candidates": ["a" * 1001]}).encode(), 422, "1000 characters"),
        (b"[" * 100_000, 400, "body"),
        (b"\xff", 400, "body"),
        (b" " * (2**20 + 1), 413, "1,048,576 bytes"),
        (iter([b" " * 2**20, b" "]), 413, "Too Large"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(client, body, status, named):
    answer = client.post("/rank", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert list(answer.json()) == ["error"] and named in answer.json()["error"]


@fuzz.counts
def test_any_body_is_answered_or_refused(client, count):
    bodies = st.one_of(
        fuzz.turns(fuzz.lists).map(fuzz.as_json),
        fuzz.turns(st.lists(fuzz.good, min_size=1, max_size=2)).map(fuzz.as_json),
        st.fixed_dictionaries({"context": fuzz.lists, "candidate": fuzz.some}).map(fuzz.as_json),
        fuzz.json_values.map(fuzz.as_json),
        st.binary(max_size=60),
    )

    @fuzz.fuzz(count)
    @given(bodies, st.sampled_from(["/rank", "/rank", "/explain"]))
    def post(body, path):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        if answer.status_code == 200 and path == "/explain":
            assert answer.json().keys() == {"context", "persona"}
        elif answer.status_code == 200:
            fuzz.check(answer.json()["ranking"], json.loads(body)["candidates"])
        else:
            assert answer.status_code in (400, 413, 422) and answer.json()["error"].strip()

    post()


def test_requests_that_arrive_together_are_ranked_together(held):
    turns = [{**TURN, "context": ["hello"] * n} for n in range(1, 5)]
    with TestClient(create_app(held)) as client, ThreadPoolExecutor(8) as threads:
        first = threads.submit(client.post, "/rank", json=TURN)
        until(lambda: held.batches == [1])
        others = [threads.submit(client.post, "/rank", json=turn) for turn in turns]
        until(lambda: "dim_tf_waiting_requests 4.0" in client.get("/metrics").text)
        held.gate.set()
        assert first.result().json()["ranking"] == tiny_ranker().rank(**TURN)
        for turn, other in zip(turns, others, strict=True):
            scores = [row["score"] for row in other.result().json()["ranking"]]
            expected = [row["score"] for row in tiny_ranker().rank(**turn)]
            assert scores == pytest.approx(expected, abs=1e-5)
    assert held.batches == [1, 4]


@pytest.mark.parametrize(("limit", "value"), [("TURNS_TOGETHER", 2), ("CANDIDATES_TOGETHER", 4)])
def test_a_batch_has_two_turns_and_an_explanation_is_alone(held, monkeypatch, limit, value):
    monkeypatch.setattr(batcher, limit, value)
    asked = {"context": TURN["context"], "persona": [], "candidate": "i like"}
    posts = [*[("/rank", TURN)] * 3, ("/explain", asked), ("/rank", TURN)]
    with TestClient(create_app(held)) as client, ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(client.post, "/rank", json=TURN)]
        until(lambda: held.batches == [1])
        for number, (path, body) in enumerate(posts, start=1):
            answers.append(threads.submit(client.post, path, json=body))
            waiting = f"dim_tf_waiting_requests {number}.0"
            until(lambda waiting=waiting: waiting in client.get("/metrics").text)
        held.gate.set()
        assert [answer.result().status_code for answer in answers] == [200] * 6
    assert held.batches == [1, 2, 1, 1]


def test_a_turn_that_fails_does_not_spoil_those_of_its_batch(held):
    def rank_many(turns):
        if any(turn.context == ["bad"] for turn in turns) and held.gate.is_set():
            raise RuntimeError
        return rank(turns)

    rank, held.rank_many = held.rank_many, rank_many
    with TestClient(create_app(held)) as client, ThreadPoolExecutor(8) as threads:
        threads.submit(client.post, "/rank", json=TURN)
        until(lambda: held.batches == [1])
        turns = [TURN, {**TURN, "context": ["bad"]}, TURN]
        answers = [threads.submit(client.post, "/rank", json=turn) for turn in turns]
        until(lambda: "dim_tf_waiting_requests 3.0" in client.get("/metrics").text)
        held.gate.set()
        assert [answer.result().status_code for answer in answers] == [200, 500, 200]


def test_more_than_may_wait_is_sent_away_and_what_takes_too_long_ends(held):
    with (
        TestClient(create_app(held, queue=1, time_limit=3)) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        first = threads.submit(client.post, "/rank", json=TURN)
        until(lambda: held.batches == [1])
        second = threads.submit(client.post, "/rank", json=TURN)
        until(lambda: client.get("/readyz").status_code == 503)
        third = client.post("/rank", json=TURN)
        assert "too many requests" in third.json()["error"]
        assert "no answer within 3 seconds" in first.result().json()["error"]
        for answer in (first.result(), second.result(), third):
            assert answer.status_code == 503 and answer.headers["Retry-After"]
        # Who gave up no longer waits.
        assert client.get("/readyz").status_code == client.get("/healthz").status_code == 200
        held.gate.set()
        assert client.post("/rank", json=TURN).status_code == 200


def test_a_client_that_has_gone_waits_no_longer(held):
    """Its request is neither ranked nor counted among those that wait."""
    app = create_app(held)
    body = json.dumps(TURN).encode()

    async def ask(gone):
        messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

        async def receive():
            if len(messages) == 1:
                await gone.wait()
            return messages.pop(0)

        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/rank", "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}
        await app({**scope, "state": {}}, receive, send)
        return sent[0]["status"]

    async def talk():
        gone, stays = asyncio.Event(), asyncio.Event()
        first = asyncio.ensure_future(ask(stays))
        while not held.batches:
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(ask(gone))
        while "dim_tf_waiting_requests 1.0" not in metrics.text().decode():
            await asyncio.sleep(0.01)
        gone.set()
        assert await second == 499
        held.gate.set()
        assert await first == 200

    async def run():
        async with asyncio.timeout(30), app_lifespan(app):
            await talk()

    asyncio.run(run())
    assert held.batches == [1]


@contextlib.asynccontextmanager
async def app_lifespan(app):
    """Starts an application and ends it, as a server does."""
    events = asyncio.Queue()
    answers = asyncio.Queue()
    await events.put({"type": "lifespan.startup"})
    running = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, events.get, answers.put))
    assert (await answers.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await events.put({"type": "lifespan.shutdown"})
        await running


def test_a_body_without_its_type_or_without_content_says_what_to_send(client):
    body = json.dumps(TURN).encode()
    assert "Content-Type: application/json" in client.post("/rank", content=body).json()["error"]
    sent = {"Content-Type": "application/json"}
    assert client.post("/rank", content=b"", headers=sent).json()["error"].startswith("the body is")


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_the_token_nothing_is_ranked():
    with TestClient(create_app(tiny_ranker(), token="sésame")) as client:
        for sent in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": b"Basic s\xc3\xa9"}):
            for answer in (
                client.post("/rank", json=TURN, headers=sent),
                client.post("/explain", content=b"", headers=sent),
                client.get("/metrics", headers=sent),
            ):
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        sent = {"Authorization": "Bearer sésame".encode()}
        assert client.post("/rank", json=TURN, headers=sent).status_code == 200
        assert [client.get(path).status_code for path in ("/", "/healthz", "/docs")] == [200] * 3


def test_a_failure_shows_and_logs_neither_texts_nor_paths(held, caplog):
    def fail(turns):
        raise RuntimeError(f"/secret/path: {turns[0].context}")

    held.rank_many = fail
    with TestClient(create_app(held)) as client, caplog.at_level("INFO"):
        answer = client.post("/rank?q=hello", json=TURN)
        assert client.get("/hello").status_code == 404
        assert client.get("/healthz").status_code == 200
    assert answer.status_code == 500
    assert answer.json() == {"error": "the service failed; its log says where"}
    logged = "".join(record.getMessage() for record in caplog.records if record.name == LOG.name)
    assert "RuntimeError at " in logged and "test_app.py:" in logged and "/rank 500" in logged
    assert not re.search("secret|hello|dogs|fine", logged)


def test_pages_load_nothing_from_elsewhere(client):
    page = client.get("/")
    assert "default-src 'none'; script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in client.get("/", headers={"Origin": "x"}).headers
    sources = [page.text, client.get("/docs").text]
    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        sources.append(client.get(f"/{name}").raise_for_status().text)
    assert len(sources) == 4
    assert not any("//" in address for text in sources for address in addresses(text))
    for address in addresses(sources[1]):
        assert client.get(address).status_code == 200


def addresses(text):
    return re.findall(r"""(?:src|href|url)\s*[=(:]\s*["']?([^"')>\s]+)""", text)


def test_metrics_count_requests(client):
    client.post("/rank", json=TURN)
    found = client.get("/metrics").text
    assert re.search(r'^dim_tf_requests_total{path="/rank",status="200"} \d', found, re.MULTILINE)
    assert re.search(r"^dim_tf_batch_requests_count \d", found, re.MULTILINE)
