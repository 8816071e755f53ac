"""Many turns at once, and one ranker in many threads."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dim_tf.errors import ConfigError, DataError, UsageError
from dim_tf.ranking import turn as turns_module
from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.turn import Turn, batches
from tests.tiny_run import SHORT, WORDS, tiny_ranker, tiny_run

THREADS = 8

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def ranker():
    return tiny_ranker()


def random_turns(count, seed=1):
    """Turns of different sizes; of none to many candidates' words some are equal."""
    rng = random.Random(seed)

    def texts(most, least=0):
        sizes = [rng.randint(1, 7) for _ in range(rng.randint(least, most))]
        return [" ".join(rng.choices([*WORDS[2:], "gnu", "zzz?"], k=size)) for size in sizes]

    return [
        {"context": texts(5), "persona": texts(2), "candidates": texts(rng.choice([2, 7, 30]), 1)}
        for _ in range(count)
    ]


def assert_alike(found, expected):
    """The same rankings but for rounding."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [row["rank"] for row in one] == [row["rank"] for row in other]
        # Sorted scores are alike even where near-ties have changed places.
        for name in ("score", "probability"):
            values = [[row[name] for row in rows] for rows in (one, other)]
            np.testing.assert_allclose(*values, rtol=0, atol=1e-5)
        by_index = {row["index"]: row["score"] for row in other}
        for row in one:
            assert row["score"] == pytest.approx(by_index[row["index"]], abs=1e-5)


def test_gives_what_rank_gives_of_each(ranker, monkeypatch):
    turns = random_turns(24)
    expected = [ranker.rank(**turn) for turn in turns]
    assert_alike(ranker.rank_many(turns), expected)
    assert_alike(ranker.rank_many(iter(turns)), expected)
    assert_alike(ranker.rank_many([ranker.turn(**turn) for turn in turns]), expected)
    twice = {"persona": ["your persona: your persona: i like tea"], "candidates": ["tea", "dogs"]}
    with pytest.warns(UserWarning, match="your persona"):
        checked, expected_twice = ranker.turn(**twice), ranker.rank(**twice)
    assert_alike(ranker.rank_many([checked]), [expected_twice])
    monkeypatch.setattr(turns_module, "TURNS_TOGETHER", 3)
    found = ranker.rank_many(turns, top_k=2)
    assert_alike(found, [ranking[:2] for ranking in expected])
    assert ranker.rank_many([]) == []


def test_many_candidates_and_pools_go_one_by_one(ranker, monkeypatch):
    monkeypatch.setattr(turns_module, "MANY_CANDIDATES", 5)
    texts = ["tea", "dogs", "hello you", "i", "you like tea", "fine"]
    pool = ranker.encode(texts)
    turns = [{"candidates": some} for some in (texts, pool, texts[:2], texts[2:5])]
    expected = [ranker.rank(candidates=turn["candidates"]) for turn in turns]
    assert_alike(ranker.rank_many(turns), expected)


def test_turns_of_similar_sizes_go_together():
    def turn(candidates, utterances=1):
        return Turn(["hi"] * utterances, [], ["hello"] * candidates)

    sizes = [3, 101, 20, 3, 2, 20]
    assert list(batches([turn(size) for size in sizes])) == [[1], [4, 0, 3, 2, 5]]
    assert [len(batch) for batch in batches([turn(20)] * 70)] == [32, 32, 6]
    assert [len(batch) for batch in batches([turn(100)] * 8)] == [6, 2]
    assert list(batches([turn(2, 9), turn(2, 1), turn(2, 5)])) == [[1, 2, 0]]
    assert list(batches([])) == []


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"candidates": ["a", ""]}, 'field "candidates[1]": found an empty text'),
        ({"contxt": []}, 'field "contxt": unknown field; did you mean context?'),
        ({3: 4}, 'field "3": unknown field'),
        ("hello", "found a text, expected an object with context, persona, candidates"),
    ],
)
def test_a_bad_turn_is_named_before_any_is_ranked(ranker, monkeypatch, turn, message):
    monkeypatch.setattr(ranker, "_score", lambda turn: pytest.fail("ranked"))
    with pytest.raises(DataError) as error:
        ranker.rank_many([{"candidates": ["tea"]}, turn])
    assert str(error.value).startswith(f"turns[1]: {message}")


def test_other_bad_arguments(ranker):
    with pytest.raises(DataError, match='field "turns": found an object, expected a list'):
        ranker.rank_many({"candidates": ["tea"]})
    with pytest.raises(ConfigError, match="top_k: found 0"):
        ranker.rank_many([{"candidates": ["tea"]}], top_k=0)
    pool = Ranker(ranker.run, ranker.run.build_model()).encode(["tea"])
    for turn in ({"candidates": pool}, Turn([], [], pool)):
        with pytest.raises(UsageError, match=r"turns\[0\]: .*encoded by another"):
            ranker.rank_many([turn])


def test_profiles_left_out_are_warned_of_where_the_caller_is(ranker):
    with pytest.warns(UserWarning, match="found 3 profiles, this model reads the first 2") as said:
        ranker.rank_many([{"persona": ["i", "like", "tea"], "candidates": ["tea"]}])
        ranker.rank(persona=["i", "like", "tea"], candidates=["tea"])
    assert {warning.filename for warning in said} == {__file__}


def test_threads_get_the_answers_that_one_thread_gets():
    """To the bit, also those that come first, while nothing is compiled yet."""
    run = tiny_run(Path("tiny"), rnn_units=48, **SHORT)
    turns = random_turns(16)

    def answers(number):
        """Those of one thread, which begins at another turn than the others."""
        order = [*range(number, len(turns)), *range(number)]
        found = {place: ranker.rank(**turns[place]) for place in order}
        pool = ranker.encode(["tea", "dogs", "hello you"])
        some = ranker.rank_many(turns[:6])
        weights = ranker.explain(["hello"], ["i like tea"], "tea you").context.weights.tolist()
        return [found[n] for n in range(len(turns))], ranker.rank(["i"], [], pool), some, weights

    ranker, start = Ranker(run, run.build_model()), threading.Barrier(THREADS)

    def in_a_thread(number):
        start.wait()
        return answers(number)

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(in_a_thread, range(THREADS)))
    expected = answers(0)
    assert all(each == expected for each in found)
