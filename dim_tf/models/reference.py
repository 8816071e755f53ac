"""The reference model: DIM as the paper defines it, in stock Keras layers; read this first.

The equations of Gu et al. (EMNLP 2019) are in `ReferenceDIM`, in their order, with their numbers at
the right margin. The four-fold vectors have the order of the authors' program (10, 11); the paper
prints the last two parts the other way round.

From the same weights the packed model (`dim_tf.models.dim`) computes the same logits and gradients
several times faster; tests hold the two equal. The reference model starts from stock Keras' initial
values, computes all padding, repeats context and persona for each candidate, makes the four-fold
vectors, and runs the BiLSTMs once for each kind of sentence.

Shapes: B batch, U utterances, P profiles, C candidates; L, R, Q words of an utterance, a response,
a profile; W characters of a word; D = 2 x units. A source, the context or the persona, has N
sentences (U or P) of T words (L or Q): X = N * T words in all.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, PROJECTION_UNITS, ModelConfig
from dim_tf.models.dtypes import at_least_float32
from dim_tf.models.inputs import model_inputs
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask

DIRECTIONS = ("forward", "backward")
BiLSTM = list[keras.layers.LSTM]


def build_reference(config: ModelConfig, word_vectors: np.ndarray) -> keras.Model:
    """Builds the reference model; it has the inputs and outputs of `dim_tf.build_model`.

    Args:
        config: ModelConfig. The sizes.
        word_vectors: float32 [V, word_dim]. The frozen word vectors.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, rnn_units=3, max_utterances=2)
    >>> model = build_reference(config, np.zeros((7, 4), "float32"))
    >>> model.name, len(model.trainable_variables)
    ('reference', 30)
    """
    inputs = model_inputs(config)
    layer = ReferenceDIM(config, np.asarray(word_vectors, "float32"), name="reference")
    return keras.Model(inputs, layer(inputs), name="reference")


class ReferenceDIM(keras.layers.Layer):
    """The eleven inputs to logits [B, C]; see `build_reference` for the arguments."""

    def encode(self, inputs: dict[str, Tensor], kind: str, training: bool) -> Tensor:
        """The encoded words of one kind of sentences (equations 4-6)."""
        embedded = self.embed(inputs[kind], inputs[f"{kind}_char"])  # [B, N, T, E]
        embedded = self.drop(f"{kind}/embedded", embedded, training)
        states, _ = self.run(  # [B, N, T, D]                                                  (4-6)
            self.encoder, embedded, inputs[f"{kind}_len"], f"{kind}/encoded", training
        )
        return states

    def interact(
        self, source: Tensor, response: Tensor, source_mask: Tensor, response_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A source [B, C, X, D] and a response [B, C, R, D] attend to each other (7-11)."""
        similarity = ops.matmul(response, _transposed(source))  # [B, C, R, X]                   (7)

        weights = masked_softmax(similarity, response_mask, axis=2)  # [B, C, R, X]
        attended_source = ops.matmul(_transposed(weights), response)  # [B, C, X, D]             (8)
        weights = masked_softmax(similarity, source_mask, axis=3)  # [B, C, R, X]
        attended_response = ops.matmul(weights, source)  # [B, C, R, D]                          (9)

        enhanced_source = _enhance(source, attended_source)  # [B, C, X, 4D]                    (10)
        enhanced_response = _enhance(response, attended_response)  # [B, C, R, 4D]              (11)
        return enhanced_source, enhanced_response

    def match(
        self, inputs: dict[str, Tensor], kind: str, encoded: dict[str, Tensor], training: bool
    ) -> tuple[Tensor, Tensor]:
        """Matches the responses with one source (7-19)."""
        response = encoded["responses"]  # [B, C, R, D]
        batch, count, steps, width = ops.shape(encoded[kind])
        _, candidates, words, _ = ops.shape(response)
        source = ops.reshape(encoded[kind], (batch, 1, count * steps, width))  # [B, 1, X, D]
        source = ops.broadcast_to(source, (batch, candidates, count * steps, width))
        lengths = ops.expand_dims(inputs[f"{kind}_len"], 1)  # [B, 1, N]
        source_mask = ops.reshape(length_mask(lengths, steps), (batch, 1, 1, count * steps))
        response_len = inputs["responses_len"]  # [B, C]
        response_mask = ops.expand_dims(length_mask(response_len, words), 3)  # [B, C, R, 1]
        source, response = self.interact(source, response, source_mask, response_mask)

        source = ops.reshape(source, (batch, candidates, count, steps, 4 * width))
        lengths = ops.broadcast_to(lengths, (batch, candidates, count))
        states, last = self.run(  # [B, C, N, T, D]                                          (12-15)
            self.matcher, source, lengths, f"{kind}/matched", training
        )
        source = _pool(states, last)  # [B, C, N, 2D]                                        (16-19)
        states, last = self.run(  # [B, C, R, D]                                             (12-15)
            self.matcher, response, response_len, f"{kind}/responses", training
        )
        return source, _pool(states, last)  # [B, C, 2D]                                     (16-19)

    def aggregate_context(self, utterances: Tensor, number: Tensor, training: bool) -> Tensor:
        """Matched utterances [B, C, U, 2D] to contexts (20, 21)."""
        number = ops.broadcast_to(number, ops.shape(utterances)[:2])  # [B, C]
        states, last = self.run(  # [B, C, U, D]                                                (20)
            self.aggregator, utterances, number, "utterances/aggregated", training
        )
        return _pool(states, last)  # [B, C, 2D]                                                (21)

    def aggregate_persona(self, profiles: Tensor, number: Tensor) -> Tensor:
        """Matched profiles [B, C, P, 2D] to personas (22, 23)."""
        scores = self.persona_scores(profiles)[..., 0]  # [B, C, P], ReLU before the mask
        mask = length_mask(number, ops.shape(profiles)[2])  # [B, 1, P]
        weights = masked_softmax(scores, mask, axis=2)  # [B, C, P]                             (22)
        return ops.sum(ops.expand_dims(weights, 3) * profiles, axis=2)  # [B, C, 2D]            (23)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """All of the above, in the paper's order."""
        encoded = {kind: self.encode(inputs, kind, training) for kind in _kinds(self.config)}
        features = []
        if self.config.use_context:
            utterances, response = self.match(inputs, "utterances", encoded, training)
            number = ops.expand_dims(inputs["utterances_num"], 1)  # [B, 1]
            features += [self.aggregate_context(utterances, number, training), response]
        if self.config.use_persona:
            profiles, response = self.match(inputs, "personas", encoded, training)
            number = ops.expand_dims(inputs["personas_num"], 1)  # [B, 1]
            features += [self.aggregate_persona(profiles, number), response]
        joined = ops.concatenate(features, axis=-1)  # [B, C, 8D]                               (24)
        hidden = self.hidden(self.drop("joined", joined, training))  # [B, C, 256]
        return self.logits(self.drop("hidden", hidden, training))[..., 0]  # [B, C]             (25)

    # === Layers ===

    def __init__(self, config: ModelConfig, word_vectors: np.ndarray, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.words = _frozen(word_vectors, "words")
        one_hot = np.eye(config.char_vocab_size)
        one_hot[0] = 0.0  # padding
        self.characters = _frozen(one_hot, "characters")
        self.convolutions = [
            keras.layers.Conv1D(
                CHARACTER_FILTERS,
                width,
                activation="relu",
                data_format="channels_last",
                name=f"width_{width}",
            )
            for width in CHARACTER_WIDTHS
        ]
        self.encoder = _bilstm(config, "encoder")
        self.matcher = _bilstm(config, "matcher")
        if config.use_context:
            self.aggregator = _bilstm(config, "aggregator")
        if config.use_persona:
            self.persona_scores = keras.layers.Dense(1, activation="relu", name="persona_scores")
        self.hidden = keras.layers.Dense(PROJECTION_UNITS, activation="relu", name="hidden")
        self.logits = keras.layers.Dense(1, name="logits")
        self.dropouts = {
            name: keras.layers.Dropout(config.dropout, name=name.replace("/", "_"))
            for name in _dropout_names(config)
        }

    def build(self, input_shapes: Any) -> None:
        """Makes the weights; the sizes are those of the config."""
        config, width = self.config, 2 * self.config.rnn_units  # D
        for convolution in self.convolutions:
            convolution.build((None, config.max_word_len, config.char_vocab_size))
        embedded = config.word_dim + CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
        for layer in self.encoder:
            layer.build((None, None, embedded))
        for layer in self.matcher:
            layer.build((None, None, 4 * width))
        if config.use_context:
            for layer in self.aggregator:
                layer.build((None, None, 2 * width))
        if config.use_persona:
            self.persona_scores.build((None, 2 * width))
        self.hidden.build((None, 4 * width * (config.use_context + config.use_persona)))
        self.logits.build((None, PROJECTION_UNITS))

    def drop(self, name: str, values: Tensor, training: bool) -> Tensor:
        """Dropout; the authors drop at 21 points, each of them has a layer of its own."""
        return self.dropouts[name](values, training=training)

    def embed(self, words: Tensor, characters: Tensor) -> Tensor:
        """[..., T] and [..., T, W] to [..., T, E]: word vectors and character features."""
        shape = ops.shape(characters)
        one_hot = self.characters(ops.reshape(characters, (-1, shape[-1])))  # [words, W, table]
        features = [ops.max(layer(one_hot), axis=1) for layer in self.convolutions]
        joined = ops.concatenate(features, axis=-1)  # [words, 150]
        joined = ops.reshape(joined, (*shape[:-1], joined.shape[-1]))  # [..., T, 150]
        return ops.concatenate([self.words(words), joined], axis=-1)

    def run(
        self, bilstm: BiLSTM, inputs: Tensor, lengths: Tensor, name: str, training: bool
    ) -> tuple[Tensor, Tensor]:
        """Outputs [..., T, D] after dropout, and last states h [..., D]; [..., T, F] and [...].

        The state does not change at masked words, so the backward direction starts at the last word
        of a row. Keras repeats outputs at masked words: here they become 0.
        """
        *rows, steps, size = ops.shape(inputs)
        inputs = ops.reshape(inputs, (-1, steps, size))  # [rows, T, F]
        mask = ops.reshape(length_mask(lengths, steps), (-1, steps))  # [rows, T]
        outputs, last_states = [], []
        for layer, direction in zip(bilstm, DIRECTIONS, strict=True):
            output, last, _ = layer(inputs, mask=mask > 0)
            if layer.go_backwards:
                output = ops.flip(output, axis=1)
            output = output * ops.cast(ops.expand_dims(mask, 2), output.dtype)
            outputs.append(self.drop(f"{name}/{direction}", output, training))
            last_states.append(last)
        output, last = ops.concatenate(outputs, axis=-1), ops.concatenate(last_states, axis=-1)
        width = last.shape[-1]
        return ops.reshape(output, (*rows, steps, width)), ops.reshape(last, (*rows, width))


def masked_softmax(scores: Tensor, mask: Tensor, axis: int) -> Tensor:
    """Softmax over the unmasked scores, uniform where all are masked; in at least float32."""
    dtype = at_least_float32(scores.dtype)
    mask = ops.cast(mask, dtype)
    masked = ops.cast(scores, dtype) * mask - 1e9 * (1.0 - mask)
    return ops.cast(ops.softmax(masked, axis=axis), scores.dtype)


def _enhance(x: Tensor, attended: Tensor) -> Tensor:
    """[..., D] twice to [..., 4D]."""
    return ops.concatenate([x, attended, x * attended, x - attended], axis=-1)


def _pool(outputs: Tensor, last: Tensor) -> Tensor:
    """[max; last state], [..., 2D]; the maximum includes the zeros of the padding."""
    return ops.concatenate([ops.max(outputs, axis=-2), last], axis=-1)


def _transposed(matrices: Tensor) -> Tensor:
    return ops.transpose(matrices, (0, 1, 3, 2))


def _kinds(config: ModelConfig) -> list[str]:
    """The kinds of sentences in the order of the authors' graph."""
    context, persona = ["utterances"] * config.use_context, ["personas"] * config.use_persona
    return [*context, "responses", *persona]


def _dropout_names(config: ModelConfig) -> list[str]:
    """The points where the authors drop."""
    kinds = _kinds(config)
    recurrent = [f"{kind}/encoded" for kind in kinds]
    recurrent += [
        f"{kind}/{side}"
        for kind in kinds
        if kind != "responses"
        for side in ("matched", "responses")
    ]
    recurrent += ["utterances/aggregated"] * config.use_context
    directions = [f"{name}/{direction}" for name in recurrent for direction in DIRECTIONS]
    return [*(f"{kind}/embedded" for kind in kinds), *directions, "joined", "hidden"]


def _frozen(table: np.ndarray, name: str) -> keras.layers.Embedding:
    """A table of vectors that is not trained."""
    return keras.layers.Embedding(*table.shape, weights=[table], trainable=False, name=name)


def _bilstm(config: ModelConfig, name: str) -> BiLSTM:
    """The layers of both directions; their outputs have the precision of the config."""
    return [
        keras.layers.LSTM(
            config.rnn_units,
            return_sequences=True,
            return_state=True,
            go_backwards=direction == "backward",
            use_cudnn=False,  # it refuses empty rows
            # Faster on TensorFlow, and smaller; XLA would compile each step separately.
            unroll=keras.backend.backend() == "tensorflow",
            name=f"{name}_{direction}",
            dtype=config.dtype,
        )
        for direction in DIRECTIONS
    ]
