"""Fixed sizes hold what they must, and are few."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, ROUNDED_TO, SHARES, STEPS_TOGETHER, Ladder, Sizes, largest
from tests.random_model import CONFIG, random_inputs

HALVES = ("utterances", "personas")
LONGER = CONFIG.replace(max_utterance_len=6, max_response_len=7)
FIELDS = [field.name for field in dataclasses.fields(Sizes)]


def random_batches(number, seed=1, batch=8):
    rng = np.random.default_rng(seed)
    return [random_inputs(rng, LONGER, batch) for _ in range(number)]


def shapes_of(inputs):
    return {name: value.shape for name, value in inputs.items()}


@pytest.fixture(scope="module")
def batches():
    return random_batches(20)


@pytest.fixture(scope="module")
def samples(batches):
    return [Sizes.of(pack(inputs)) for inputs in batches]


@pytest.fixture(scope="module")
def whole(batches):
    return largest(shapes_of(batches[0]), HALVES)


def test_sizes_of_a_batch(batches):
    inputs = batches[0]
    batch = pack(inputs)
    sizes = Sizes.of(batch)
    assert sizes.words == len(batch["words"]) == len(batch["words_char"])
    for kind in ("responses", *HALVES):
        lengths, steps = inputs[f"{kind}_len"].ravel(), inputs[kind].shape[2]
        assert getattr(sizes, kind) == tuple((lengths > step).sum() for step in range(steps))
    number = inputs["utterances_num"]
    assert sizes.contexts == tuple((number > n).sum() for n in range(LONGER.max_utterances))
    assert len(sizes.encoder) == LONGER.max_response_len
    assert sum(sizes.encoder) == len(batch["encoder"]["there"])
    assert sizes.utterances_words == inputs["utterances_len"].sum(axis=1).max()
    assert sizes.personas_words == batch["personas"]["grid"].shape[1]
    hash(sizes)  # it is a static argument of compiled functions


def test_a_half_that_is_left_out_has_no_sizes(batches):
    sizes = Sizes.of(pack(batches[0], ["personas"]))
    absent = {name for name in FIELDS if getattr(sizes, name) is None}
    assert absent == {"utterances", "contexts", "utterances_words"}
    whole = largest(shapes_of(batches[0]), ["personas"])
    assert {name for name in FIELDS if getattr(whole, name) is None} == absent
    assert whole.hold(sizes)


def test_sizes_hold_those_that_are_nowhere_larger():
    sizes = Sizes(words=5, encoder=(3, 2))
    assert sizes.hold(sizes)
    assert sizes.hold(Sizes(words=4, encoder=(3, 1)))
    assert not sizes.hold(Sizes(words=6, encoder=(1, 1)))
    assert not sizes.hold(Sizes(words=1, encoder=(3, 3)))
    assert Sizes() == EXACT


def test_the_largest_sizes_hold_a_full_batch(batches, whole):
    inputs = {name: value.copy() for name, value in batches[0].items()}
    for kind in ("responses", *HALVES):
        inputs[f"{kind}_len"][:] = inputs[kind].shape[2]
    for half in HALVES:
        inputs[f"{half}_num"][:] = inputs[half].shape[1]
    full = Sizes.of(pack(inputs))
    assert whole.hold(full)
    assert dataclasses.replace(full, words=0, encoder=()) == dataclasses.replace(
        whole, words=0, encoder=()
    )
    assert full.encoder[0] == whole.encoder[0]
    assert Sizes.of(pack(inputs, HALVES, whole)) == whole


def test_a_ladder_has_few_levels_each_above_the_one_before(samples, whole):
    levels = Ladder(whole, samples).levels
    assert len(levels) <= len(SHARES) + 1
    for lower, higher in itertools.pairwise(levels):
        assert higher.hold(lower)
    assert whole.hold(levels[-1])
    assert levels[-1].hold(whole)
    assert Ladder(whole).levels == levels[-1:]


def test_a_level_holds_its_share_of_each_size(samples, whole):
    levels = Ladder(whole, samples).levels
    for share, level in zip(SHARES, levels, strict=False):
        for name in FIELDS:
            found = np.array([getattr(sample, name) for sample in samples])
            held = (found <= np.array(getattr(level, name))).mean(axis=0)
            assert np.all(held >= share), (share, name)
    assert all(levels[len(SHARES) - 1].hold(sample) for sample in samples)


def test_a_level_runs_steps_together_and_is_rounded_up(samples, whole):
    for level in Ladder(whole, samples).levels:
        for name in FIELDS:
            value, top = np.atleast_1d(getattr(level, name)), np.max(getattr(whole, name))
            assert np.all((value % ROUNDED_TO == 0) | (value == top)), name
            if isinstance(getattr(level, name), tuple):
                assert len(set(value)) <= -(-len(value) // STEPS_TOGETHER)
                assert np.all(np.diff(value) <= 0)


def test_every_batch_fits_and_is_packed_to_the_level(samples, whole):
    ladder = Ladder(whole, samples)
    for inputs in random_batches(20, seed=2):
        needed = Sizes.of(pack(inputs))
        level = ladder.fit(needed)
        assert level.hold(needed)
        below = ladder.levels[: ladder.levels.index(level)]
        assert not any(lower.hold(needed) for lower in below)
        assert Sizes.of(pack(inputs, HALVES, level)) == level
