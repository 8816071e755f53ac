"""What a candidate looked at, of raw text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dim_tf.errors import DataError
from dim_tf.ranking.attention import Attention
from tests.tiny_run import tf1_variables, tiny_ranker, tiny_run

CONTEXT = ["never read", "hello you", "i'm fine", "you like tea? i like"]
PERSONA = ["i like dogs.", "i'm fine"]


@pytest.mark.backend
def test_words_and_weights():
    """The words are those that the model reads; the weights are equation 9."""
    from dim_tf.models.tf1 import load_tf1_variables

    ranker = tiny_ranker()
    found = ranker.explain(CONTEXT, PERSONA, "Dogs like tea , you")
    assert found.candidate == "Dogs like tea , you"
    assert found.maps == [found.context, found.persona]
    assert found.context.rows == found.persona.rows == ("dogs", "like", "tea", ",")
    assert found.context.groups == (
        ("hello", "you", "_eos_"),
        ("i'm", "fine", "_eos_"),
        ("you", "like", "tea", "?", "i"),
    )
    assert found.persona.groups == (("i", "like", "dogs", "."), ("i", "'", "m", "fine"))
    for shown in found.maps:
        np.testing.assert_allclose(shown.weights.sum(axis=1), 1.0, atol=1e-5)

    run = tiny_run(Path("tiny"))
    model = run.build_model()
    load_tf1_variables(model, tf1_variables())
    encoder = ranker._featurizer
    inputs = encoder.turns([encoder.context(CONTEXT)], [encoder.persona(PERSONA)])
    inputs |= encoder.responses([encoder.candidates(["dogs like tea , you"])])
    weights = Attention(model)(inputs)["persona"][0, 0, :4, :8]
    np.testing.assert_allclose(found.persona.weights, weights, atol=1e-6)
    assert found.persona.weights.std() > 0.01


def test_what_is_not_there_has_no_map():
    ranker = tiny_ranker()
    assert ranker.explain([], PERSONA, "tea").context is None
    assert ranker.explain(CONTEXT, [], "tea").persona is None
    neither = ranker.explain([], [], "tea")
    assert (neither.maps, neither.text()) == ([], "")


def test_a_candidate_that_is_no_text():
    with pytest.raises(DataError, match='field "candidate": found a list, expected a text'):
        tiny_ranker().explain(CONTEXT, PERSONA, ["tea"])
