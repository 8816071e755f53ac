"""The vocabulary of a prepared folder, a run and a pretrained model."""

import dataclasses

import numpy as np
import pytest

from data_prep.like import VocabularySource
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import TextRules
from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import CheckpointError, DataError, UsageError
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.runs.run import Run
from dim_tf.runs.small_copy import small_copy
from dim_tf.training import initial_weights, start
from tests.tiny_corpus import prepare_tiny, tables, tiny_corpus, write_vectors
from tests.tiny_run import tiny_run

SETTINGS = {"rnn_units": 2}


@pytest.fixture
def first(tmp_path):
    """A prepared folder with Word2Vec."""
    return prepare_tiny(tmp_path / "first", word2vec="train")


@pytest.fixture
def run(first, tmp_path):
    """A run of it, as training begins it, with some weights."""
    data = PreparedData.load(first)
    with start.new_run(tmp_path / "run", data, SETTINGS, persona="both").creating() as unfinished:
        unfinished.save_best(unfinished.build_model())
    return Run.open(tmp_path / "run")


@pytest.fixture
def model(run, tmp_path, monkeypatch):
    """The run as a pretrained model."""
    monkeypatch.setattr(pretrained, "ARTEFACTS", tmp_path / "artefacts")
    with small_copy(run, tmp_path / "artefacts" / "small"):
        return "small"


def test_a_pretrained_model_is_found_next_to_a_folder_of_its_name(model, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / model).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert VocabularySource.open(model).name == VocabularySource.open(pretrained.find(model)).name


def test_a_folder_made_like_another_shares_characters_and_word2vec(first, tmp_path):
    test_only = dataclasses.replace(tiny_corpus(), tables=tables()[1:])
    second = prepare_tiny(tmp_path / "second", test_only, like=VocabularySource.open(first))
    third = prepare_tiny(tmp_path / "third", like=VocabularySource.open(second))
    one, two, three = (PreparedData.load(folder) for folder in (first, second, third))
    assert two.characters == one.characters
    assert two.words != one.words
    np.testing.assert_array_equal(
        two.word_vectors[two.words.index("yes")], one.word_vectors[one.words.index("yes")]
    )
    assert two.word2vec_dim == three.word2vec_dim == 100
    sums = {data.manifest["word2vec"] for data in (one, two, three)}
    assert len(sums) == 1 and None not in sums


def test_vectors_of_a_file_are_for_words_that_the_other_lacks(first, tmp_path):
    """`ski` is known to the other run, with another vector."""
    corpus = tiny_corpus()
    path = tmp_path / "more.txt"
    like = VocabularySource.open(first)
    places = np.flatnonzero(like.pretrained.vectors.any(axis=1))
    words = [like.words[place] for place in places]
    vectors = like.pretrained.vectors[places]
    vectors[words.index("ski")] = 7
    vectors = np.concatenate([vectors, np.full((1, 3), 7, np.float32)])
    write_vectors(path, WordVectors([*words, "dune"], vectors))
    data = PreparedData.load(prepare_tiny(tmp_path / "a", corpus, vectors=path, like=like))
    old = PreparedData.load(first)
    for word in old.words[2:]:
        np.testing.assert_array_equal(
            data.word_vectors[data.words.index(word)], old.word_vectors[old.words.index(word)]
        )
    np.testing.assert_array_equal(data.word_vectors[data.words.index("dune"), :3], [7, 7, 7])
    assert not data.word_vectors[data.words.index("dune"), 3:].any()


def test_no_other_vectors_are_needed_and_known_words_stay_known(first, tmp_path):
    corpus = dataclasses.replace(tiny_corpus(), tables=tables()[1:])
    like = VocabularySource.open(first)
    data = PreparedData.load(prepare_tiny(tmp_path / "a", corpus, vectors=None, like=like))
    old = PreparedData.load(first)
    assert set(old.words) <= set(data.words) and len(data.words) == len(set(data.words))
    assert data.sizes["word_dim"] == old.sizes["word_dim"]
    of_authors = dataclasses.replace(corpus, words=("<pad>", "fiance", "ski"))
    data = PreparedData.load(prepare_tiny(tmp_path / "b", of_authors, vectors=None, like=like))
    assert data.words == ["<pad>", "<unk>", "fiance", "ski"]


def test_vectors_of_another_set_are_refused(first, tmp_path):
    path, data = tmp_path / "other.txt", PreparedData.load(first)
    known = [word for word, row in zip(data.words, data.word_vectors, strict=True) if row[:3].any()]
    for dim, facts in ((4, "found 4 dimensions, expected 3"), (3, "most words have other vectors")):
        write_vectors(path, WordVectors(known, np.full((len(known), dim), 7, np.float32)))
        with pytest.raises(UsageError, match=rf"--vectors: {facts}.*--like first"):
            prepare_tiny(tmp_path / f"{dim}", vectors=path, like=VocabularySource.open(first))


def test_a_run_gives_what_its_prepared_folder_gives(first, run):
    expected, found = VocabularySource.open(first), VocabularySource.open(run.path)
    assert found.word2vec_sha256 == expected.word2vec_sha256
    assert (expected.name, found.name) == ("first", "run")
    assert found.sha256 == expected.sha256
    assert dataclasses.replace(found, rules=TextRules("wordpunct")).sha256 != found.sha256


def test_a_pretrained_model_can_be_trained_further_on_other_data(model, run, tmp_path):
    """It is found by its name, and its vectors are rounded."""
    other = prepare_tiny(tmp_path / "other", like=VocabularySource.open(model))
    data = PreparedData.load(other)
    word = data.word_vectors[data.words.index("yes"), -100:]
    original = run.word_vectors[run.words.index("yes"), -100:]
    np.testing.assert_array_equal(word, original.astype("float16").astype("float32"))
    new = start.new_run(tmp_path / "new", data, SETTINGS, persona="both")
    initial_weights.check(Run.open(model), new, data)


def test_without_word2vec(tmp_path):
    folder = prepare_tiny(tmp_path / "plain")
    like = VocabularySource.open(folder)
    assert (like.word2vec, like.word2vec_sha256) == (None, None)
    assert like.pretrained.dim == 3
    converted = tiny_run(tmp_path / "converted")
    converted.word_vectors[:2] = 0
    with converted.creating():
        pass
    like = VocabularySource.open(tmp_path / "converted")
    assert (like.word2vec, like.word2vec_sha256) == (None, None)


def test_a_vector_for_unknown_words_is_refused(run):
    vectors = run.word_vectors.copy()
    vectors[1] = 1
    atomic.write_npz(run.path / "vectors.npz", {"word_vectors": vectors})
    with pytest.raises(UsageError, match="without --unknown-word"):
        VocabularySource.open(run.path)


def test_what_is_refused(run, first, tmp_path, monkeypatch):
    def refused(path, facts, error=UsageError):
        with pytest.raises(error, match=facts):
            VocabularySource.open(path)

    monkeypatch.setattr(pretrained, "names", lambda: ["small"])
    refused(tmp_path / "small", "small is no prepared folder")
    refused("smal", r"did you mean small\?")
    refused(tmp_path, "no prepared folder .* no run folder")
    config = atomic.read_json(run.path / "config.json")
    del config["prepared"]["word2vec_dim"]
    atomic.write_json(run.path / "config.json", config)
    refused(run.path, "older version")
    (run.path / "words.txt").unlink()
    refused(run.path, "damaged", CheckpointError)
    (first / "vectors.npz").unlink()
    refused(first, "missing", DataError)
