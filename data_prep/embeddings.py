"""Word2Vec training, the vector sets of gensim, and the coverage of a text by vectors."""

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
    """Trains skip-gram Word2Vec (100 dimensions, window 5, every word, 5 epochs) with gensim.

    It uses one worker: equal sentences and seeds give equal bits. Raises `DataError` if there are
    no sentences.
    """
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    if not sentences:
        raise DataError(
            "found no training split to train Word2Vec on; give --word2vec none and --vectors"
        )

    class ShowProgress(CallbackAny2Vec):
        def on_epoch_end(self, model):
            progress.advance()

    with Progress("training Word2Vec", WORD2VEC_EPOCHS, "epochs") as progress:
        model = Word2Vec(
            [list(sentence) for sentence in sentences],
            sg=1,
            vector_size=WORD2VEC_DIM,
            window=5,
            min_count=1,
            epochs=WORD2VEC_EPOCHS,
            workers=1,
            seed=seed,
            callbacks=[ShowProgress()],
        )
    return WordVectors(list(model.wv.index_to_key), model.wv.vectors.astype(np.float32))


def vectors_file(option: str) -> Path | None:
    """The file that `--vectors` names: none, a path, or gensim:NAME, which may be downloaded.

    Raises:
        UsageError: gensim has no such set.
        DataError: The download failed.
    """
    path, _, name = option.partition("gensim:")
    if path or not name:
        return None if option == "none" else Path(option)
    import gensim.downloader

    try:
        return Path(gensim.downloader.load(name, return_path=True))
    except ValueError as error:
        raise UsageError(f"--vectors {option}: {error}") from None
    except Exception as error:  # gensim raises a bare Exception if the checksum differs
        remedy = "check the network, or give --vectors a local file"
        raise DataError(f"cannot download {option} ({error}); {remedy}") from None


def coverage(
    vectors: np.ndarray, words: Sequence[str], counts: Mapping[str, int]
) -> dict[str, int | float]:
    """The fraction of a text, given by its token counts, that has a non-zero vector.

    >>> coverage(np.array([[0.0], [2.0]]), ["a", "b"], {"b": 3, "c": 1})
    {'tokens': 4, 'tokens_covered': 0.75, 'types': 2, 'types_covered': 0.5}
    """
    covered = {word for word, nonzero in zip(words, vectors.any(axis=1), strict=True) if nonzero}
    covered &= counts.keys()
    tokens, types = sum(counts.values()), len(counts)
    return {
        "tokens": tokens,
        "tokens_covered": round(sum(counts[word] for word in covered) / max(tokens, 1), 4),
        "types": types,
        "types_covered": round(len(covered) / max(types, 1), 4),
    }


def fingerprint(vectors: WordVectors) -> str:
    """The sha256 of a table of vectors and its words."""
    digest = hashlib.sha256()
    update_lines(digest, vectors.words)
    digest.update(np.ascontiguousarray(vectors.vectors).tobytes())
    return digest.hexdigest()


def update_lines(digest, lines: Iterable[str]) -> None:
    """Adds lines to a sha256."""
    for line in lines:
        digest.update(line.encode("utf-8") + b"\n")
