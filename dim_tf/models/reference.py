"""DIM as the authors' graph computes it, of stock Keras layers.

It is the yardstick of the benchmarks and a reference in tests. It computes every padded place,
tiles context and persona over the candidates, makes the four-fold enhanced vectors, and calls the
shared BiLSTMs once for each kind of sequence.

Letters as in `dim_tf.models.layers`: B batch, U utterances, P profiles, C candidates, L, R, Q words
of an utterance, a response, a profile, W characters of a word, D = 2 x units; N rows of T words,
X = N*T in all, stands for the utterances or the profiles of a turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, PROJECTION_UNITS, ModelConfig
from dim_tf.models.inputs import model_inputs

Drop = Callable[[Any, str], Any]
DIRECTIONS = ("forward", "backward")


def build_plain(
    config: ModelConfig, word_vectors: np.ndarray, drop: Drop | None = None
) -> keras.Model:
    """Builds the plain model; it takes and gives what the models of `build_model` do.

    Its fresh weights are Keras' own: see `benchmarks.plain_weights` for others.

    Args:
        config: Sizes.
        word_vectors: float32 [V, word_dim], frozen.
        drop: `drop(x, place)` is done in the place of dropout, whether training or not; the places
            are those of `dropout_places`.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, rnn_units=3, max_utterances=2)
    >>> model = build_plain(config, np.zeros((7, 4), "float32"))
    >>> model.name, len(model.trainable_variables)
    ('plain', 30)
    """
    inputs = model_inputs(config)
    layer = PlainDIM(config, np.asarray(word_vectors, "float32"), drop, name="plain")
    return keras.Model(inputs, layer(inputs), name="plain")


def dropout_places(config: ModelConfig) -> list[str]:
    """The places where the authors drop, in their order: 21 in the whole DIM.

    >>> places = dropout_places(ModelConfig(char_vocab_size=9))
    >>> len(places), places[0], places[-4:]
    (21, 'utterances/embedded', ['utterances/aggregated/forward', ..., 'joined', 'hidden'])
    """
    kinds, halves = _kinds(config), _halves(config)
    recurrent = [f"{kind}/encoded" for kind in kinds]
    recurrent += [f"{half}/{side}" for half in halves for side in ("matched", "responses")]
    recurrent += ["utterances/aggregated"] * config.use_context
    return [
        *(f"{kind}/embedded" for kind in kinds),
        *(f"{place}/{direction}" for place in recurrent for direction in DIRECTIONS),
        "joined",
        "hidden",
    ]


class PlainDIM(keras.layers.Layer):
    """The eleven inputs to logits [B, C]; see `build_plain` for the arguments."""

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, drop: Drop | None = None, **kwargs
    ):
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
        self._given_drop = drop
        if drop is None:
            self.dropouts = {
                place: keras.layers.Dropout(config.dropout, name=place.replace("/", "_"))
                for place in dropout_places(config)
            }

    def build(self, input_shapes):
        """Makes the weights; the sizes are those of the config."""
        config = self.config
        width = 2 * config.rnn_units  # D
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
        self.hidden.build((None, 4 * width * len(_halves(config))))
        self.logits.build((None, PROJECTION_UNITS))

    def call(self, inputs, training=False):
        """The equations of DIM, in the authors' order."""

        def drop(x, place):
            return self.dropouts[place](x, training=training)

        drop = self._given_drop or drop

        # Word representation, and sentence encoding (4-6): one call for each kind.
        encoded = {}
        for kind in _kinds(self.config):
            embedded = self._embed(inputs[kind], inputs[f"{kind}_char"])  # [B, N, T, E]
            embedded = drop(embedded, f"{kind}/embedded")
            lengths = inputs[f"{kind}_len"]
            encoded[kind], _ = _run(self.encoder, embedded, lengths, drop, f"{kind}/encoded")

        joined = []
        responses, responses_len = encoded["responses"], inputs["responses_len"]
        batch, candidates, words, width = ops.shape(responses)
        for half in _halves(self.config):
            _, count, steps, _ = ops.shape(encoded[half])  # N, T
            others = ops.reshape(encoded[half], (batch, 1, count * steps, width))
            others = ops.broadcast_to(others, (batch, candidates, count * steps, width))
            lengths = ops.expand_dims(inputs[f"{half}_len"], 1)  # [B, 1, N]
            there = ops.reshape(_there(lengths, steps), (batch, 1, 1, count * steps))

            # Interactive matching (7-11).
            similarity = ops.matmul(responses, ops.transpose(others, (0, 1, 3, 2)))  # [B, C, R, X]
            to_others = _masked_softmax(similarity, there, axis=3)
            responses_there = ops.expand_dims(_there(responses_len, words), 3)  # [B, C, R, 1]
            to_responses = _masked_softmax(similarity, responses_there, axis=2)
            seen_by_responses = ops.matmul(to_others, others)  # [B, C, R, D]
            seen_by_others = ops.matmul(ops.transpose(to_responses, (0, 1, 3, 2)), responses)
            enhanced_others = _enhance(others, seen_by_others)  # [B, C, X, 4D]
            enhanced_responses = _enhance(responses, seen_by_responses)  # [B, C, R, 4D]

            # Composition (12-19).
            others = ops.reshape(
                enhanced_others, (batch, candidates, count, steps, enhanced_others.shape[-1])
            )
            lengths = ops.broadcast_to(lengths, (batch, candidates, count))
            others = _pool(self.matcher, others, lengths, drop, f"{half}/matched")  # [B, C, N, 2D]
            responses_matched = _pool(
                self.matcher, enhanced_responses, responses_len, drop, f"{half}/responses"
            )  # [B, C, 2D]

            # Aggregation (20-24): [context; response; persona; response].
            number = ops.expand_dims(inputs[f"{half}_num"], 1)  # [B, 1]
            if half == "utterances":
                number = ops.broadcast_to(number, (batch, candidates))
                aggregated = _pool(self.aggregator, others, number, drop, "utterances/aggregated")
            else:
                scores = self.persona_scores(others)[..., 0]  # [B, C, P], ReLU before the mask
                weights = _masked_softmax(scores, _there(number, count), axis=2)
                aggregated = ops.sum(ops.expand_dims(weights, 3) * others, axis=2)
            joined += [aggregated, responses_matched]

        joined = drop(ops.concatenate(joined, axis=-1), "joined")  # [B, C, 8D]
        return self.logits(drop(self.hidden(joined), "hidden"))[..., 0]  # (25)

    def _embed(self, words, characters):
        """[..., T] and [..., T, W] to [..., T, word_dim + 150]: every place, padding too."""
        shape = ops.shape(characters)
        one_hot = self.characters(ops.reshape(characters, (-1, shape[-1])))  # [words, W, table]
        features = [ops.max(layer(one_hot), axis=1) for layer in self.convolutions]
        features = ops.concatenate(features, axis=-1)  # [words, 150]
        features = ops.reshape(features, (*shape[:-1], features.shape[-1]))
        return ops.concatenate([self.words(words), features], axis=-1)


def _halves(config: ModelConfig) -> list[str]:
    return ["utterances"] * config.use_context + ["personas"] * config.use_persona


def _kinds(config: ModelConfig) -> list[str]:
    used = {"responses", *_halves(config)}
    return [kind for kind in ("utterances", "responses", "personas") if kind in used]


def _frozen(table: np.ndarray, name: str) -> keras.layers.Embedding:
    """A table of vectors that is not trained."""
    return keras.layers.Embedding(*table.shape, weights=[table], trainable=False, name=name)


def _bilstm(config: ModelConfig, name: str) -> list[keras.layers.LSTM]:
    """The layers of both directions; what they give has the precision of the config."""
    return [
        keras.layers.LSTM(
            config.rnn_units,
            return_sequences=True,
            return_state=True,
            go_backwards=direction == "backward",
            use_cudnn=False,  # it refuses empty rows
            # Faster on TensorFlow, and smaller; XLA would compile each step on its own.
            unroll=keras.backend.backend() == "tensorflow",
            name=f"{name}_{direction}",
            dtype=config.dtype,
        )
        for direction in DIRECTIONS
    ]


def _run(bilstm, inputs, lengths, drop, place):
    """Outputs [..., T, D] after dropout, and last states h [..., D]; [..., T, F] and [...].

    Where the mask is off the state stays as it is, so the backward direction starts at the last
    word of a row. Keras repeats outputs there: they are made 0.
    """
    *rows, steps, size = ops.shape(inputs)
    inputs = ops.reshape(inputs, (-1, steps, size))
    there = ops.reshape(_there(lengths, steps), (-1, steps))
    outputs, lasts = [], []
    for layer, direction in zip(bilstm, DIRECTIONS, strict=True):
        output, last, _ = layer(inputs, mask=there > 0)
        if layer.go_backwards:
            output = ops.flip(output, axis=1)
        output = output * ops.cast(ops.expand_dims(there, 2), output.dtype)
        outputs.append(drop(output, f"{place}/{direction}"))
        lasts.append(last)
    outputs, last = ops.concatenate(outputs, axis=-1), ops.concatenate(lasts, axis=-1)
    width = last.shape[-1]
    return ops.reshape(outputs, (*rows, steps, width)), ops.reshape(last, (*rows, width))


def _pool(bilstm, inputs, lengths, drop, place):
    """[max over all places, the zeros of the padding too; last state], [..., 2D]."""
    outputs, last = _run(bilstm, inputs, lengths, drop, place)
    return ops.concatenate([ops.max(outputs, axis=-2), last], axis=-1)


def _enhance(own, seen):
    """[..., D] twice to [..., 4D] (10 and 11, in the order of the authors' weights)."""
    return ops.concatenate([own, seen, own * seen, own - seen], axis=-1)


def _there(lengths, size: int):
    """1.0 before each length, 0.0 from there on: [...] to [..., size]."""
    places = ops.arange(size, dtype="int32")
    return ops.cast(ops.expand_dims(lengths, -1) > places, keras.config.floatx())


def _masked_softmax(scores, mask, axis: int):
    """Uniform where nothing is there; in float32 at least."""
    masked = ops.cast(scores, mask.dtype) * mask - 1e9 * (1.0 - mask)
    return ops.cast(ops.softmax(masked, axis=axis), scores.dtype)
