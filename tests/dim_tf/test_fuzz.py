"""Random input to the ranker: an answer or a clear error, whatever it is.

By default 40 inputs a test, the same each time. `--slow` makes it 1,000, new ones each time:

    ./tests/run.sh --slow -k fuzz
"""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import assume, given, strategies as st

from dim_tf import predict
from dim_tf.cli import parser
from dim_tf.errors import DimError
from dim_tf.ranking.ranker import Ranker
from tests import fuzz
from tests.tiny_run import tiny_ranker

more = st.dictionaries(fuzz.words, fuzz.json_values, max_size=2)
fields = st.one_of(fuzz.words, st.sampled_from(predict.FIELDS))
lines = st.one_of(
    fuzz.turns(fuzz.lists).map(fuzz.as_json),
    st.tuples(fuzz.turns(fuzz.lists), more).map(lambda pair: fuzz.as_json({**pair[1], **pair[0]})),
    st.dictionaries(fields, fuzz.json_values).map(fuzz.as_json),
    fuzz.json_values.map(fuzz.as_json),
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b" ").replace(b"\r", b" ")),
)


@fuzz.counts
def test_any_turn_is_ranked_or_refused(count):
    @fuzz.fuzz(count)
    @given(fuzz.turns(st.one_of(*[fuzz.lists] * 3, fuzz.json_values)), fuzz.numbers)
    def rank(turn, top_k):
        try:
            ranking = tiny_ranker().rank(**turn, top_k=top_k)
        except DimError as error:
            assert str(error).strip()
        else:
            fuzz.check(ranking, turn["candidates"], top_k)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rank()


@fuzz.counts
def test_any_line_becomes_a_ranking_or_an_error(count, tmp_path, monkeypatch):
    monkeypatch.setattr(Ranker, "load", lambda path, precision: tiny_ranker())
    source, out = tmp_path / "turns.jsonl", tmp_path / "rankings.jsonl"

    @fuzz.fuzz(count)
    @given(st.lists(lines, max_size=6), st.one_of(st.none(), st.integers(1, 9)))
    def rank(found, top_k):
        assume(not b"".join(found).lstrip().startswith(b"["))  # an array is read as its elements
        source.write_bytes(b"\n".join(found))
        options = ["--run", "RUN", "--input", str(source), "--output", str(out)]
        options += [] if top_k is None else ["--top-k", str(top_k)]
        status = parser.run(predict.main, options)
        wanted = [line for line in found if line.strip()]
        damaged = b"".join(found[:1]).startswith((b"\x1f\x8b", b"\xfd7zXZ"))  # compressed
        if damaged or not wanted:
            assert status == 2
            return
        answers = out.read_bytes().removesuffix(b"\n").split(b"\n")
        assert len(answers) == len(wanted)
        bad = 0
        for line, answer in zip(wanted, answers, strict=True):
            result = json.loads(answer, parse_constant=pytest.fail)
            if "ranking" in result:
                fuzz.check(result["ranking"], json.loads(line)["candidates"], top_k)
            else:
                bad += 1
                assert result["error"].strip()
        assert status == (1 if bad else 0)

    rank()
