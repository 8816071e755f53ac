from collections import Counter

import pytest

from data_prep.distractors import DistractorSampler
from dim_tf.errors import DataError

TEXTS = [f"utterance {number}" for number in range(40)]


def test_distractors_are_distinct_and_of_other_dialogues():
    sampler = DistractorSampler("train", TEXTS + TEXTS, seed=3)
    assert len(sampler) == 40
    avoid = set(TEXTS[:10]) | {"never said"}
    drawn = sampler.draw((0, 0), 19, avoid)
    assert len(set(drawn)) == 19
    assert set(drawn) <= set(TEXTS[10:])


def test_draws_follow_from_seed_split_dialogue_and_turn():
    def draw(seed=3, split="train", key=(1, 2)):
        return DistractorSampler(split, TEXTS, seed).draw(key, 5, TEXTS[:1])

    assert draw() == draw()
    others = [draw(seed=4), draw(split="test"), draw(key=(2, 2)), draw(key=(1, 3))]
    assert draw() not in others
    assert len(set(others)) == 4


def test_draws_stay_the_same_from_version_to_version():
    drawn = DistractorSampler("train", ["a", "b", "c", "d", "e"], seed=0).draw((0, 0), 3, ["a"])
    assert drawn == ("c", "d", "b")


def test_draws_are_uniform():
    sampler = DistractorSampler("train", TEXTS[:20], seed=0)
    counts = Counter(text for turn in range(4000) for text in sampler.draw((0, turn), 5, TEXTS[:1]))
    assert set(counts) == set(TEXTS[1:20])
    # 4000 * 5 / 19 = 1053 each, with a standard deviation of 28.
    assert all(abs(count - 4000 * 5 / 19) < 5 * 28 for count in counts.values())


def test_all_that_is_left_can_be_drawn_but_no_more():
    sampler = DistractorSampler("valid", TEXTS, seed=0)
    assert set(sampler.draw((0, 0), 19, TEXTS[:21])) == set(TEXTS[21:])
    with pytest.raises(
        DataError, match=r"the valid split has 18 utterances of other.* at least 19"
    ):
        sampler.draw((0, 0), 19, TEXTS[:22])
