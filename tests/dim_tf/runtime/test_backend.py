"""Backends that are unknown or not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dim_tf.errors import ConfigError
from dim_tf.runs.run import BEST
from dim_tf.runtime import backend
from tests.tiny_run import SHORT, saved, tiny_run

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path) -> Path:
    return saved(tiny_run(tmp_path / "run", **SHORT)).path


@pytest.fixture
def replies(tmp_path) -> Path:
    path = tmp_path / "replies.txt"
    path.write_text("tea\ndogs\n")
    return path


@pytest.mark.parametrize("name", ["torch", "numpy", "tensorflw"])
def test_another_backend_is_refused(name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(ConfigError, match=f"found '{name}', expected tensorflow or jax"):
        backend.load()


def python(code: str, *options: object, **environment: str) -> subprocess.CompletedProcess:
    inherited = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *code.split(" ", 1), *map(str, options)],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_backend_that_is_not_installed_is_one_line(run, replies):
    code = "import sys; sys.modules['jax'] = None; from dim_tf import predict; "
    code += "from dim_tf.cli import parser; sys.exit(parser.run(predict.main))"
    given = ("--run", run, "--candidates", replies)
    done = python(f"-c {code}", *given, KERAS_BACKEND="jax")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Keras cannot start on jax (")
    assert done.stderr.endswith("; install it, or set KERAS_BACKEND to tensorflow or jax\n")


def test_keras_own_settings_do_not_count(tmp_path):
    settings = {"backend": "theano", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = "from dim_tf.runtime import backend; backend.load(); import keras; "
    code += "from dim_tf.models.layers import CharacterCNN; c = CharacterCNN(5); "
    code += "c.build((None, 6)); print(keras.backend.backend(), c.convolutions[0].kernel.shape)"
    done = python(f"-c {code}", KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert done.stdout == "tensorflow (3, 5, 50)\n", done.stderr


@pytest.mark.backend
def test_float32_products_are_full_ones(monkeypatch):
    """A CPU computes them so in any case; a GPU would not."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_default_matmul_precision
    try:
        for chosen, expected in ((None, "highest"), ("tensorfloat32", "tensorfloat32")):
            jax.config.update("jax_default_matmul_precision", chosen)
            backend._multiply_exactly()
            assert jax.config.jax_default_matmul_precision == expected
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def test_no_notice_of_tensorflow_stands_before_the_one_line(run, replies):
    (run / BEST).write_bytes((run / BEST).read_bytes()[:1000])
    given = ("--run", run, "--candidates", replies)
    done = python("-m dim_tf.predict", *given, KERAS_BACKEND="tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {run / BEST}: damaged, or of another model than")
    assert done.stderr.count("\n") == 1
