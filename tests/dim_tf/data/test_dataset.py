"""Prepared folders as model inputs, and what is said about damaged ones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import INPUTS, PreparedData
from dim_tf.errors import ConfigError, DataError
from dim_tf.io import atomic
from tests.tiny_corpus import prepare_tiny, tiny_corpus

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepare_tiny(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def data(folder):
    return PreparedData.load(folder)


@pytest.fixture(scope="module")
def table(data):
    return data.table("train", "both", "original")


def config(data, **changes) -> ModelConfig:
    return ModelConfig(**{**data.sizes, **changes})


def words(data, ids) -> str:
    return " ".join(data.words[place] for place in ids if place)


def spelling(data, ids) -> str:
    return "".join(data.characters[place] for place in ids if place)


def test_inputs_have_the_models_names_types_and_shapes(data, table):
    inputs, target = data.inputs(table, [0, 2], config(data))
    for name, shape in (("utterances", (15, 20)), ("responses", (4, 20)), ("personas", (5, 15))):
        assert inputs[name].shape == (2, *shape)
        assert inputs[f"{name}_len"].shape == (2, shape[0])
        assert inputs[f"{name}_char"].shape == (2, *shape, 18)
    assert inputs["utterances_num"].shape == inputs["personas_num"].shape == (2,)
    assert tuple(inputs) == INPUTS
    assert {array.dtype for array in [*inputs.values(), target]} == {np.dtype("int32")}


def test_a_turn_reads_as_its_text(data, table):
    inputs, target = data.inputs(table, [1], config(data))
    utterances = [words(data, row) for row in inputs["utterances"][0]]
    assert utterances[:3] == ["hello ! _eos_", "hi there _eos_", "i ' m a nurse . _eos_"]
    assert utterances[3:] == [""] * 12
    assert inputs["utterances_len"][0].tolist() == [3, 3, 7] + [0] * 12
    assert inputs["utterances_num"].tolist() == [3]
    personas = [words(data, row) for row in inputs["personas"][0]]
    assert personas == ["i like cats .", "i ski", "i ' m a nurse .", "", ""]
    assert inputs["personas_len"][0].tolist() == [4, 2, 6, 0, 0]
    assert inputs["personas_num"].tolist() == [3]
    assert words(data, inputs["responses"][0, target[0]]) == "i'm glad"
    assert spelling(data, inputs["responses_char"][0, target[0], 0]) == "i'm"
    assert spelling(data, inputs["utterances_char"][0, 1, 1]) == "there"
    assert not inputs["utterances_char"][0, 1, 3:].any()


def test_an_absent_candidate_is_empty_and_never_the_gold(data, table):
    inputs, target = data.inputs(table, [2, 0], config(data))
    assert sorted(inputs["responses_len"][0].tolist()) == [0, 0, 2, 2]
    assert sorted(inputs["responses_len"][1].tolist()) == [0, 2, 2, 2]
    absent = inputs["responses_len"] == 0
    assert not inputs["responses"][absent].any()
    assert not inputs["responses_char"][absent].any()
    assert words(data, inputs["responses"][0, target[0]]) == "so what"
    assert inputs["utterances_num"].tolist() == [0, 1]


def test_personas_follow_the_setting(tmp_path):
    corpus = tiny_corpus("self", "their", "both", "none")
    data = PreparedData.load(prepare_tiny(tmp_path / "all", corpus))
    expected = {
        "self": ["i like cats .", "i ski"],
        "their": ["i ' m a nurse ."],
        "both": ["i like cats .", "i ski", "i ' m a nurse ."],
        "none": [],
    }
    for persona, profiles in expected.items():
        table = data.table("train", persona, "original")
        inputs, _ = data.inputs(table, [0], config(data, max_profiles=10))
        found = [words(data, row) for row in inputs["personas"][0]]
        assert found == profiles + [""] * (10 - len(profiles))
        assert inputs["personas_num"].tolist() == [len(profiles)]
        assert data.texts(table, 0)["persona"] == profiles


def test_smaller_sizes_keep_first_words_last_utterances_first_profiles(data, table):
    sizes = {"max_utterances": 2, "max_utterance_len": 3, "max_response_len": 1}
    sizes |= {"max_profiles": 1, "max_profile_len": 2, "max_word_len": 5}
    inputs, _ = data.inputs(table, [1, 0], config(data, **sizes))
    utterances = [words(data, row) for row in inputs["utterances"].reshape(4, 3)]
    assert utterances == ["hi there _eos_", "i ' m", "hello ! _eos_", ""]
    assert inputs["utterances_len"].tolist() == [[3, 3], [3, 0]]
    assert inputs["utterances_num"].tolist() == [2, 1]
    assert words(data, inputs["personas"][0, 0]) == "i like"
    assert inputs["personas_len"].tolist() == [[2], [2]]
    assert inputs["personas_num"].tolist() == [1, 1]
    assert inputs["responses"].shape == (2, 4, 1)
    assert inputs["responses_len"][0].tolist() == [1, 1, 1, 1]
    assert inputs["responses_char"].shape == (2, 4, 1, 5)
    assert spelling(data, inputs["utterances_char"][1, 0, 0]) == "hello"


def test_chosen_inputs_equal_those_among_all(data, table):
    every, _ = data.inputs(table, [0, 1, 2], config(data))
    for name in INPUTS:
        only, _ = data.inputs(table, [0, 1, 2], config(data), names=(name,))
        assert list(only) == [name]
        np.testing.assert_array_equal(only[name], every[name])


def test_unknown_words_are_spelt_all_the_same(tmp_path):
    corpus = tiny_corpus(words=("<pad>", "fiance", "i", "ski"))
    data = PreparedData.load(prepare_tiny(tmp_path / "fixed", corpus))
    assert data.words == ["<pad>", "<unk>", "fiance", "i", "ski"]
    inputs, _ = data.inputs(data.table("test", "both", "original"), [0], config(data))
    assert inputs["utterances"][0, 0, :6].tolist() == [1, 1, 1, 1, 1, 1]
    assert inputs["utterances_len"][0, 0] == 6
    assert spelling(data, inputs["utterances_char"][0, 0, 2]) == "like"
    # The training split has no z and no b: such characters are unknown.
    assert spelling(data, inputs["utterances_char"][0, 0, 3]) == "eras"


def test_batches_follow_an_order(data, table):
    batches = list(data.batches(table, config(data), 2, order=np.array([2, 0, 1, 2])))
    expected, _ = data.inputs(table, [1, 2], config(data))
    assert len(batches) == 2
    np.testing.assert_array_equal(batches[1][0]["utterances"], expected["utterances"])
    for size, sizes in ((2, [2, 1]), (3, [3])):
        targets = [target for _, target in data.batches(table, config(data), size)]
        assert [len(target) for target in targets] == sizes
        np.testing.assert_array_equal(np.concatenate(targets), table.target)


def test_texts_that_do_not_fit_the_sentences(data, tmp_path):
    folder = shutil.copytree(data.path, tmp_path / "copy")
    lines = atomic.read_lines(folder / "candidates.txt")
    atomic.write_lines(folder / "candidates.txt", lines[:-1])
    copy = PreparedData.load(folder)
    with pytest.raises(DataError, match=r"candidates.txt: found \d+ lines, expected \d+"):
        copy.texts(copy.table("train", "both", "original"), 0)


def test_texts_are_what_was_said(data, table):
    turn = data.texts(table, 2)
    assert turn["context"] == [] and turn["persona"] == ["i like cats ."]
    assert sorted(turn["candidates"]) == ["", "", "so what", "yes ."]
    assert turn["candidates"][turn["target"]] == "so what"
    assert data.texts(table, 1)["context"] == ["hello !", "hi there", "i ' m a nurse ."]


def test_without_a_persona_other_tables_will_do(tmp_path):
    data = PreparedData.load(prepare_tiny(tmp_path / "self", tiny_corpus("self")))
    assert data.settings() == [("train", "self", "original"), ("test", "self", "original")]
    table = data.table("test", "none", "original")
    assert table.name == "test_none_original" and len(table) == 1
    inputs, _ = data.inputs(table, [0], config(data))
    assert not inputs["personas_num"].any() and not inputs["personas"].any()
    assert data.has("test", "none", "original") and not data.has("test", "none", "revised")


def test_a_setting_or_size_that_the_folder_lacks_is_named(data, table):
    with pytest.raises(DataError, match=r"no turns of valid_self_original .*has: train_both_orig"):
        data.table("valid", "self", "original")
    with pytest.raises(ConfigError, match=r"persona: found 'selv', .*did you mean self\?"):
        data.table("train", "selv", "original")
    with pytest.raises(ConfigError, match="max_utterance_len: found 21, expected at most 20"):
        data.inputs(table, [0], config(data, max_utterance_len=21))


def test_loading_needs_neither_keras_nor_gensim(folder):
    code = (
        "import sys; from dim_tf.data.dataset import PreparedData; PreparedData.load(sys.argv[1]);"
        "print([m for m in ('keras', 'tensorflow', 'gensim', 'nltk') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code, str(folder)], cwd=ROOT) == b"[]\n"


def manifest(**changes):
    def harm(folder):
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return harm


def array(file, name, change):
    def harm(folder):
        arrays = atomic.read_npz(folder / file)
        atomic.write_npz(folder / file, {**arrays, name: change(arrays[name])})

    return harm


TURNS = "turns/train_both_original.npz"
SENTENCES, VECTORS = "sentences.npz", "vectors.npz"
DAMAGE = [
    (lambda folder: (folder / "manifest.json").write_text('{"format": 1,'), "not JSON"),
    (manifest(format=9), 'field "format": found 9'),
    (manifest(fingerprint=None), 'field "fingerprint"'),
    (manifest(sizes={}), 'field "sizes.max_utterances"'),
    (manifest(text={"tokeniser": "x"}), "tokeniser: found 'x'"),
    (lambda folder: (folder / "words.txt").write_text("a\nb\n"), "words.txt: found ['a', 'b']"),
    (lambda folder: (folder / "chars.txt").write_text("<pad>\n"), "found 1 characters"),
    (array(VECTORS, "word_vectors", lambda a: a[1:]), '"word_vectors": found float32 ['),
    (array(VECTORS, "word2vec_dim", lambda a: a + 99), '"word2vec_dim": found values from 99'),
    (array(SENTENCES, "profiles", lambda a: a + 10**6), '"profiles": found values from 1000000'),
    (array(SENTENCES, "utterance_lengths", lambda a: a + 21), '"utterance_lengths": found values'),
    (array(TURNS, "context", lambda a: a + 10**6), f'{TURNS}: field "context": found values'),
    (array(TURNS, "candidates", lambda a: a * 0 - 1), "gold reply is absent"),
    (array(TURNS, "candidates", lambda a: a[:0]), f"{TURNS}: found no turns"),
    (array(TURNS, "dialogue", lambda a: a[1:]), "found int32 [2], expected integer [3]"),
    (array(TURNS, "own", lambda a: a.astype(float)), '"own": found float64'),
]


@pytest.mark.parametrize(("harm", "fact"), DAMAGE)
def test_damage_is_named(folder, tmp_path, harm, fact):
    copy = shutil.copytree(folder, tmp_path / "copy")
    harm(copy)
    with pytest.raises(DataError) as error:
        PreparedData.load(copy).table("train", "both", "original")
    assert fact in str(error.value) and str(copy) in str(error.value)
