"""The eleven inputs that a model may read."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dim_tf.config import ModelConfig


def model_inputs(config: ModelConfig) -> dict[str, keras.KerasTensor]:
    """Symbolic int32 inputs under the names of the authors' placeholders; any B, any C."""
    u, words, chars = config.max_utterances, config.max_utterance_len, config.max_word_len
    shapes = {
        "utterances": (u, words),
        "utterances_len": (u,),
        "utterances_num": (),
        "responses": (None, config.max_response_len),
        "responses_len": (None,),
        "personas": (config.max_profiles, config.max_profile_len),
        "personas_len": (config.max_profiles,),
        "personas_num": (),
        "utterances_char": (u, words, chars),
        "responses_char": (None, config.max_response_len, chars),
        "personas_char": (config.max_profiles, config.max_profile_len, chars),
    }
    return {
        name: keras.Input(shape=shape, dtype="int32", name=name) for name, shape in shapes.items()
    }


def word_inputs(config: ModelConfig) -> dict[str, keras.KerasTensor]:
    """Those of `model_inputs` that a model without characters reads."""
    every = model_inputs(config)
    return {name: each for name, each in every.items() if not name.endswith("_char")}


def input_names(model: keras.Model) -> list[str]:
    """The inputs that a model reads."""
    return [tensor.name for tensor in keras.tree.flatten(model.inputs)]


def empty_inputs(tensors: Any) -> dict[str, np.ndarray]:
    """One turn of padding with one candidate, for the input tensors of a model."""
    return {
        tensor.name: np.zeros([1, *(size or 1 for size in tensor.shape[1:])], np.int32)
        for tensor in keras.tree.flatten(tensors)
    }
