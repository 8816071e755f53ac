"""IMN and its two persona fusions against slow NumPy versions of their equations."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf.errors import ConfigError
from dim_tf.models.tf1 import load_tf1_variables
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems import registry
from dim_tf.systems.registry import build_model
from tests.gradients import value_and_gradients
from tests.numpy_dim import NumpyDIM
from tests.numpy_imn import NumpyFusion
from tests.random_model import CONFIG, MATCHING, built, random_inputs, word_table


@pytest.mark.backend
@pytest.mark.parametrize(("name", "where"), [("imn_ctx", "context"), ("imn_utr", "utterances")])
def test_equations(name, where):
    model, variables = built(name)
    inputs = random_inputs(np.random.default_rng(3))
    expected = NumpyFusion(variables, word_table(), where).logits(inputs)
    np.testing.assert_allclose(Scorer(model)(inputs), expected, rtol=0, atol=1e-5)
    without = NumpyDIM(variables, word_table(), use_persona=False).logits(inputs)
    has_persona = inputs["personas_num"] > 0
    assert not np.allclose(expected[has_persona], without[has_persona], atol=1e-3)
    np.testing.assert_allclose(expected[~has_persona], without[~has_persona], atol=1e-9)


@pytest.mark.parametrize("name", ["imn", "imn_ctx", "imn_utr"])
def test_without_a_persona_all_are_dim_without_persona(name):
    model, variables = built(name, use_persona=False)
    dim, _ = built("dim", use_persona=False)
    load_tf1_variables(dim, variables)
    inputs = random_inputs(np.random.default_rng(4))
    assert np.array_equal(np.asarray(model(inputs)), np.asarray(dim(inputs)))


@pytest.mark.parametrize("name", ["imn_ctx", "imn_utr"])
def test_the_padded_form_is_the_same(name):
    import keras

    model, _ = built(name)
    inputs = random_inputs(np.random.default_rng(5))
    padded = keras.Model(model.inputs, model.outputs)
    np.testing.assert_allclose(
        np.asarray(padded(inputs)), np.asarray(model(inputs)), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", ["imn_ctx", "imn_utr"])
def test_both_forms_have_the_same_gradients(name):
    """The loss of the packed form against that of the padded one."""
    model, _ = built(name)
    inputs = random_inputs(np.random.default_rng(6))
    target = np.full(len(inputs["responses_len"]), 1, "int32")
    loss, gradients = value_and_gradients(model, inputs, target)
    expected_loss, expected = value_and_gradients(model, inputs, target, padded=True)
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    for variable, found, wanted in zip(model.trainable_variables, gradients, expected, strict=True):
        bound = 1e-4 * np.abs(wanted).max() + 1e-8
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound, err_msg=variable.path)


def test_fusions_have_the_weights_of_imn():
    paths = [[v.path for v in built(name)[0].trainable_variables] for name in ("imn", "imn_ctx")]
    assert paths[0] == paths[1]


@pytest.mark.parametrize("name", MATCHING)
def test_which_models_read_a_persona(name):
    model, _ = built(name)
    inputs = random_inputs(np.random.default_rng(6))
    changed = {**inputs, "personas": (inputs["personas"] + 1) % 9}
    blind = np.array_equal(np.asarray(model(inputs)), np.asarray(model(changed)))
    assert blind != registry.get(name).reads_persona


@pytest.mark.parametrize("name", ["imn", "imn_ctx", "imn_utr"])
def test_without_a_context_there_is_no_imn(name):
    with pytest.raises(ConfigError, match=f"^{name} .*context.*--no-context"):
        build_model(name, CONFIG.replace(use_context=False), word_table())
