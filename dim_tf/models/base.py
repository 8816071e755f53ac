"""What all systems share: public inputs, the encoder, and a packed form of the same layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, ModelConfig
from dim_tf.models.bilstm import Encoder
from dim_tf.models.inputs import PaddedPlan, model_inputs
from dim_tf.models.layers import CharacterCNN, Prediction, WordEmbedding
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, Sizes

Layers = Mapping[str, keras.layers.Layer]
Match = Callable[..., Any]


def shared_layers(config: ModelConfig, word_vectors: np.ndarray) -> dict[str, keras.layers.Layer]:
    """The layers at both ends of every system: word representation, encoder, prediction.

    Words and prediction are float32 in every precision: they are few products, and TensorFlow sums
    up the gradients of their biases in the dtype of the layer.
    """
    embedding_dim = config.word_dim + CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
    sizes, dropout, dtype = (embedding_dim, config.rnn_units), config.dropout, config.dtype
    return {
        "words": WordEmbedding(word_vectors, name="words"),
        "characters": CharacterCNN(config.char_vocab_size, name="characters"),
        "encoder": Encoder(*sizes, dropout, name="encoder", dtype=dtype),
        "joined_dropout": keras.layers.Dropout(dropout, name="joined_dropout", dtype=dtype),
        "prediction": Prediction(dropout, name="prediction"),
    }


def predict(layers: Layers, tensors: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the logits [B, C] to tensors whose `joined` is the joined feature [B, C, F] (24, 25)."""
    training = options.get("training")
    joined = layers["joined_dropout"](tensors["joined"], training=training)
    logits = layers["prediction"](joined, training=training)
    return {**tensors, "joined": joined, "logits": logits}


class MatchingModel(keras.Model):
    """A functional model from the eleven inputs of `dim_tf.build_model` to logits [B, C].

    It computes in one of two forms, with the same layers and results. The packed form leaves out
    what is padding; arrays are packed when it is called. A traced call knows no lengths: it runs
    padded, every row at every step.

    Args:
        name: Of the system.
        config: Sizes.
        layers: Everything with weights or a name, by name.
        halves: What the responses are matched with: "utterances", "personas" or both.
        match: The system's equations: `match(config, layers, encoded, batch, options)` gives a dict
            of tensors, the logits [B, C] among them, of the encoded words [M, D] and a batch of
            `dim_tf.packing.batch.pack`. The options go to the BiLSTMs: without any, all is padded.
    """

    def __init__(
        self, name: str, config: ModelConfig, layers: Layers, halves: Sequence[str], match: Match
    ):
        inputs = model_inputs(config)
        batch = PaddedPlan([*halves, "responses"], name="padded_plan")(inputs)
        encoded = _encode(layers, batch)
        tensors = match(config, layers, encoded, batch, {})
        super().__init__(inputs, tensors["logits"], name=name)
        self.dtype_policy = config.dtype  # that of the encoded words
        self.config, self.halves = config, tuple(halves)
        self._parts, self._match = layers, match

    def call(self, inputs, training=None, mask=None):
        """Logits [B, C] of public inputs."""
        arrays = _as_arrays(inputs)
        if arrays is None or (training and keras.backend.backend() != "tensorflow"):
            return super().call(inputs, training=training, mask=mask)
        if keras.backend.backend() != "tensorflow":
            # Operation by operation such a backend takes a minute for what it compiles in seconds.
            return ops.convert_to_tensor(self.predict_on_batch(arrays))
        return self.packed(pack(arrays, self.halves), EXACT, bool(training))

    def packed(self, batch: Mapping[str, Any], sizes: Sizes, training: bool = False):
        """The same logits from a batch of `dim_tf.packing.batch.pack`.

        Args:
            batch: The batch, packed for these sizes.
            sizes: Fixed ones; with none, TensorFlow takes those of the batch.
            training: Whether to drop.
        """
        return self.tensors(batch, sizes, training)["logits"]

    def tensors(self, batch: Mapping[str, Any], sizes: Sizes, training: bool = False):
        """The logits and what lies before them, under the names that `match` gives them."""
        return self.match(self.encode(batch, sizes, training), batch, sizes, training)

    def encode(self, batch: Mapping[str, Any], sizes: Sizes, training: bool = False):
        """The encoded words of all sentences, packed: [M, D], and their last states."""
        return _encode(self._parts, batch, sizes=sizes, training=training)

    def match(self, encoded, batch: Mapping[str, Any], sizes: Sizes, training: bool = False):
        """What follows the encoder."""
        options = {"sizes": sizes, "training": training}
        return self._match(self.config, self._parts, encoded, batch, options)


def _encode(layers, batch, **options):
    # Word representation: a frozen vector and character features, of each word once.
    vectors = ops.concatenate(
        [layers["words"](batch["words"]), layers["characters"](batch["words_char"])], axis=-1
    )
    # Sentence encoding (4-6).
    return layers["encoder"](vectors, batch["encoder"], **options)


def _as_arrays(inputs) -> dict[str, np.ndarray] | None:
    """The inputs as NumPy arrays, or None where they have no values yet."""
    if not isinstance(inputs, Mapping):
        return None
    try:
        return {name: np.asarray(value) for name, value in inputs.items()}
    except (NotImplementedError, TypeError, ValueError):  # what a traced value says
        return None
