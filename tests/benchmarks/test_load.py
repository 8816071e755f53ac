"""What the benchmark of the service makes of the answers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import load
from dim_tf.errors import DimError


def answer(*scores):
    return {"ranking": [{"index": index, "score": score} for index, score in enumerate(scores)]}


def test_times_statuses_and_wrong_answers(monkeypatch):
    busy = (0, 503, 9.0, {"error": "busy"})
    found = [(0, 200, 0.1, answer(1.0, 2.0)), (1, 200, 0.3, answer(1.0, 2.5)), busy]
    monkeypatch.setattr(load, "_send", lambda *arguments: found)
    expected = [np.array([1.0, 2.0])] * 2
    figures = load._load(0, [], expected, clients=1, seconds=1)
    assert figures["statuses"] == {"200": 2, "503": 1}
    assert (figures["wrong"], figures["largest_difference"]) == (1, 0.5)
    assert (figures["p50"], figures["p95"]) == pytest.approx((0.2, 0.29))
    monkeypatch.setattr(load, "_send", lambda *arguments: [busy])
    with pytest.raises(DimError, match="503: 1"):
        load._load(0, [], expected, clients=1, seconds=1)
