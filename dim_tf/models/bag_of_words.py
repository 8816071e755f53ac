"""What the systems on bags of words share: sums of word vectors, and how rare a word is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from keras import ops

from dim_tf.models.dual_encoder import DualEncoder
from dim_tf.packing.layout import Tensor

# The weight of an utterance is this to the power of the number of utterances after it.
RECENCY = 0.5
# Whitening adds this share of the largest variance to all.
FLOOR = 1e-3


class BagOfWords(DualEncoder):
    """A dual encoder whose sentences are the sums of the vectors of their words.

    Arguments as of `DualEncoder`.
    """

    def adapt(self, batches: Iterable[Mapping[str, np.ndarray]], words: Sequence[str]) -> None:
        """Makes the word vectors that training starts from: whitened, of length 1, times idf.

        idf(w) = log((N + 1) / (df(w) + 1)) / log(N + 1), 1 for a word that none of the N sentences
        has. A word without a vector stays without. Mean and covariance are those of the words that
        occur in the training turns.

        Without idf, frequent words dominate the sums. Without whitening, all sums are alike:
        pretrained vectors have most of their length in a few directions that all words share (Mu
        and Viswanath, "All-but-the-Top", ICLR 2018). Without either, training takes longer and
        ends lower.

        Args:
            batches: The inputs of the training turns, with the gold reply alone.
            words: list of str. The vocabulary; only its length is read.
        """
        frequency, total = document_frequency(batches, np.arange(len(words)))
        idf = np.log((total + 1) / (frequency + 1)) / np.log(total + 1)
        vectors = ops.convert_to_numpy(unit(self.words.embeddings))
        weights = idf * vectors.any(axis=1)
        vectors = ops.convert_to_numpy(unit(whitened(vectors, frequency > 0)))
        self.words.embeddings.assign((vectors * weights[:, None]).astype("float32"))

    def context(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of the utterances, weighted by `RECENCY`, [B, d]."""
        sums = self.bag(inputs["utterances"], inputs["utterances_len"])  # [B, U, d]
        number = ops.expand_dims(inputs["utterances_num"], -1)  # [B, 1]
        after = number - 1 - ops.arange(sums.shape[1], dtype="int32")  # [B, U], < 0 if absent
        weights = ops.power(RECENCY, ops.cast(ops.maximum(after, 0), "float32"))
        return ops.einsum("bud,bu->bd", sums, weights)

    def encode_replies(self, words: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """The sums of the word vectors of replies at length 1, [B, C, d]."""
        return unit(self.bag(words, lengths))


def document_frequency(
    batches: Iterable[Mapping[str, np.ndarray]], terms: np.ndarray
) -> tuple[np.ndarray, int]:
    """In how many sentences of the training turns each term occurs, and their number.

    `terms`, int [V], has the term of each word, such as its stem. The sentences are the last
    utterance of the context and the gold reply of each turn: where the turns are of one speaker,
    these are each sentence of a dialogue once.
    """
    frequency, total = np.zeros(terms.max() + 1, np.int64), 0
    for rows, lengths in last_utterances_and_replies(batches):
        mask = np.arange(rows.shape[1]) < lengths[:, None]
        pairs = np.unique(np.stack([np.nonzero(mask)[0], terms[rows[mask]]]), axis=1)
        frequency += np.bincount(pairs[1], minlength=len(frequency))
        total += int((lengths > 0).sum())
    return frequency, total


def last_utterances_and_replies(
    batches: Iterable[Mapping[str, np.ndarray]],
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Sentences of the training turns: word ids [B, T] and lengths [B]."""
    for inputs in batches:
        turns = np.arange(len(inputs["utterances_num"]))
        last = np.maximum(inputs["utterances_num"] - 1, 0)
        yield inputs["utterances"][turns, last], inputs["utterances_len"][turns, last]
        yield inputs["responses"][:, 0], inputs["responses_len"][:, 0]


def whitened(vectors: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Vectors [V, d], of which those counted, bool [V], get mean 0 and the unit covariance.

    Directions of nearly no variance are not amplified.

    >>> vectors = np.array([[5.0, 1.0], [5.0, -1.0], [9.0, 1.0], [9.0, -1.0]])
    >>> whitened(vectors, np.ones(4, bool)).round(1).tolist()
    [[-0.9, 0.9], [-0.9, -0.9], [0.9, 0.9], [0.9, -0.9]]
    """
    mean = vectors[counted].mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((vectors[counted] - mean).T))
    scales = 1 / np.sqrt(variances + max(FLOOR * variances.max(), 1e-12))
    return (vectors - mean) @ (directions * scales) @ directions.T


def unit(vectors: Tensor) -> Tensor:
    """Vectors [..., d] of length 1; the zero vector stays.

    >>> ops.convert_to_numpy(unit(np.array([[3.0, 4.0], [0.0, 0.0]], "float32"))).round(3).tolist()
    [[0.6..., 0.8...], [0.0, 0.0]]
    """
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, 1e-12))
