"""Whole prepared folders of a tiny corpus."""

import dataclasses

import numpy as np
import pytest

from dim_tf.config import ModelConfig
from dim_tf.data import prepared_folder
from dim_tf.data.dataset import INPUTS, PreparedData
from dim_tf.data.text import TextRules
from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import DataError
from dim_tf.io import atomic
from tests.tiny_corpus import prepare_tiny, tables, tiny_corpus, write_vectors


def manifest_of(folder):
    return atomic.read_json(folder / "manifest.json")


def test_the_folder_holds_what_it_promises(tmp_path):
    folder = prepare_tiny(tmp_path / "tiny", tiny_corpus("self", "both", licence="CC0"))
    assert {path.name for path in folder.iterdir()} == {*prepared_folder.NAMES} - {"dense"}
    names = {
        f"{split}_{who}_original.npz" for split in ("train", "test") for who in ("self", "both")
    }
    assert {path.name for path in (folder / "turns").iterdir()} == names
    assert (folder / "words.txt").read_bytes().startswith(b"<pad>\n<unk>\n")
    assert (folder / "chars.txt").read_bytes().startswith(b"<pad>\n")
    assert b"\r" not in (folder / "words.txt").read_bytes()
    assert (folder / "forms.txt").read_bytes() == b""
    manifest = manifest_of(folder)
    assert manifest["licence"] == "CC0" and manifest["format"] == 1
    assert manifest["text"] == {"tokeniser": "authors", "lowercase": True, "nfc": False}
    assert manifest["counts"]["tables"]["train_self_original"]["turns"] == 3
    assert manifest["counts"]["words"] == len(atomic.read_lines(folder / "words.txt"))
    assert manifest["coverage"]["train"]["types_covered"] < 0.2
    assert manifest["word2vec"] is None and len(manifest["fingerprint"]) == 64


def test_words_of_all_splits_come_first_then_the_vector_files(tmp_path):
    data = PreparedData.load(prepare_tiny(tmp_path / "tiny"))
    assert "zebras" in data.words  # of the test split alone
    assert data.words[-1] == "skate"  # of the vector file alone
    np.testing.assert_array_equal(data.word_vectors[data.words.index("skate")], [0, 0, 1])
    np.testing.assert_array_equal(data.word_vectors[data.words.index("i")], [1, 0, 0])
    assert not data.word_vectors[:2].any()
    none = PreparedData.load(prepare_tiny(tmp_path / "none", extra_words=0))
    assert none.words == data.words[:-1]


def test_characters_are_those_of_the_training_split(tmp_path):
    data = PreparedData.load(prepare_tiny(tmp_path / "tiny"))
    assert set(data.characters[1:]) == set("hithere!sowha.yk'mglnu_cd")
    assert data.sizes["char_vocab_size"] == len(data.characters)


def test_glove_and_word2vec_stand_side_by_side(tmp_path):
    data = PreparedData.load(prepare_tiny(tmp_path / "tiny", word2vec="train"))
    assert data.word_vectors.shape == (len(data.words), 103) and data.word2vec_dim == 100
    assert data.sizes["word_dim"] == 103
    row = data.word_vectors[data.words.index("_eos_")]
    assert not row[:3].any() and row[3:].all()
    row = data.word_vectors[data.words.index("skate")]
    assert row[:3].any() and not row[3:].any()
    # "zebras" is no word of the training split.
    assert not data.word_vectors[data.words.index("zebras")].any()


def test_word2vec_from_a_file(tmp_path):
    path = tmp_path / "word2vec.txt"
    write_vectors(path, WordVectors(["ski", "zebras"], np.full((2, 2), 4, np.float32)))
    folder = prepare_tiny(tmp_path / "tiny", word2vec=path)
    data = PreparedData.load(folder)
    np.testing.assert_array_equal(data.word_vectors[data.words.index("ski")], [0, 1, 0, 4, 4])
    assert data.word2vec_dim == 2
    assert manifest_of(folder)["word2vec"] == atomic.sha256(path)


def test_vectors_of_none_of_the_words_are_refused(tmp_path):
    vectors = tmp_path / "vectors.txt"
    write_vectors(vectors, WordVectors(["SKI", "I"], np.eye(2, dtype=np.float32)))
    with pytest.raises(DataError, match=r"vectors\.txt: found no word of the data"):
        prepare_tiny(tmp_path / "tiny", vectors=vectors)


def test_the_authors_vocabularies_are_kept_to_the_letter(tmp_path):
    corpus = tiny_corpus(words=("<pad>", "fiance", "ski"), characters={2: "s", 5: "k"})
    data = PreparedData.load(prepare_tiny(tmp_path / "tiny", corpus))
    assert data.words == ["<pad>", "<unk>", "fiance", "ski"]
    assert data.characters == ["<pad>", "", "s", "", "", "k"]
    assert "hello" in data.forms and "ski" not in data.forms
    asked = PreparedData.load(prepare_tiny(tmp_path / "asked", corpus, extra_words=1))
    assert asked.words == ["<pad>", "<unk>", "fiance", "ski", "i"]


def test_dense_arrays_are_the_models_inputs_in_the_sources_order(tmp_path):
    folder = prepare_tiny(tmp_path / "tiny", tiny_corpus("self", "both"), dense=True)
    data = PreparedData.load(folder)
    assert len(list((folder / "dense").iterdir())) == 4
    for persona, profiles in (("self", 5), ("both", 10)):
        dense = atomic.read_npz(folder / f"dense/train_{persona}_original.npz")
        assert sorted(dense) == sorted([*INPUTS, "target"])
        config = ModelConfig(**{**data.sizes, "max_profiles": profiles})
        table = data.table("train", persona, "original")
        inputs, target = data.inputs(table, np.arange(3), config)
        for name, expected in {**inputs, "target": target}.items():
            np.testing.assert_array_equal(dense[name], expected)
            assert dense[name].dtype == np.int32


def test_a_huge_utterance_and_emoji_are_prepared(tmp_path):
    (train, *_), test = tables()[0].turns(), tables()[1]
    turn = dataclasses.replace(train, context=("x" * 100_000, "👩‍👩‍👧 " * 20_000, "日本語です。"))
    table = dataclasses.replace(tables()[0], turns=lambda: iter([turn]))
    corpus = dataclasses.replace(tiny_corpus(), tables=(table, test))
    data = PreparedData.load(prepare_tiny(tmp_path / "tiny", corpus, word2vec="train"))
    inputs, _ = data.inputs(data.table("train", "both", "original"), [0], ModelConfig(**data.sizes))
    assert inputs["utterances_len"][0, :3].tolist() == [2, 20, 3]
    assert (inputs["utterances"][0, :3, 0] > 1).all()


def test_characters_need_a_training_split(tmp_path):
    corpus = dataclasses.replace(tiny_corpus(), tables=tables()[1:])
    with pytest.raises(DataError, match="tiny: found no training split"):
        prepare_tiny(tmp_path / "tiny", corpus)


def test_fingerprints_tell_what_a_model_sees_and_the_text_alone(tmp_path):
    made = {
        name: manifest_of(prepare_tiny(tmp_path / name, **settings))
        for name, settings in (
            ("one", {"word2vec": "train"}),
            ("same", {"word2vec": "train"}),
            ("other vectors", {}),
            ("order", {"word2vec": "train", "seed": 2}),
            ("case", {"word2vec": "train", "rules": TextRules(lowercase=False)}),
            ("rule", {"word2vec": "train", "rules": TextRules("wordpunct")}),
        )
    }
    for kind, distinct in (("fingerprint", 5), ("text_fingerprint", 4)):
        sums = [manifest[kind] for manifest in made.values()]
        assert sums[0] == sums[1] and len(set(sums)) == distinct
    assert made["one"]["text_fingerprint"] == made["other vectors"]["text_fingerprint"]
