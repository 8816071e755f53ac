from __future__ import annotations

import pytest

from benchmarks.flops import forward_flops
from dim_tf.config import ModelConfig


def test_the_papers_sizes():
    """The matching alone takes 765 GFLOP for 16 turns."""
    flops = forward_flops(ModelConfig(char_vocab_size=70, word_dim=300 + 100))
    assert 16 * flops["matcher"] / 1e9 == pytest.approx(765, abs=0.5)
    assert 16 * sum(flops.values()) / 1e9 == pytest.approx(832, abs=1)


def test_a_small_case_by_hand():
    config = ModelConfig(
        char_vocab_size=2,
        max_utterances=1,
        max_utterance_len=3,
        max_candidates=2,
        max_response_len=1,
        max_profiles=1,
        max_profile_len=2,
        max_word_len=5,
        word_dim=5,
        rnn_units=1,
    )
    lstm = 2 * 2 * 4  # both directions, multiply and add, four gates of one unit
    assert forward_flops(config) == {
        # Windows of 3, 4, 5 characters start at 3, 2, 1 places; 50 filters over 2 characters each.
        "characters": 7 * 2 * (3 * 3 + 2 * 4 + 1 * 5) * 2 * 50,
        "encoder": 7 * lstm * (5 + 150 + 1),
        # For each of 2 candidates of one word and 5 words, D = 2: one similarity, two sums.
        "attention": 3 * 2 * (2 * 5 * 2),
        # For each candidate 3 + 2 words of the others and its own one twice.
        "matcher": 2 * (3 + 2 + 1 + 1) * lstm * (4 * 2 + 1),
        "aggregator": 2 * 1 * lstm * (4 + 1),
        # 16 joined features to 256, these to one; and the persona scores, 4 to one.
        "prediction": 2 * 2 * (16 * 256 + 256) + 2 * 2 * 4,
    }


def test_a_half_that_is_left_out_costs_nothing():
    config = ModelConfig(char_vocab_size=70)
    whole = forward_flops(config)
    context = forward_flops(config.replace(use_persona=False))
    persona = forward_flops(config.replace(use_context=False))
    assert persona["aggregator"] == 0
    for part in ("attention", "matcher"):
        assert context[part] + persona[part] == whole[part]
