"""The layout that a program makes of tensors against the one that NumPy makes on the host."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from dim_tf.packing.in_graph import _pack_rows, pack_in_graph
from dim_tf.packing.packed_sequence import pack_rows
from dim_tf.systems.registry import build_model
from tests.random_model import CONFIG, MATCHING, random_inputs, word_table

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts inside the graph are TensorFlow's"
)


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_laid_out_as_numpy_does(seed):
    rng = np.random.default_rng(seed)
    limits = rng.integers(1, 5, 7).astype("int32")
    lengths = rng.integers(0, limits + 1).astype("int32")
    layout, packed_index = _pack_rows(lengths, limits, 4, padded=False)
    expected = pack_rows(lengths, limits, 4)
    for found, values in zip(keras.tree.flatten(layout), keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(found, values)
    words = np.asarray(packed_index)[np.arange(4) < lengths[:, None]]
    assert sorted(words) == list(range(lengths.sum()))


@pytest.mark.parametrize("name", MATCHING)
def test_logits_are_those_of_a_layout_made_on_the_host(name):
    model = build_model(name, CONFIG, word_table())
    inputs = random_inputs(np.random.default_rng(1))
    for values in inputs.values():
        values[0] = 0  # an empty turn
    expected = np.asarray(model(inputs))
    for turns in (slice(None), slice(1)):
        chosen = {key: ops.convert_to_tensor(values[turns]) for key, values in inputs.items()}
        found = model.forward(pack_in_graph(chosen, model.sources))
        np.testing.assert_allclose(found, expected[turns], atol=2e-6)
    assert len(np.unique(expected)) > 4
