"""`model.save` and `keras.saving.load_model` on both backends, without `custom_objects`."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.random_model import built, random_inputs, word_table

ROOT = Path(__file__).parents[3]
SYSTEMS = [
    ("dim", {}),
    ("dim", {"use_persona": False}),
    ("dim", {"use_context": False}),
    ("dim", {"precision": "bfloat16"}),
    ("imn", {}),
    ("imn_ctx", {}),
    ("imn_utr", {}),
]
# Another process that imports the models alone loads saved ones and saves their logits.
LOAD = """
import sys
import dim_tf.models
import keras
import numpy as np
for path in sys.argv[2:]:
    model = keras.saving.load_model(path)
    inputs = dict(np.load(sys.argv[1]))
    np.save(path + ".npy", np.asarray(keras.ops.cast(model(inputs), "float32")))
"""


@pytest.mark.backend
@pytest.mark.parametrize(("name", "changes"), SYSTEMS)
def test_a_saved_model_is_loaded(name, changes, tmp_path):
    model, _ = built(name, **changes)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert (type(loaded), loaded.name, loaded.config) == (type(model), model.name, model.config)
    assert np.array_equal(np.asarray(loaded.words.vectors), word_table())
    inputs = random_inputs(np.random.default_rng(1))
    np.testing.assert_array_equal(np.asarray(loaded(inputs)), np.asarray(model(inputs)))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.read("config.json")) < 50_000


@pytest.mark.backend
def test_the_other_backend_loads_it_after_importing_the_models_alone(tmp_path):
    """float16 weights and vectors too, as in a pretrained model."""
    inputs = random_inputs(np.random.default_rng(2))
    np.savez(tmp_path / "inputs.npz", **inputs)
    expected = {}
    for name in ("dim", "imn_utr"):
        model, _ = built(name)
        for variable in (*model.trainable_variables, model.words.vectors):
            variable.assign(np.asarray(variable).astype("float16").astype("float32"))
        path = str(tmp_path / f"{name}.keras")
        model.save(path)
        expected[path] = np.asarray(model(inputs))
    other = "tensorflow" if keras.backend.backend() == "jax" else "jax"
    subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "inputs.npz"), *expected],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": other, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )
    for path, logits in expected.items():
        np.testing.assert_allclose(np.load(f"{path}.npy"), logits, rtol=0, atol=1e-5)
