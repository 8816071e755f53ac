"""The start of a training: requests, initial weights, determinism."""

import os

import keras
import numpy as np
import pytest

from dim_tf import train
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import ConfigError
from dim_tf.training import start


def test_imn_reads_no_persona():
    arguments = train.build_parser().parse_args(["--prepared=x", "--run=y", "--model=imn"])
    assert start.check_request(arguments).chosen == {"model": "imn", "persona": "none"}


def test_both_personas_need_room_for_both(prepared):
    data = PreparedData.load(prepared)
    with pytest.raises(ConfigError, match="max_profiles: found 5, expected 10 or more"):
        start.new_run("run", data, {"max_profiles": 5}, "dim", "both", "revised")


@pytest.mark.parametrize("model", ["dim", "imn"])
def test_the_input_scale_multiplies_the_input_part_of_the_encoder_only(prepared, model):
    data = PreparedData.load(prepared)
    persona = "none" if model == "imn" else "self"
    fresh, scaled = (
        start.initial_model(
            start.new_run("run", data, {"rnn_units": 3, "input_scale": scale}, model, persona)
        )
        for scale in (1.0, 3.0)
    )
    words = fresh.get_layer("encoder").input_dim
    for one, other in zip(fresh.trainable_variables, scaled.trainable_variables, strict=True):
        one, other = np.asarray(one.value).copy(), np.asarray(other.value)
        if one.shape == (words + 3, 12):
            one[:words] *= 3
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a setting of TensorFlow")
@pytest.mark.parametrize(
    ("wanted", "gpus", "made"), [(False, 0, True), (False, 1, False), (True, 1, True)]
)
def test_repeatable_operations_on_a_gpu_are_optional(
    wanted, gpus, made, make_deterministic, monkeypatch
):
    import tensorflow as tf

    calls = []
    monkeypatch.setenv("XLA_FLAGS", "--a=1")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    config = tf.config.experimental
    monkeypatch.setattr(config, "enable_op_determinism", lambda: calls.append("made"))
    make_deterministic(wanted)
    assert calls == ["made"] * made
    flag = " --xla_gpu_deterministic_ops=true"
    assert os.environ["XLA_FLAGS"] == "--a=1" + flag * wanted
