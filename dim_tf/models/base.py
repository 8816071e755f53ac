"""The base class of the systems that match word by word: the encoder, packed and padded calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.inputs import model_inputs
from dim_tf.packing.batch import pack
from dim_tf.packing.in_graph import pack_in_graph
from dim_tf.packing.layout import EncoderBatch, PackedBatch, Tensor


class Encoded(NamedTuple):
    """Encoded sentences.

    Args:
        states: [M, D]. The output of the encoder for each packed word.
        last: [N, D]. The last state of each sorted sentence.
    """

    states: Tensor
    last: Tensor


class MatchingModel(keras.Model):
    """A model from the eleven inputs of `dim_tf.build_model` to logits [B, C].

    A call packs its arrays first, so that padding costs nothing. A traced call knows no lengths and
    runs padded. Both have the same layers and results.

    A system makes its layers, `words`, `characters` and `encoder` among them, then calls this
    constructor, and has a method `intermediates`.

    Args:
        config: ModelConfig. The sizes.
        sources: The sentences that the model reads besides the responses.
        name: str. The name of the system.
    """

    # The layers are attributes; as a graph the model is one layer, `_PaddedForward`.
    layers = keras.Model.layers

    def __init__(self, config: ModelConfig, sources: Sequence[str], name: str) -> None:
        self.config, self.sources = config, tuple(sources)
        inputs = model_inputs(config)
        logits = _PaddedForward(self, name="padded_forward")(inputs)
        super().__init__(inputs, logits, name=name)
        self.dtype_policy = config.dtype  # that of the encoded words

    def build(self, input_shape: Any = None) -> None:
        """Marks all layers as built: they have their weights when they are made."""
        for layer in self.layers:
            layer.built = True

    def forward(
        self,
        batch: PackedBatch,
        training: bool = False,
        encoded: Encoded | None = None,
    ) -> Tensor:
        """The logits of a packed batch, [B, C]; see `intermediates` for the arguments."""
        logits: Tensor = self.intermediates(batch, training, encoded)["logits"]
        return logits

    def intermediates(
        self,
        batch: PackedBatch,
        training: bool = False,
        encoded: Encoded | None = None,
    ) -> dict[str, Any]:
        """The tensors of the equations of the system, by name.

        They include `logits` [B, C], and `attention`: the `AttentionWeights` of each source that
        the responses are matched with.

        Args:
            batch: PackedBatch. The batch.
            training: bool. Whether dropout is active.
            encoded: Encoded. The output of the encoder if it is known, as in `dim_tf.runtime`.
        """
        raise NotImplementedError

    def encode(self, sentences: EncoderBatch, training: bool = False) -> Encoded:
        """Embeds each distinct word once, and encodes all sentences (equations 4-6)."""
        vectors = self.words(sentences.words)  # [W, word_dim]
        features = self.characters(sentences.characters)  # [W, 150]
        embedded = ops.concatenate([vectors, features], axis=-1)  # [W, E]
        return Encoded(*self.encoder(embedded, sentences, training=training))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Tensor:
        """The logits of public inputs, [B, C]."""
        arrays = _as_arrays(inputs)
        on_tensorflow = keras.backend.backend() == "tensorflow"
        if arrays is None or (training and not on_tensorflow):
            return super().call(inputs, training=training, mask=mask)
        if not on_tensorflow:
            # Operation by operation such a backend takes a minute for what it compiles in seconds.
            return ops.convert_to_tensor(self.predict_on_batch(arrays))
        return self.forward(pack(arrays, self.sources), bool(training))


class _PaddedForward(keras.layers.Layer):
    """The forward pass of a model from its public inputs, with all rows at all steps."""

    def __init__(self, model: MatchingModel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._forward, self._sources = model.forward, lambda: model.sources

    def call(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        return self._forward(pack_in_graph(inputs, self._sources(), padded=True), training)

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor], training: bool = False
    ) -> keras.KerasTensor:
        return keras.KerasTensor(inputs["responses_len"].shape, "float32")


def _as_arrays(inputs: Any) -> dict[str, np.ndarray] | None:
    """The inputs as NumPy arrays, or None where they have no values yet."""
    if not isinstance(inputs, Mapping):
        return None
    try:
        return {name: np.asarray(value) for name, value in inputs.items()}
    except (NotImplementedError, TypeError, ValueError):  # raised by a traced value
        return None
