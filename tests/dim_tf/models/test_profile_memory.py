"""Profile Memory against a slow NumPy version of its equations."""

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
    found = Scorer(build_model("profile_memory", CONFIG.replace(**uses), word_table()))(inputs)
    expected = numpy_bags.logits(numpy_bags.profile_memory, word_table(), inputs, **uses)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
