"""Random turns and JSON values, the settings of a test of them, and what a ranking must be."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st

from tests.tiny_run import WORDS

FEW, ALL = 40, 1000
counts = pytest.mark.parametrize("count", [FEW, pytest.param(ALL, marks=pytest.mark.slow)])

# Half surrogates, control characters and what is not assigned are characters like any other here.
characters = st.characters(categories=None, codec=None)
words = st.one_of(st.sampled_from(WORDS), st.text(characters, max_size=30))
texts = st.one_of(
    st.text(characters, max_size=60),
    st.lists(words, max_size=40).map(" ".join),
    st.builds(lambda text, times: text * times, st.text(characters, max_size=9), st.just(3000)),
)
# Most are good, so that many whole turns are.
good = st.lists(st.sampled_from([*WORDS, "汉字", "😀", "\x00", "\u2028x"]), min_size=1).map(
    " ".join
)
some = st.one_of(good, good, good, texts)
lists = st.one_of(
    st.lists(some, max_size=4),
    st.lists(good, max_size=40),
    st.lists(good, min_size=99, max_size=130),
)
numbers = st.one_of(st.none(), st.integers(-1, 50))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


def turns(fields):
    return st.fixed_dictionaries({name: fields for name in ("context", "persona", "candidates")})


def fuzz(count):
    """The settings of a test of so many inputs."""
    few = count == FEW
    return settings(
        max_examples=count,
        derandomize=few,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate] if few else list(Phase),
        suppress_health_check=list(HealthCheck),
    )


def check(ranking, candidates, top_k=None):
    """Whether a ranking is whole."""
    count = min(len(candidates), top_k or len(candidates))
    assert [row["rank"] for row in ranking] == list(range(1, count + 1))
    assert len({row["index"] for row in ranking}) == count
    assert all(row["candidate"] == candidates[row["index"]] for row in ranking)
    scores = [row["score"] for row in ranking]
    assert all(map(math.isfinite, scores))
    assert scores == sorted(scores, reverse=True)
    total = sum(row["probability"] for row in ranking)
    assert total <= 1 + 1e-9
    if count == len(candidates):
        assert total == pytest.approx(1)


def as_json(value) -> bytes:
    return json.dumps(value).encode()
