"""Turns a corpus into a prepared folder, step by step."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import dim_tf
from data_prep import dense, embeddings, tensors, vocabulary
from data_prep.data_report import build_report
from data_prep.dialogues import Corpus
from data_prep.like import VocabularySource
from dim_tf.data import prepared_folder, tf1_vocab
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.data.text import TextRules, Vocabulary
from dim_tf.data.word_vectors import WordVectors, matrix, read_vectors
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic

EXTRA_WORDS = 20_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to prepare a corpus."""

    rules: TextRules = dataclasses.field(default_factory=TextRules)
    vectors: Path | None = None  # file of pretrained vectors
    word2vec: str | Path | None = "train"  # "train", "none", or a file of vectors
    # Number of the first words of `vectors` that get an id too; `EXTRA_WORDS` if None, or 0 if the
    # corpus has the authors' vocabulary.
    extra_words: int | None = None
    # Source of characters, words and vectors. With it, `vectors` is for further words only, and
    # `word2vec` is not used.
    like: VocabularySource | None = None
    seed: int = 1  # of the candidates' order and of Word2Vec
    dense: bool = False  # also write the model's inputs as padded arrays


def prepare(
    corpus: Corpus,
    settings: Settings,
    folder: Path,
    *,
    options: Mapping[str, Any],
    sources: list[dict[str, str]],
) -> tuple[dict[str, Any], str]:
    """Writes a prepared folder into an empty folder.

    Returns:
        The manifest, which records `options` and `sources`, and the data report as text.

    Raises:
        UsageError: The vectors cannot be combined with those of `like`.
        DataError: The corpus or a file of vectors is damaged, or lacks what the settings need.
    """
    if settings.like and settings.vectors and settings.like.pretrained is None:
        raise UsageError(
            f"--vectors: --like {settings.like.name} has Word2Vec vectors only; leave --vectors out"
        )
    rules = reading_rules(settings.rules, settings.like)
    content = _content(corpus, settings, rules)
    _write(folder, content)
    report = build_report(corpus, tensors.SIZES, rules, known_words(corpus, settings.like))
    atomic.write_json(folder / "report.json", report.to_dict())
    atomic.write_text(folder / "report.txt", report.to_text())
    manifest = {
        "format": prepared_folder.FORMAT,
        "name": corpus.name,
        "licence": corpus.licence,
        "sources": sources,
        "options": dict(options),
        "text": dataclasses.asdict(settings.rules),
        **_description(content),
        "versions": _versions(settings),
    }
    atomic.write_json(folder / prepared_folder.MANIFEST, manifest)
    data = PreparedData.load(folder)  # checks what was written
    if settings.dense:
        dense.write_dense(data)
    return manifest, report.to_text()


@dataclasses.dataclass(frozen=True)
class _Content:
    """A corpus as lists and arrays."""

    words: list[str]
    characters: list[str]
    forms: list[str]  # words without an id
    sentences: tensors.Sentences
    arrays: dict[str, tensors.Arrays]  # file -> its arrays
    tables: dict[str, dict[str, int]]  # table -> its counts
    word2vec_sha256: str | None


def _content(corpus: Corpus, settings: Settings, rules: TextRules) -> _Content:
    sentences = tensors.Sentences()
    builder = tensors.TableBuilder(sentences, rules, settings.seed)
    tables = {table.name: builder.build(table) for table in corpus.tables}
    characters = _characters(corpus, settings, sentences)
    words, pretrained = _words(corpus, settings, rules, sentences)
    word2vec, word2vec_sha256 = _word2vec(settings, sentences, words)
    vectors = matrix(words, [part for part in (pretrained, word2vec) if part is not None])
    known = Vocabulary(words, characters)
    forms = [form for form in sentences.forms if form not in known]
    beyond = {form: len(words) + number for number, form in enumerate(forms)}
    form_ids = [beyond.get(form) or known.word_id(form) for form in sentences.forms]
    word2vec_dim = np.int32(word2vec.dim if word2vec else 0)
    arrays = {
        "vectors": {"word_vectors": vectors, "word2vec_dim": word2vec_dim},
        "sentences": sentences.arrays(np.array(form_ids, np.int32)),
        **{f"turns/{name}": turns for name, (turns, _) in tables.items()},
    }
    counts = {name: counts for name, (_, counts) in tables.items()}
    return _Content(words, characters, forms, sentences, arrays, counts, word2vec_sha256)


def _write(folder: Path, content: _Content) -> None:
    atomic.write_lines(folder / "words.txt", content.words)
    atomic.write_lines(folder / "chars.txt", content.characters)
    atomic.write_lines(folder / "forms.txt", content.forms)
    (folder / "turns").mkdir()
    for name, arrays in content.arrays.items():
        atomic.write_npz(folder / f"{name}.npz", arrays)
    for kind, store in content.sentences.stores.items():
        atomic.write_lines(folder / f"{kind}s.txt", map(" ".join, store.sentences()))


def _description(content: _Content) -> dict[str, Any]:
    """What the manifest says of the files."""
    words, sentences = content.words, content.sentences
    vectors = content.arrays["vectors"]["word_vectors"]
    lists = [words, content.characters, content.forms]
    text = {name: arrays for name, arrays in content.arrays.items() if name != "vectors"}
    return {
        "sizes": {
            **tensors.SIZES,
            "word_dim": vectors.shape[1],
            "char_vocab_size": len(content.characters),
        },
        "counts": {
            "words": len(words),
            "forms": len(content.forms),
            "characters": len(content.characters),
            **{f"{kind}s": len(store) for kind, store in sentences.stores.items()},
            "tables": content.tables,
        },
        "coverage": {
            split: embeddings.coverage(vectors, words, counts)
            for split in SPLITS
            if (counts := sentences.counts(split))
        },
        "word2vec": content.word2vec_sha256,
        "fingerprint": _fingerprint(lists, content.arrays),
        "text_fingerprint": _fingerprint(lists, text),
    }


def _versions(settings: Settings) -> dict[str, str]:
    packages = ["numpy", *["gensim"] * (settings.like is None and settings.word2vec == "train")]
    return {
        "dim_tf": dim_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def reading_rules(rules: TextRules, like: VocabularySource | None) -> TextRules:
    """The rules by which texts are read: with `like`, as a ranker with its words reads them."""
    return rules if like is None else rules.with_known_words(frozenset(like.words))


def known_words(corpus: Corpus, like: VocabularySource | None) -> set[str] | None:
    """The words that have an id before the corpus is read; None if there are none."""
    if corpus.words is not None:
        return set(tf1_vocab.words_of_authors(corpus.words))
    return None if like is None else set(like.words)


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


def _words(
    corpus: Corpus, settings: Settings, rules: TextRules, sentences: tensors.Sentences
) -> tuple[list[str], WordVectors | None]:
    """The word of each id, and the pretrained vectors."""
    extra = settings.extra_words
    if corpus.words is None:
        words = vocabulary.words_of_data(sentences.counts())
        extra = EXTRA_WORDS if extra is None else extra
    else:
        words = tf1_vocab.words_of_authors(corpus.words)
        extra = extra or 0
    acceptable = functools.partial(vocabulary.can_be_token, rules=rules)
    further = []
    if settings.like is not None and corpus.words is None:
        further += filter(acceptable, settings.like.words)
    pretrained = None
    if settings.vectors is not None:
        pretrained = read_vectors(settings.vectors, [*words[2:], *further], extra, acceptable)
        if not {*pretrained.words} & {*words[2:], *further}:
            case = "" if settings.rules.lowercase else "; --keep-case looks for words as they are"
            found = "found no word of the data among its words, expected vectors of its language"
            raise DataError(f"{found}{case}", path=settings.vectors)
        further += pretrained.words
    known = set(words)
    words += [word for word in dict.fromkeys(further) if word not in known]
    if settings.like is not None:
        pretrained = _merge(settings.like, pretrained)
    return words, pretrained


def _merge(like: VocabularySource, vectors: WordVectors | None) -> WordVectors | None:
    """The pretrained vectors of `like`, extended by those of a file for other words."""
    theirs = like.pretrained
    if theirs is None or vectors is None:
        return theirs
    expected = f"give the vectors that --like {like.name} was trained with, or none"
    if theirs.dim != vectors.dim:
        found = f"found {vectors.dim} dimensions, expected {theirs.dim}"
        raise UsageError(f"--vectors: {found}; {expected}")
    if vectors.contradicts(theirs):
        found = "most words have other vectors in this file"
        raise UsageError(f"--vectors: {found}; {expected}")
    known = set(theirs.words)
    new = [row for row, word in enumerate(vectors.words) if word not in known]
    return WordVectors(
        [*theirs.words, *(vectors.words[row] for row in new)],
        np.concatenate([theirs.vectors, vectors.vectors[new]]),
    )


def _word2vec(
    settings: Settings, sentences: tensors.Sentences, words: list[str]
) -> tuple[WordVectors | None, str | None]:
    """Word2Vec's vectors, and the sha256 of the table that they were taken from."""
    if settings.like is not None:
        return settings.like.word2vec, settings.like.word2vec_sha256
    if settings.word2vec == "none":
        return None, None
    if settings.word2vec == "train":
        trained = embeddings.train_word2vec(sentences.distinct("train"), settings.seed)
        return trained, embeddings.fingerprint(trained)
    path = Path(settings.word2vec)
    return read_vectors(path, words[2:]), atomic.sha256(path)


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
