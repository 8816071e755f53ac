"""Starspace against a slow NumPy version of its equations."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests import numpy_bags
from tests.random_model import CONFIG, random_inputs, word_table

USES = [(True, True), (True, False), (False, True)]


@pytest.mark.backend
@pytest.mark.parametrize(("use_context", "use_persona"), USES)
def test_equations(use_context, use_persona):
    uses = {"use_context": use_context, "use_persona": use_persona}
    inputs = random_inputs(np.random.default_rng(3))
    found = Scorer(build_model("starspace", CONFIG.replace(**uses), word_table()))(inputs)
    expected = numpy_bags.logits(numpy_bags.starspace, word_table(), inputs, **uses)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_training_starts_from_unit_vectors_times_idf():
    inputs = random_inputs(np.random.default_rng(4), batch=6)
    model = build_model("starspace", CONFIG, word_table())
    halves = [
        {name: value[part] for name, value in inputs.items()} for part in (slice(2), slice(2, 6))
    ]
    model.adapt(halves, ["word"] * 9)
    sentences = []
    for turn in range(6):
        last = max(inputs["utterances_num"][turn] - 1, 0)
        sentences.append(set(numpy_bags.words(inputs, "utterances", (turn, last))))
        sentences.append(set(numpy_bags.words(inputs, "responses", (turn, 0))))
    total = sum(map(bool, sentences))
    for word, vector in enumerate(np.asarray(model.words.embeddings)):
        found = sum(word in sentence for sentence in sentences)
        idf = np.log((total + 1) / (found + 1)) / np.log(total + 1)
        np.testing.assert_allclose(vector, idf * numpy_bags.unit(word_table()[word]), atol=1e-6)
