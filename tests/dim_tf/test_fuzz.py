"""Random input to the ranker: an answer or a clear error, whatever it is.

By default a few hundred inputs, the same each time. `--slow` makes it 2,000, new ones each time:

    ./tests/run.sh --slow -k fuzz
"""

from __future__ import annotations

import json
import math
import warnings

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from dim_tf import predict
from dim_tf.cli import parser
from dim_tf.errors import DimError
from dim_tf.ranking.ranker import Ranker
from tests.tiny_run import WORDS, tiny_ranker

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


@counts
def test_any_turn_is_ranked_or_refused(count):
    @fuzz(count)
    @given(turns(st.one_of(lists, lists, lists, json_values)), numbers)
    def rank(turn, top_k):
        try:
            ranking = tiny_ranker().rank(**turn, top_k=top_k)
        except DimError as error:
            assert str(error).strip()
        else:
            check(ranking, turn["candidates"], top_k)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rank()


def as_json(value) -> bytes:
    return json.dumps(value).encode()


lines = st.one_of(
    turns(lists).map(as_json),
    st.tuples(turns(lists), st.dictionaries(words, json_values, max_size=2)).map(
        lambda pair: as_json({**pair[1], **pair[0]})
    ),
    st.dictionaries(st.one_of(words, st.sampled_from(predict.FIELDS)), json_values).map(as_json),
    json_values.map(as_json),
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b" ").replace(b"\r", b" ")),
)


@counts
def test_any_line_becomes_a_ranking_or_an_error(count, tmp_path, monkeypatch):
    monkeypatch.setattr(Ranker, "load", lambda path, precision: tiny_ranker())
    source, out = tmp_path / "turns.jsonl", tmp_path / "rankings.jsonl"

    @fuzz(count)
    @given(st.lists(lines, max_size=6), st.one_of(st.none(), st.integers(1, 9)))
    def rank(found, top_k):
        assume(not b"".join(found).lstrip().startswith(b"["))  # an array is read as its elements
        source.write_bytes(b"\n".join(found))
        options = ["--run", "RUN", "--input", str(source), "--output", str(out)]
        options += [] if top_k is None else ["--top-k", str(top_k)]
        status = parser.run(predict.main, options)
        wanted = [line for line in found if line.strip()]
        if not wanted:
            assert status == 2
            return
        answers = out.read_bytes().removesuffix(b"\n").split(b"\n")
        assert len(answers) == len(wanted)
        bad = 0
        for line, answer in zip(wanted, answers, strict=True):
            result = json.loads(answer, parse_constant=pytest.fail)
            if "ranking" in result:
                check(result["ranking"], json.loads(line)["candidates"], top_k)
            else:
                bad += 1
                assert result["error"].strip()
        assert status == (1 if bad else 0)

    rank()
