"""Starspace against a slow NumPy version of its equations."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests.random_model import CONFIG, random_inputs, word_table


def words(inputs, kind, place):
    """The word ids of a sentence."""
    return inputs[kind][place][: inputs[f"{kind}_len"][place]]


def cosine(a, b):
    return a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12)


@pytest.mark.backend
@pytest.mark.parametrize("left_out", [None, "utterances", "personas"])
def test_equations(left_out):
    config = CONFIG.replace(
        use_context=left_out != "utterances", use_persona=left_out != "personas"
    )
    table = word_table().astype("float64")
    inputs = random_inputs(np.random.default_rng(3))
    found = Scorer(build_model("starspace", config, word_table()))(inputs)
    for turn, candidate in np.ndindex(found.shape):
        query = np.zeros(table.shape[1])
        for kind in {"utterances", "personas"} - {left_out}:
            for row in range(inputs[kind].shape[1]):
                query += table[words(inputs, kind, (turn, row))].sum(axis=0)
        reply = table[words(inputs, "responses", (turn, candidate))].sum(axis=0)
        assert found[turn, candidate] == pytest.approx(cosine(query, reply), abs=1e-6)
