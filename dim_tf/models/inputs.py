"""The eleven inputs that every model takes."""

from __future__ import annotations

import keras
from keras import ops

from dim_tf.config import ModelConfig

KINDS = ("utterances", "responses", "personas")


def model_inputs(config: ModelConfig) -> dict[str, keras.KerasTensor]:
    """Symbolic int32 inputs under the authors' placeholder names; any B, any C."""
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


class WordPlaces(keras.layers.Layer):
    """Lists the words of a batch, and says for each sentence which of them it is made of.

    Here every place is a word of its own; `dim_tf.batching` lists each distinct word once.

    Takes the eleven inputs; returns word ids [words], their characters [words, W], and a dict from
    kind to int32 [B, N, T], rows of that list.
    """

    def call(self, inputs):
        words = ops.concatenate([ops.reshape(inputs[kind], (-1,)) for kind in KINDS])
        chars = [inputs[f"{kind}_char"] for kind in KINDS]
        chars = ops.concatenate([ops.reshape(c, (-1, c.shape[-1])) for c in chars])
        places, start = {}, 0
        for kind in KINDS:
            shape = ops.shape(inputs[kind])
            count = shape[0] * shape[1] * shape[2]
            places[kind] = ops.reshape(start + ops.arange(count, dtype="int32"), shape)
            start += count
        return words, chars, places
