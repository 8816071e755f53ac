"""Buckets cover every batch, and are few."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import (
    EXACT,
    FRACTIONS,
    ROUNDED_TO,
    STEPS_TOGETHER,
    BucketShape,
    SizeBuckets,
    largest_shape,
)
from dim_tf.packing.layout import SOURCES
from tests.random_model import CONFIG, random_inputs

LONGER = CONFIG.replace(max_utterance_len=6, max_response_len=7)
FIELDS = [field.name for field in dataclasses.fields(BucketShape)]


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
    return [BucketShape.of(pack(inputs)) for inputs in batches]


@pytest.fixture(scope="module")
def whole(batches):
    return largest_shape(shapes_of(batches[0]), SOURCES)


def test_sizes_of_a_batch(batches):
    inputs = batches[0]
    batch = pack(inputs)
    sizes = BucketShape.of(batch)
    assert sizes.words == len(batch.sentences.words) == len(batch.sentences.characters)
    for kind in ("responses", *SOURCES):
        lengths, steps = inputs[f"{kind}_len"].ravel(), inputs[kind].shape[2]
        assert getattr(sizes, kind) == tuple((lengths > step).sum() for step in range(steps))
    number = inputs["utterances_num"]
    assert sizes.contexts == tuple((number > n).sum() for n in range(LONGER.max_utterances))
    assert len(sizes.sentences) == LONGER.max_response_len
    assert sum(sizes.sentences) == len(batch.sentences.rows.mask)
    assert sizes.utterances_words == inputs["utterances_len"].sum(axis=1).max()
    assert sizes.personas_words == batch.personas.grid.shape[1]
    hash(sizes)  # it is a static argument of compiled functions


def test_a_source_that_is_left_out_has_no_sizes(batches):
    sizes = BucketShape.of(pack(batches[0], ["personas"]))
    absent = {name for name in FIELDS if getattr(sizes, name) is None}
    assert absent == {"utterances", "contexts", "utterances_words"}
    whole = largest_shape(shapes_of(batches[0]), ["personas"])
    assert {name for name in FIELDS if getattr(whole, name) is None} == absent
    assert whole.covers(sizes)


def test_a_shape_covers_those_that_are_nowhere_larger():
    sizes = BucketShape(words=5, sentences=(3, 2))
    assert sizes.covers(sizes)
    assert sizes.covers(BucketShape(words=4, sentences=(3, 1)))
    assert not sizes.covers(BucketShape(words=6, sentences=(1, 1)))
    assert not sizes.covers(BucketShape(words=1, sentences=(3, 3)))
    assert BucketShape() == EXACT


def test_the_largest_shape_covers_a_full_batch(batches, whole):
    inputs = {name: value.copy() for name, value in batches[0].items()}
    for kind in ("responses", *SOURCES):
        inputs[f"{kind}_len"][:] = inputs[kind].shape[2]
    for half in SOURCES:
        inputs[f"{half}_num"][:] = inputs[half].shape[1]
    full = BucketShape.of(pack(inputs))
    assert whole.covers(full)
    assert dataclasses.replace(full, words=0, sentences=()) == dataclasses.replace(
        whole, words=0, sentences=()
    )
    assert full.sentences[0] == whole.sentences[0]
    assert BucketShape.of(pack(inputs, SOURCES, whole)) == whole


def test_there_are_few_buckets_each_above_the_previous_one(samples, whole):
    shapes = SizeBuckets(whole, samples).shapes
    assert len(shapes) <= len(FRACTIONS) + 1
    for lower, higher in itertools.pairwise(shapes):
        assert higher.covers(lower)
    assert whole.covers(shapes[-1])
    assert shapes[-1].covers(whole)
    assert SizeBuckets(whole).shapes == shapes[-1:]


def test_a_bucket_covers_its_fraction_of_each_size(samples, whole):
    shapes = SizeBuckets(whole, samples).shapes
    for fraction, shape in zip(FRACTIONS, shapes, strict=False):
        for name in FIELDS:
            found = np.array([getattr(sample, name) for sample in samples])
            held = (found <= np.array(getattr(shape, name))).mean(axis=0)
            assert np.all(held >= fraction), (fraction, name)
    assert all(shapes[len(FRACTIONS) - 1].covers(sample) for sample in samples)


def test_a_bucket_runs_steps_together_and_is_rounded_up(samples, whole):
    for shape in SizeBuckets(whole, samples).shapes:
        for name in FIELDS:
            value, top = np.atleast_1d(getattr(shape, name)), np.max(getattr(whole, name))
            assert np.all((value % ROUNDED_TO == 0) | (value == top)), name
            if isinstance(getattr(shape, name), tuple):
                assert len(set(value)) <= -(-len(value) // STEPS_TOGETHER)
                assert np.all(np.diff(value) <= 0)


def test_every_batch_fits_a_bucket_and_is_packed_to_it(samples, whole):
    buckets = SizeBuckets(whole, samples)
    for inputs in random_batches(20, seed=2):
        needed = BucketShape.of(pack(inputs))
        shape = buckets.smallest(needed)
        assert shape.covers(needed)
        below = buckets.shapes[: buckets.shapes.index(shape)]
        assert not any(lower.covers(needed) for lower in below)
        assert BucketShape.of(pack(inputs, SOURCES, shape)) == shape
