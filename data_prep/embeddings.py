"""Word2Vec vectors, gensim's sets of vectors, and how much of a text has a vector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import DataError, UsageError

WORD2VEC_DIM = 100
WORD2VEC_EPOCHS = 5


def train_word2vec(sentences: Sequence[Sequence[str]], seed: int) -> WordVectors:
    """Skip-gram Word2Vec (100 dimensions, window 5, every word, 5 epochs), by gensim.

    One worker, so that the same sentences and seed give the same bits.

    Args:
        sentences: Token sequences.
        seed: Of the initial values and of the draws.

    Raises:
        DataError: There are no sentences to train on.
    """
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    if not sentences:
        raise DataError(
            "found no training split to train Word2Vec on; give --word2vec none and --vectors"
        )

    with Progress("training Word2Vec", WORD2VEC_EPOCHS, "epochs") as progress:

        class Watch(CallbackAny2Vec):
            def on_epoch_end(self, model):
                progress.advance()

        model = Word2Vec(
            [list(sentence) for sentence in sentences],
            sg=1,
            vector_size=WORD2VEC_DIM,
            window=5,
            min_count=1,
            epochs=WORD2VEC_EPOCHS,
            workers=1,
            seed=seed,
            callbacks=[Watch()],
        )
    return WordVectors(list(model.wv.index_to_key), model.wv.vectors.astype(np.float32))


def gensim_file(name: str) -> Path:
    """The file of a vector set of gensim's downloader, fetched if it is not there yet.

    Raises:
        UsageError: gensim has no such set.
        DataError: It cannot be fetched.
    """
    import gensim.downloader

    try:
        return Path(gensim.downloader.load(name, return_path=True))
    except ValueError as error:
        raise UsageError(f"--vectors gensim:{name}: {error}") from None
    except Exception as error:  # that is what gensim raises if a sum is another one
        raise DataError(
            f"gensim:{name} cannot be fetched ({error}); check the network, or give --vectors a "
            "file that is here"
        ) from None


def coverage(
    vectors: np.ndarray, words: Sequence[str], counts: Mapping[str, int]
) -> dict[str, int | float]:
    """How much of a text has a vector that is not zero.

    Args:
        vectors: [V, dim].
        words: The words of the rows.
        counts: How often each token occurs in the text.

    >>> coverage(np.array([[0.0], [2.0]]), ["a", "b"], {"b": 3, "c": 1})
    {'tokens': 4, 'tokens_covered': 0.75, 'types': 2, 'types_covered': 0.5}
    """
    real = {word for word, there in zip(words, vectors.any(axis=1), strict=True) if there}
    tokens, types = sum(counts.values()), len(counts)
    return {
        "tokens": tokens,
        "tokens_covered": _share(sum(n for word, n in counts.items() if word in real), tokens),
        "types": types,
        "types_covered": _share(sum(word in real for word in counts), types),
    }


def fingerprint(part: WordVectors) -> str:
    """The sha256 of a table of vectors and its words."""
    digest = hashlib.sha256()
    update_lines(digest, part.words)
    digest.update(np.ascontiguousarray(part.vectors).tobytes())
    return digest.hexdigest()


def update_lines(digest, lines: Iterable[str]) -> None:
    """Adds lines to a sha256."""
    for line in lines:
        digest.update(line.encode("utf-8") + b"\n")


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
