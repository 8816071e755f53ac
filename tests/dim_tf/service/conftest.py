"""A ranker that waits, and applications of the tiny ranker."""

from __future__ import annotations

import threading

import pytest
from fastapi.testclient import TestClient

from dim_tf.service.app import create_app
from tests.tiny_run import tiny_ranker


class HeldRanker:
    """The tiny ranker, whose `rank_many` waits for `gate`; `batches` are the sizes of its calls."""

    def __init__(self):
        self.gate, self.batches = threading.Event(), []

    def __getattr__(self, name):
        return getattr(tiny_ranker(), name)

    def rank_many(self, turns):
        self.batches.append(len(turns))
        assert self.gate.wait(60)
        return tiny_ranker().rank_many(turns)


@pytest.fixture
def held():
    ranker = HeldRanker()
    yield ranker
    ranker.gate.set()


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(tiny_ranker())) as opened:
        yield opened
