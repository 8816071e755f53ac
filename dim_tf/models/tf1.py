"""The names of the authors' TensorFlow 1 graph, and weights under these names."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from dim_tf.config import CHARACTER_WIDTHS
from dim_tf.errors import CheckpointError, did_you_mean

_RNN = "{scope}/bidirectional_rnn/{direction}/lstm_cell/{part}"
_RNN_SCOPES = {
    "encoder": "encoding_layer/bidirectional_rnn",
    "matcher": "matching_layer/bidirectional_rnn_cross",
    "aggregator": "aggregation_layer/bidirectional_rnn_aggregation",
}


def _names() -> dict[str, str]:
    """Path of a variable in our models -> its name in the authors' graph."""
    names = {
        "persona_pooling/kernel": "aggregation_layer/pers_w",
        "persona_pooling/bias": "aggregation_layer/pers_b",
        "prediction/hidden/kernel": "prediction_layer/projected_layer/weights",
        "prediction/hidden/bias": "prediction_layer/projected_layer/biases",
        "prediction/kernel": "prediction_layer/s_w",
        "prediction/bias": "prediction_layer/bias",
    }
    for index, width in enumerate(CHARACTER_WIDTHS):
        names[f"characters/width_{width}/kernel"] = f"CNN_char_emb/conv_{index}/w"
        names[f"characters/width_{width}/bias"] = f"CNN_char_emb/conv_{index}/b"
    for layer, scope in _RNN_SCOPES.items():
        for ours, theirs in (("forward", "fw"), ("backward", "bw")):
            for part in ("kernel", "bias"):
                name = _RNN.format(scope=scope, direction=theirs, part=part)
                names[f"{layer}/{ours}_{part}"] = name
    return names


TF1_NAMES = _names()


def tf1_name(variable: keras.Variable) -> str:
    """The name of one of our variables in the authors' graph."""
    return TF1_NAMES[variable.path]


def load_tf1_variables(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Sets the model's trainable variables from arrays under the authors' names.

    DIM has 24; an ablation takes those that it has and leaves the others.

    Args:
        model: A model of `build_model`.
        arrays: TF1 variable name (without ":0") -> array.

    Raises:
        CheckpointError: If one is missing, of another shape, or not finite; nothing is set then.
    """
    values = []
    for variable in model.trainable_variables:
        name = tf1_name(variable)
        if name not in arrays:
            hint = did_you_mean(name, arrays)
            raise CheckpointError(f"variable {name} is missing from the checkpoint{hint}")
        value = np.asarray(arrays[name])
        if value.shape != tuple(variable.shape):
            raise CheckpointError(
                f"variable {name}: found shape {list(value.shape)}, expected "
                f"{list(variable.shape)}; do the sizes of the model fit the checkpoint?"
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"variable {name} holds values that are not finite numbers")
        values.append(value)
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
