"""Transformer encoders and a memory of the persona (Mazare et al., EMNLP 2018).

Words X of a context, the last ones; d = `word_dim`; other letters as in `dim_tf.models.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.models.dual_encoder import DualEncoder
from dim_tf.packing.layout import Tensor
from dim_tf.packing.masks import length_mask

BLOCKS = 1
HEADS = 4
CONTEXT_WORDS = 48
UTTERANCES = 10  # those before share a vector


@keras.saving.register_keras_serializable(package="dim_tf")
class Transformer(DualEncoder):
    """Encoders of context and reply, with one hop over the persona.

        c = encoder(the last words of the context, each with the vector of its utterance)
        r = encoder(reply)
        p_i = W (sum of the word vectors of profile i) / sqrt(words of profile i) + b
        q = c + sum_i softmax_i(c . p_i / sqrt(d)) p_i
        logit = q . r / sqrt(d)

    The paper's two encoders share their word vectors; here they share all weights, and W starts as
    the identity: more of either is learnt from less text.

    Args:
        config: ModelConfig. The sizes. `use_persona=False` leaves out the hop.
        word_vectors: float32 [V, word_dim]. The word vectors that training starts from.
        name: str. The name of the system.

    Reference:
        Mazare, Humeau, Raison and Bordes, "Training Millions of Personalized Dialogue Agents",
        EMNLP 2018.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=8, max_utterances=2)
    >>> model = Transformer(config, np.ones((7, 8), "float32"))
    >>> model.encode_replies(np.array([[[1, 1, 3]]]), np.array([[2]])).shape
    TensorShape([1, 1, 8])
    """

    def __init__(
        self, config: ModelConfig, word_vectors: np.ndarray, name: str = "transformer"
    ) -> None:
        super().__init__(config, word_vectors, name)
        size = config.word_dim
        self.encoder = TransformerEncoder(size, config.dropout, name="encoder")
        self.utterances = keras.layers.Embedding(
            UTTERANCES, size, embeddings_initializer=small(), name="utterances"
        )
        self.utterances.build()
        if config.use_persona:
            # Words that profile and reply share count from the first update on.
            self.memory = dense(size, size, "memory", "identity")

    def encode_query(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """The vectors of contexts with their personas, [B, d]."""
        words, age, mask = last_words(
            inputs["utterances"], inputs["utterances_len"], inputs["utterances_num"], CONTEXT_WORDS
        )
        age = ops.minimum(age, UTTERANCES - 1)
        embedded = self.words(words) + self.utterances(age)  # [B, X, d]
        query = self.encoder(embedded, mask, training=training)  # [B, d]
        if self.config.use_persona:
            query = self.hop(query, inputs["personas"], inputs["personas_len"])
        return query / np.sqrt(self.config.word_dim, dtype="float32")

    def hop(self, query: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        """Adds to contexts [B, d] what they find in the personas [B, P, Q]."""
        number = ops.cast(ops.maximum(lengths, 1), query.dtype)[..., None]  # [B, P, 1]
        profiles = self.memory(self.bag(words, lengths) / ops.sqrt(number))  # [B, P, d]
        scores = ops.einsum("bd,bpd->bp", query, profiles)  # [B, P]
        present = ops.cast(lengths > 0, query.dtype)  # [B, P]
        scores = scores / np.sqrt(self.config.word_dim, dtype="float32") - 1e9 * (1 - present)
        weights = ops.softmax(scores, axis=-1) * present  # all 0 without a persona
        return query + ops.einsum("bp,bpd->bd", weights, profiles)

    def encode_replies(self, words: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """The vectors of replies, [B, C, d], for word ids [B, C, R] and lengths [B, C]."""
        batch, count, steps = ops.shape(words)
        rows = self.words(ops.reshape(words, (-1, steps)))  # [B*C, R, d]
        mask = length_mask(ops.reshape(lengths, (-1,)), steps)  # [B*C, R]
        vectors = self.encoder(rows, mask, training=training)  # [B*C, d]
        return ops.reshape(vectors, (batch, count, vectors.shape[-1]))


def build_ft_pc(config: ModelConfig, word_vectors: np.ndarray) -> Transformer:
    """FT-PC: the same model, that starts from the weights of one trained on another corpus."""
    return Transformer(config, word_vectors, "ft_pc")


class TransformerEncoder(keras.layers.Layer):
    """Sentences to vectors: the mean of the outputs of all words.

    Layers are normalised before they are applied, so that training needs no warm-up.

    Args:
        size: int. d.
        dropout: float. Fraction dropped of the inputs and of the output of each layer.
    """

    def __init__(self, size: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positions = self.add_weight(
            shape=(CONTEXT_WORDS, size),
            initializer=small(),
            name="positions",
        )
        self.drop = keras.layers.Dropout(dropout, name="drop")
        self.blocks = [Block(size, dropout, name=f"block_{n}") for n in range(BLOCKS)]
        self.norm = normalisation(size, "norm")

    def call(self, words: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """Word vectors [N, T, d] and their mask [N, T] to vectors [N, d]; 0 without words."""
        states = self.drop(words + self.positions[: words.shape[1]], training=training)
        for block in self.blocks:
            states = block(states, mask, training=training)  # [N, T, d]
        mask = mask[..., None]  # [N, T, 1]
        total = ops.sum(self.norm(states) * mask, axis=1)  # [N, d]
        return total / ops.maximum(ops.sum(mask, axis=1), 1.0)


class Block(keras.layers.Layer):
    """Self-attention and a feed-forward layer, each with a residual.

    Args:
        size: int. d.
        dropout: float. Fraction dropped of both outputs.
    """

    def __init__(self, size: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = max(size // HEADS, 1)
        heads = HEADS * self.width
        self.attention_norm = normalisation(size, "attention_norm")
        self.query, self.key, self.value = (
            dense(heads, size, name) for name in ("query", "key", "value")
        )
        self.attended = dense(size, heads, "attended")
        self.attention_drop = keras.layers.Dropout(dropout, name="attention_drop")
        self.dense_norm = normalisation(size, "dense_norm")
        self.inner, self.outer = dense(2 * size, size, "inner"), dense(size, 2 * size, "outer")
        self.dense_drop = keras.layers.Dropout(dropout, name="dense_drop")

    def call(self, states: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        """[N, T, d] and [N, T] to [N, T, d]."""
        attended = self.attend(self.attention_norm(states), mask)
        states = states + self.attention_drop(attended, training=training)
        outputs = self.outer(ops.relu(self.inner(self.dense_norm(states))))
        return states + self.dense_drop(outputs, training=training)

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
    units: int, size: int, name: str, initializer: str = "glorot_uniform"
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


def small() -> keras.initializers.Initializer:
    """For vectors that are added to word vectors."""
    return keras.initializers.RandomNormal(stddev=0.05)


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
