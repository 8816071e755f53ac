"""Transformer encoders and a memory of the persona (Mazare et al., EMNLP 2018).

X is the number of context words that are read, the last ones. The other letters are those of
`dim_tf.models.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.bag_of_words import RECENCY, BagOfWords, unit
from dim_tf.models.layers import masked_softmax
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask

BLOCKS = 1
HEADS = 4
CONTEXT_WORDS = 48
UTTERANCES = 10  # earlier ones share their weight
# What the trained factors of the memory and of the cosine start from.
GAIN, SCALE = 2.0, 12.0
# How much a block adds to its input.
RESIDUAL = 0.1


@keras.saving.register_keras_serializable(package="dim_tf")
class Transformer(BagOfWords):
    """Encoders of context and reply, with one hop over the persona.

        c = encoder(the last words of the context)
        r = encoder(reply)
        p_i = W sum of the word vectors of profile i, at length 1
        q = c + sum_i softmax_i(c . p_i) p_i
        logit = scale cos(q, r)

    An encoder sums the outputs for all words, at length 1; in the context with a weight for each
    utterance, counted from the last one.

    The paper's two encoders share their word vectors. Here they share all weights, and start as
    sums of word vectors, which `adapt` whitens and weights by idf: the outputs of attention and of
    the feed-forward layer start at 0, and W as a multiple of the identity. On as few dialogues as
    PERSONA-CHAT has, fresh encoders learn slowly what such sums know from the start, that query and
    reply share words. The two outputs count a tenth: in full they overfit quickly, because Adam's
    step size does not shrink with the gradient.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` leaves out the hop.
        word_vectors: float32 [V, word_dim]. As of `DualEncoder`.
        name: str. The name of the system.

    Reference:
        Mazare, Humeau, Raison and Bordes, "Training Millions of Personalized Dialogue Agents",
        EMNLP 2018.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=8, max_utterances=2)
    >>> model = Transformer(config, np.ones((7, 8), "float32"))
    >>> tuple(model.encode_replies(np.array([[[1, 1, 3]]]), np.array([[2]])).shape)
    (1, 1, 8)
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "transformer"
    ) -> None:
        super().__init__(config, word_vectors, name)
        size = self.words.output_dim
        self.encoder = TransformerEncoder(size, config.dropout, name="encoder")
        self.recency = self.add_weight(
            shape=(UTTERANCES,),
            initializer=lambda shape, dtype: RECENCY ** ops.arange(shape[0], dtype=dtype),
            name="recency",
        )
        self.scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(SCALE), name="scale"
        )
        if config.use_persona:
            self.memory = dense(size, size, "memory", keras.initializers.Identity(GAIN))

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """The vectors of contexts with their personas, [B, d]."""
        words, age, mask = last_words(
            inputs["utterances"], inputs["utterances_len"], inputs["utterances_num"], CONTEXT_WORDS
        )
        weights = ops.take(self.recency, ops.minimum(age, UTTERANCES - 1)) * mask  # [B, X]
        query = self.encoder(self.words(words), mask, weights, training=training)  # [B, d]
        if self.config.use_persona:
            query = self.hop(query, inputs["personas"], inputs["personas_len"])
        return self.scale * unit(query)

    def hop(self, query: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        """Adds to contexts [B, d] what they find in the personas [B, P, Q]."""
        profiles = self.memory(unit(self.bag(words, lengths)))  # [B, P, d]
        mask = ops.cast(lengths > 0, "float32")  # [B, P]
        scores = ops.einsum("bd,bpd->bp", query, profiles)  # [B, P]
        weights = masked_softmax(scores, mask) * mask  # all 0 without a persona
        return query + ops.einsum("bp,bpd->bd", weights, profiles)

    def encode_replies(self, words: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """The vectors of replies, [B, C, d], for word ids [B, C, R] and lengths [B, C].

        Of a longer reply the first `CONTEXT_WORDS` words are read.
        """
        words, lengths = words[..., :CONTEXT_WORDS], ops.minimum(lengths, CONTEXT_WORDS)
        batch, count, steps = ops.shape(words)
        rows = self.words(ops.reshape(words, (-1, steps)))  # [B*C, R, d]
        mask = length_mask(ops.reshape(lengths, (-1,)), steps)  # [B*C, R]
        vectors = self.encoder(rows, mask, mask, training=training)  # [B*C, d]
        return ops.reshape(vectors, (batch, count, vectors.shape[-1]))


def build_ft_pc(config: ModelConfig, word_vectors: np.ndarray) -> Transformer:
    """FT-PC: the same model, that starts from the weights of one trained on another corpus."""
    return Transformer(config, word_vectors, "ft_pc")


class TransformerEncoder(keras.layers.Layer):
    """Sentences to vectors of length 1: the weighted sum of the outputs of all words.

    Args:
        size: int. d.
        dropout: float. Fraction dropped of the output of each layer.
    """

    def __init__(self, size: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [Block(size, dropout, name=f"block_{n}") for n in range(BLOCKS)]

    def call(self, states: Tensor, mask: Tensor, weights: Tensor, training: bool = False) -> Tensor:
        """Word vectors [N, T, d], their mask and their weights [N, T] to vectors [N, d]."""
        for block in self.blocks:
            states = block(states, mask, training=training)  # [N, T, d]
        return unit(ops.einsum("ntd,nt->nd", states, weights))


class Block(keras.layers.Layer):
    """Self-attention and a feed-forward layer, each with a residual.

    Args:
        size: int. d.
        dropout: float. Fraction dropped of both outputs.
    """

    def __init__(self, size: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positions = self.add_weight(
            shape=(CONTEXT_WORDS, size),
            initializer=keras.initializers.RandomNormal(stddev=0.2),
            name="positions",
        )
        self.width = max(size // HEADS, 1)
        heads = HEADS * self.width
        self.attention_norm = normalisation(size, "attention_norm")
        self.query, self.key, self.value = (
            dense(heads, size, name) for name in ("query", "key", "value")
        )
        self.attended = dense(size, heads, "attended", "zeros")
        self.attention_drop = keras.layers.Dropout(dropout, name="attention_drop")
        self.dense_norm = normalisation(size, "dense_norm")
        self.inner, self.outer = (
            dense(2 * size, size, "inner"),
            dense(size, 2 * size, "outer", "zeros"),
        )
        self.dense_drop = keras.layers.Dropout(dropout, name="dense_drop")

    def call(self, states: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """[N, T, d] and [N, T] to [N, T, d]."""
        inputs = self.attention_norm(states) + self.positions[: states.shape[1]]
        attended = self.attend(inputs, mask)
        states = states + RESIDUAL * self.attention_drop(attended, training=training)
        outputs = self.outer(ops.relu(self.inner(self.dense_norm(states))))
        return states + RESIDUAL * self.dense_drop(outputs, training=training)

    def attend(self, states: Tensor, mask: Tensor) -> Tensor:
        """Each word looks at all words of its sentence, with several heads; [N, T, d]."""
        steps = states.shape[1]
        heads = [
            ops.reshape(layer(states), (-1, steps, HEADS, self.width))
            for layer in (self.query, self.key, self.value)
        ]
        mask = mask[:, None, None] > 0  # [N, 1, 1, T]
        attended = ops.dot_product_attention(*heads, mask=mask)  # [N, T, heads, width]
        return self.attended(ops.reshape(attended, (-1, steps, HEADS * self.width)))


def dense(
    units: int, size: int, name: str, initializer: Any = "glorot_uniform"
) -> keras.layers.Dense:
    """A layer of [..., size] to [..., units], with its weights."""
    layer = keras.layers.Dense(units, kernel_initializer=initializer, name=name)
    layer.build((None, size))
    return layer


def normalisation(size: int, name: str) -> keras.layers.LayerNormalization:
    """A layer of [..., size], with its weights."""
    layer = keras.layers.LayerNormalization(epsilon=1e-6, name=name)
    layer.build((None, size))
    return layer


def last_words(
    words: Tensor, lengths: Tensor, number: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The last words of contexts, the last one first, without the gaps of padding.

    Args:
        words: int [B, U, L].
        lengths: int [B, U].
        number: int [B]. The number of utterances.
        count: int. X, at most.

    Returns:
        The words, int [B, X]; the age of their utterances, 0 for the last one, int [B, X]; and
        their mask, float32 [B, X].

    >>> context = np.array([[[5, 6, 0], [7, 0, 0]]]), np.array([[2, 1]]), np.array([2])
    >>> [ops.convert_to_numpy(each).tolist() for each in last_words(*context, 4)]
    [[[7, 6, 5, 0]], [[0, 1, 1, 0]], [[1.0, 1.0, 1.0, 0.0]]]
    """
    size = words.shape[1] * words.shape[2]
    mask = ops.reshape(length_mask(lengths, words.shape[2]), (-1, size))  # [B, U*L]
    places = ops.arange(size, 0, -1, dtype="float32")  # smaller for later words
    order = ops.argsort(places + size * (1.0 - mask), axis=1)[:, :count]  # padding comes last
    age = ops.maximum(number[:, None] - 1 - order // words.shape[2], 0)  # [B, X]
    mask = ops.take_along_axis(mask, order, axis=1)
    words = ops.take_along_axis(ops.reshape(words, (-1, size)), order, axis=1)
    return words, ops.cast(age * ops.cast(mask, age.dtype), "int32"), mask
