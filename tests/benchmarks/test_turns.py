from __future__ import annotations

import numpy as np
import pytest

from benchmarks.turns import write_turns
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData

TURNS = 320


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    write_turns(folder, TURNS, word_dim=3)
    return PreparedData.load(folder)


@pytest.fixture(scope="module")
def inputs(data):
    rows = np.arange(TURNS)
    return data.inputs(data.table("train", "self", "original"), rows, ModelConfig(**data.sizes))[0]


@pytest.mark.parametrize(
    ("kind", "mean", "deviation"),
    [("utterances", 12.9, 3.9), ("responses", 11.9, 3.9), ("personas", 7.3, 2.5)],
)
def test_lengths_are_those_of_persona_chat(inputs, kind, mean, deviation):
    """In words; an utterance has its `_eos_` too."""
    lengths = inputs[f"{kind}_len"]
    lengths = lengths[lengths > 0]
    assert lengths.mean() == pytest.approx(mean, abs=0.4)
    assert lengths.std() == pytest.approx(deviation, abs=0.4)


def test_contexts_and_personas(inputs):
    assert set(inputs["utterances_num"].tolist()) == set(range(1, 16, 2))
    assert inputs["utterances_num"].mean() == pytest.approx(7, abs=0.6)
    assert set(inputs["personas_num"].tolist()) == {4, 5}
    assert (inputs["responses_len"] > 0).all()
    assert inputs["responses"].shape == (TURNS, 20, 20)


def test_a_batch_has_as_many_distinct_words(data):
    table, config = data.table("train", "self", "original"), ModelConfig(**data.sizes)
    counts = [
        len(np.unique(np.concatenate([inputs[k].ravel() for k in ("utterances", "responses")])))
        for inputs, _ in data.batches(table, config, 16)
    ]
    assert np.mean(counts) == pytest.approx(1300, abs=100)
