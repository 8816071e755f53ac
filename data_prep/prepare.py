"""From a corpus to a prepared folder: what `python -m data_prep` does, step by step."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import dim_tf
from data_prep import dense, doctor, embeddings, tensors, vocabulary
from data_prep.dialogues import Corpus
from data_prep.like import Like
from dim_tf.data import prepared_folder, tf1_vocab
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.data.text import TextRules, Vocabulary
from dim_tf.data.word_vectors import WordVectors, matrix, read_vectors
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic

EXTRA_WORDS = 20_000


@dataclass(frozen=True)
class Settings:
    """How to prepare a corpus.

    Args:
        rules: How text becomes tokens.
        vectors: A file of word vectors, if any.
        word2vec: "train", "none", or a file of vectors.
        extra_words: So many of the vector file's first words get an id beside the data's; if not
            given 20,000, or none where the corpus brings the authors' vocabulary.
        like: Whose characters are taken, and whose words with their vectors. Then `vectors` is for
            other words, and `word2vec` for none.
        seed: Of the candidates' order and of Word2Vec.
        dense: Also write the model's inputs as plain arrays.
        authors_response_characters: In them, see `PreparedData.inputs`.
    """

    rules: TextRules = field(default_factory=TextRules)
    vectors: Path | None = None
    word2vec: str | Path = "train"
    extra_words: int | None = None
    like: Like | None = None
    seed: int = 1
    dense: bool = False
    authors_response_characters: bool = False


@dataclass(frozen=True)
class Vectors:
    """Words, their vectors, and what of these is Word2Vec's."""

    words: list[str]
    matrix: np.ndarray
    word2vec_dim: int
    word2vec: str | None


def prepare(
    corpus: Corpus,
    settings: Settings,
    folder: Path,
    *,
    options: Mapping[str, Any],
    sources: list[dict[str, str]],
) -> tuple[dict[str, Any], str]:
    """Writes a prepared folder into an empty one.

    Args:
        corpus: The texts.
        settings: How.
        folder: Where to.
        options: All options, for the manifest.
        sources: All files that were read, for the manifest.

    Returns:
        The manifest, and the data report as text.

    Raises:
        UsageError: The vectors cannot stand beside those of `like`.
        DataError: The corpus or a file of vectors is damaged, or lacks what the settings need.
    """
    if settings.like and settings.vectors and settings.like.others is None:
        raise UsageError(
            f"--vectors: --like {settings.like.name} has no vectors but Word2Vec's; leave "
            "--vectors out"
        )
    sentences = tensors.Sentences()
    builder = tensors.TableBuilder(sentences, settings.rules, settings.seed)
    built = {table.name: builder.build(table) for table in corpus.tables}

    characters = _characters(corpus, settings, sentences)
    vectors = _vectors(corpus, settings, sentences)
    known = Vocabulary(vectors.words, characters)
    forms = [form for form in sentences.forms if form not in known]
    form_ids = _form_ids(sentences, known, forms)

    atomic.write_lines(folder / "words.txt", vectors.words)
    atomic.write_lines(folder / "chars.txt", characters)
    atomic.write_lines(folder / "forms.txt", forms)
    arrays = {
        "vectors": {
            "word_vectors": vectors.matrix,
            "word2vec_dim": np.array(vectors.word2vec_dim, np.int32),
        },
        "sentences": sentences.arrays(form_ids),
        **{f"turns/{name}": turns for name, (turns, _) in built.items()},
    }
    (folder / "turns").mkdir()
    for name, content in arrays.items():
        atomic.write_npz(folder / f"{name}.npz", content)
    for name, store in zip(("utterances", "profiles", "candidates"), sentences.stores, strict=True):
        atomic.write_lines(folder / f"{name}.txt", map(" ".join, store.sentences()))
    report = doctor.examine(corpus, tensors.SIZES, settings.rules, known)
    atomic.write_json(folder / "report.json", report.to_dict())
    atomic.write_text(folder / "report.txt", report.to_text())

    lists = [vectors.words, characters, forms]
    text = {name: content for name, content in arrays.items() if name != "vectors"}
    manifest = {
        "format": prepared_folder.FORMAT,
        "name": corpus.name,
        "licence": corpus.licence,
        "sources": sources,
        "options": dict(options),
        "text": {"tokeniser": settings.rules.tokeniser, "lowercase": settings.rules.lowercase},
        "sizes": {
            **tensors.SIZES,
            "word_dim": vectors.matrix.shape[1],
            "char_vocab_size": len(characters),
        },
        "counts": {
            "words": len(vectors.words),
            "forms": len(forms),
            "characters": len(characters),
            "utterances": len(sentences.utterances),
            "profiles": len(sentences.profiles),
            "candidates": len(sentences.candidates),
            "tables": {name: counts for name, (_, counts) in built.items()},
        },
        "coverage": {
            split: embeddings.coverage(vectors.matrix, vectors.words, counts)
            for split in SPLITS
            if (counts := sentences.counts(split))
        },
        "versions": _versions(settings),
        "word2vec": vectors.word2vec,
        "fingerprint": _fingerprint(lists, arrays),
        "text_fingerprint": _fingerprint(lists, text),
    }
    atomic.write_json(folder / prepared_folder.MANIFEST, manifest)
    # Reading it back checks what was written.
    data = PreparedData.load(folder)
    if settings.dense:
        _write_dense(data, settings)
    return manifest, report.to_text()


def _characters(corpus: Corpus, settings: Settings, sentences: tensors.Sentences) -> list[str]:
    if settings.like is not None:
        return settings.like.characters
    if corpus.characters is not None:
        return tf1_vocab.characters_of_authors(corpus.characters)
    counts = sentences.counts("train")
    if not counts:
        raise DataError(
            f"{corpus.name}: found no training split, expected one: its characters get the ids"
        )
    return vocabulary.characters_of_data(counts)


def _vectors(corpus: Corpus, settings: Settings, sentences: tensors.Sentences) -> Vectors:
    extra = settings.extra_words
    if corpus.words is None:
        words = vocabulary.words_of_data(sentences.counts())
        extra = EXTRA_WORDS if extra is None else extra
    else:
        words = tf1_vocab.words_of_authors(corpus.words)
        extra = extra or 0
    fits = functools.partial(vocabulary.can_be_token, rules=settings.rules)
    further = []
    if settings.like is not None and corpus.words is None:
        further += filter(fits, settings.like.words)
    glove = None
    if settings.vectors is not None:
        glove = read_vectors(settings.vectors, [*words[2:], *further], extra, fits)
        further += glove.words
    known = set(words)
    words += [word for word in dict.fromkeys(further) if word not in known]
    if settings.like is not None:
        glove = _others(settings.like, glove)
    word2vec, digest = _word2vec(settings, sentences, words)
    return Vectors(
        words,
        matrix(words, [part for part in (glove, word2vec) if part is not None]),
        0 if word2vec is None else word2vec.dim,
        digest,
    )


def _others(like: Like, glove: WordVectors | None) -> WordVectors | None:
    """The vectors beside Word2Vec's: those of `like` where it has the word, else of the file."""
    theirs = like.others
    if theirs is None or glove is None:
        return theirs
    if theirs.dim != glove.dim:
        raise UsageError(
            f"--vectors: found {glove.dim} dimensions, expected {theirs.dim}, as --like "
            f"{like.name} has beside Word2Vec's; give the vectors that it was trained with, or none"
        )
    if glove.contradicts(theirs):
        raise UsageError(
            f"--vectors: most words have other vectors there than in --like {like.name}: they are "
            "of another set; give the vectors that it was trained with, or none"
        )
    known = set(theirs.words)
    new = [place for place, word in enumerate(glove.words) if word not in known]
    return WordVectors(
        [*theirs.words, *(glove.words[place] for place in new)],
        np.concatenate([theirs.vectors, glove.vectors[new]]),
    )


def _word2vec(
    settings: Settings, sentences: tensors.Sentences, words: list[str]
) -> tuple[WordVectors | None, str | None]:
    """The Word2Vec part, and the sha256 of the table that it was taken from."""
    if settings.like is not None:
        return settings.like.word2vec, settings.like.table
    if settings.word2vec == "none":
        return None, None
    if settings.word2vec == "train":
        trained = embeddings.train_word2vec(sentences.distinct("train"), settings.seed)
        return trained, embeddings.fingerprint(trained)
    path = Path(settings.word2vec)
    return read_vectors(path, words[2:]), atomic.sha256(path)


def _form_ids(sentences: tensors.Sentences, known: Vocabulary, forms: list[str]) -> np.ndarray:
    beyond = {form: len(known.words) + place for place, form in enumerate(forms)}
    return np.array(
        [beyond[form] if form in beyond else known.word_id(form) for form in sentences.forms],
        np.int32,
    )


def _write_dense(data: PreparedData, settings: Settings) -> None:
    for setting in data.settings():
        table = data.table(*setting)
        path = dense.path_of(data.path, table)
        path.parent.mkdir(exist_ok=True)
        dense.write_dense(
            data,
            table,
            path,
            authors_response_characters=settings.authors_response_characters,
        )


def _versions(settings: Settings) -> dict[str, str]:
    versions = {
        "dim_tf": dim_tf.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if settings.like is None and settings.word2vec == "train":
        import gensim

        versions["gensim"] = gensim.__version__
    return versions


def _fingerprint(lists: list[list[str]], arrays: Mapping[str, tensors.Arrays]) -> str:
    """The sha256 of lists of lines and of arrays."""
    digest = hashlib.sha256()
    for lines in lists:
        embeddings.update_lines(digest, lines)
    for name in sorted(arrays):
        for key, array in sorted(arrays[name].items()):
            digest.update(f"{name} {key} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
