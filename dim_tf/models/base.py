"""What all systems share: public inputs, and a packed form of the same layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras

from dim_tf.config import ModelConfig
from dim_tf.models.inputs import WordPlaces, model_inputs
from dim_tf.sizes import Sizes

Layers = Mapping[str, keras.layers.Layer]
Connect = Callable[[ModelConfig, Layers, Mapping[str, Any], Sizes, bool | None], Any]


class MatchingModel(keras.Model):
    """A functional model from the eleven inputs of `dim_tf.models.build_model` to logits [B, C].

    Args:
        name: Of the system.
        config: Sizes.
        layers: Everything with weights or a name, by name.
        connect: The system's equations: `connect(config, layers, batch, sizes, training)` gives the
            logits of a packed batch.
    """

    def __init__(self, name: str, config: ModelConfig, layers: Layers, connect: Connect):
        inputs = model_inputs(config)
        words, words_char, places = WordPlaces(name="word_places")(inputs)
        batch = {**inputs, **places, "words": words, "words_char": words_char}
        super().__init__(inputs, connect(config, layers, batch, Sizes(), None), name=name)
        self.config = config
        self._connect = functools.partial(connect, config, layers)

    def packed(self, batch: Mapping[str, Any], sizes: Sizes | None = None, training: bool = False):
        """The same logits from a batch that lists each distinct word once.

        Args:
            batch: `words` int32 [words] and `words_char` int32 [words, W]: the distinct words;
                `utterances`, `responses`, `personas`: rows of that list, in the shapes of the
                public inputs; their `_len` and `_num` as there.
            sizes: Fixed sizes for compilation, at least what the batch needs.
            training: Whether to drop.
        """
        return self._connect(batch, sizes or Sizes(), training)
