"""Packed batches give what the public inputs give."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf import batching
from dim_tf.batching import pack
from dim_tf.models import build_model
from dim_tf.models.inputs import KINDS
from dim_tf.steps import Scorer
from tests.dim_tf.test_dim import CONFIG, random_inputs


def unpacked(batch, kind):
    return batch["words"][batch[kind]], batch["words_char"][batch[kind]]


def test_every_word_is_listed_once_and_none_is_lost():
    inputs = random_inputs(np.random.default_rng(1))
    inputs["utterances_char"][0, 0, 0] = inputs["responses_char"][0, 0, 0]
    inputs["utterances"][0, 0, 0] = inputs["responses"][0, 0, 0]
    batch = pack(inputs)
    for kind in KINDS:
        words, characters = unpacked(batch, kind)
        assert np.array_equal(words, inputs[kind])
        assert np.array_equal(characters, inputs[f"{kind}_char"])
        assert np.array_equal(batch[f"{kind}_len"], inputs[f"{kind}_len"])
        assert batch[kind].dtype == np.int32
    listed = np.concatenate([batch["words"][:, None], batch["words_char"]], axis=1)
    assert len(np.unique(listed, axis=0)) == len(listed)
    assert batch["utterances"][0, 0, 0] == batch["responses"][0, 0, 0]


def test_words_that_differ_in_one_character_stay_apart():
    inputs = {kind: np.full((1, 1, 2), 7) for kind in KINDS}
    inputs |= {f"{kind}_char": np.zeros((1, 1, 2, 5), int) for kind in KINDS}
    inputs["personas_char"][0, 0, 1, 4] = 1
    batch = pack(inputs)
    assert len(batch["words"]) == 2
    assert batch["personas"][0, 0, 0] != batch["personas"][0, 0, 1]


def test_a_collision_of_hashes_is_noticed(monkeypatch):
    inputs = random_inputs(np.random.default_rng(2))
    expected = pack(inputs)
    monkeypatch.setattr(batching, "_MULTIPLIERS", np.zeros(64, np.uint64))
    for kind in KINDS:
        for found, wanted in zip(
            unpacked(pack(inputs), kind), unpacked(expected, kind), strict=True
        ):
            assert np.array_equal(found, wanted)


def test_rounding_adds_words_that_nothing_points_to():
    inputs = random_inputs(np.random.default_rng(3))
    exact, rounded = pack(inputs), pack(inputs, round_to=100)
    assert len(rounded["words"]) % 100 == 0
    assert len(rounded["words_char"]) == len(rounded["words"])
    assert all(np.array_equal(exact[kind], rounded[kind]) for kind in KINDS)


@pytest.mark.parametrize(
    "ablation",
    [
        pytest.param({}, marks=pytest.mark.backend),
        {"use_persona": False},
        {"use_context": False},
    ],
)
def test_the_packed_form_gives_the_public_logits(ablation):
    rng = np.random.default_rng(4)
    table = rng.normal(0, 1, (9, CONFIG.word_dim)).astype("float32")
    model = build_model("dim", CONFIG.replace(**ablation), table)
    inputs = random_inputs(rng)
    logits = np.asarray(model(inputs, training=False))
    np.testing.assert_allclose(Scorer(model)(inputs), logits, rtol=0, atol=1e-6)
