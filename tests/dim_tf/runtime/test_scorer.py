"""One turn against many candidates: encoded once, and scored as the whole model does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dim_tf.runtime import scorer as scorer_module
from dim_tf.runtime.scorer import CompileOnce, PlainScorer, Scorer, turn_scorer
from tests.random_model import CONFIG, built, random_inputs, word_table
from tests.tiny import build_tiny

SYSTEMS = [
    pytest.param("dim", {}, marks=pytest.mark.backend),
    pytest.param("imn", {}, id="imn"),
    pytest.param("dim", {"use_context": False}, id="no context"),
    pytest.param("imn_ctx", {}, marks=pytest.mark.backend),
    pytest.param("imn_utr", {}),
]


@pytest.fixture
def chunks(monkeypatch):
    """Few candidates at a time, so that a few candidates are many chunks."""
    monkeypatch.setattr(scorer_module, "SMALL_CHUNK", 3)
    monkeypatch.setattr(scorer_module, "LARGE_CHUNK", 3)


def turns_of(inputs):
    """Each turn of a batch: its own inputs, those of its candidates, and all."""
    for row in range(len(inputs["responses_len"])):
        inputs_of_one = {name: value[row : row + 1] for name, value in inputs.items()}
        is_reply = {name: name.startswith("responses") for name in inputs}
        turn = {name: value for name, value in inputs_of_one.items() if not is_reply[name]}
        replies = {name: value for name, value in inputs_of_one.items() if is_reply[name]}
        yield turn, replies, inputs_of_one


@pytest.mark.parametrize(("name", "changes"), SYSTEMS)
def test_scores_are_those_of_the_whole_model(name, changes, chunks):
    """Turns with no context, no persona, or neither; candidates that are absent."""
    model, _ = built(name, **changes)
    config = CONFIG.replace(max_candidates=8)
    inputs = random_inputs(np.random.default_rng(8), config, batch=4)
    for kind in ("utterances", "personas"):
        inputs[f"{kind}_len"][3], inputs[f"{kind}_num"][3] = 0, 0
    whole, one = Scorer(model), turn_scorer(model)
    for turn, replies, both in turns_of(inputs):
        expected = whole(both)[0]
        for found in (one.score(turn, one.encode(replies)), one.score_once(turn, replies)):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        few = {name: value[:, :2] for name, value in replies.items()}
        np.testing.assert_allclose(one.score_once(turn, few), expected[:2], rtol=0, atol=1e-5)


@pytest.mark.backend
def test_a_turn_is_encoded_once_and_candidates_never_again(chunks):
    model, _ = built("dim")
    inputs = random_inputs(np.random.default_rng(9), CONFIG.replace(max_candidates=8), batch=2)
    scorer, encoded, matched = turn_scorer(model), [], []
    encode, match = scorer._encode, scorer._match

    def count_encoded(sentences):
        encoded.append(len(sentences.words))
        return encode(sentences)

    def count_matched(inputs):
        matched.append(inputs["batch"].responses_len.shape[1])
        return match(inputs)

    scorer._encode, scorer._match = count_encoded, count_matched
    (first, replies, _), (second, _, _) = turns_of(inputs)
    pool = scorer.encode(replies)
    assert len(encoded) == 3
    scorer.score(first, pool)
    scorer.score(second, pool)
    assert len(encoded) == 5
    assert len(matched) == 6
    assert max(matched) == 3


def test_a_model_that_cannot_encode_apart_is_asked_for_everything(chunks):
    model = build_tiny(CONFIG, word_table())
    inputs = random_inputs(np.random.default_rng(10), CONFIG.replace(max_candidates=8), batch=2)
    scorer = turn_scorer(model)
    assert isinstance(scorer, PlainScorer)
    turn, replies, both = next(turns_of(inputs))
    found = scorer.score(turn, scorer.encode(replies))
    np.testing.assert_allclose(found, Scorer(model)(both)[0], rtol=0, atol=1e-5)


@pytest.mark.backend
def test_many_candidates_need_no_further_programs(chunks, monkeypatch):
    model, _ = built("dim")
    inputs = random_inputs(np.random.default_rng(9), CONFIG.replace(max_candidates=8), batch=2)
    turn, replies, both = next(turns_of(inputs))
    scorer = turn_scorer(model)
    monkeypatch.setattr(scorer, "_encode", lambda *_: pytest.fail("compiled to encode"))
    expected = Scorer(model)(both)[0]
    np.testing.assert_allclose(scorer.score_once(turn, replies), expected, rtol=0, atol=1e-5)


def test_one_thread_compiles_and_then_all_run(monkeypatch):
    monkeypatch.setattr(scorer_module, "backend_name", lambda: "jax")
    inside, overlaps, start = [], [], threading.Barrier(4)
    together = None

    def program(batch):
        inside.append(1)
        together.wait() if together else time.sleep(0.05)
        overlaps.append(len(inside))
        inside.pop()
        return batch["x"].sum()

    once = CompileOnce(program)

    def call(number):
        start.wait()
        return once({"x": np.ones((2, 3))})

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(call, range(4))) == [6.0] * 4
        assert max(overlaps) == 1
        together = threading.Barrier(4, timeout=60)  # passed by all four, or by none
        assert list(threads.map(call, range(4))) == [6.0] * 4
    together = None
    # Another shape is another program.
    assert once({"x": np.ones((2, 4))}) == 8.0
    assert len(once._compiled) == 2
