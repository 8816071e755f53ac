"""The count of operations against the products that the packed model really makes."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from benchmarks.arithmetic import ideas
from dim_tf.packing.batch import pack
from dim_tf.systems.registry import build_model
from tests.random_model import CONFIG, random_inputs, word_table

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counted operation by operation"
)


def test_the_last_count_is_that_of_the_fast_model(monkeypatch):
    model = build_model("dim", CONFIG, word_table())
    inputs = random_inputs(np.random.default_rng(1))
    batch, matmul, counted = pack(inputs), keras.ops.matmul, []

    def count(a, b):
        result = matmul(a, b)
        counted.append(2 * int(np.prod(result.shape)) * a.shape[-1])
        return result

    monkeypatch.setattr(keras.ops, "matmul", count)
    model.forward(batch)
    expected = ideas(CONFIG, inputs)["characters of distinct words"]
    # Characters, the hidden layer of the prediction and the sum over profiles are not `matmul`.
    candidates = inputs["responses_len"].size
    others = expected["characters"] + candidates * 2 * (
        256 * 16 * CONFIG.rnn_units + CONFIG.max_profiles * 4 * CONFIG.rnn_units
    )
    # Each step's product of the states is counted for the rows that live.
    persona_scores = candidates * CONFIG.max_profiles * 2 * 4 * CONFIG.rnn_units
    assert sum(counted) == sum(expected.values()) - others + persona_scores


def test_each_idea_saves():
    totals = [
        sum(parts.values())
        for parts in ideas(CONFIG, random_inputs(np.random.default_rng(2))).values()
    ]
    assert len(totals) == 5
    assert all(before > after for before, after in itertools.pairwise(totals))
