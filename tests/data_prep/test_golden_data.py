"""Our arrays against those that the authors' own loader built from the same files.

The authors' arrays are in `tests/data`; the dialogues that they were built from may not be passed
on. Without them the same arrays are built from a file of made-up words, one for each word id.

Their loader gives an unknown word the id of "fiance" (1) and has no reserved unknown row, so their
id k is our k + 1, and 1 may be either.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.prepare import Settings, prepare
from data_prep.sources import open_source
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import EOS
from tests.authors_checkpoint import write_characters
from tests.authors_numbers import numbers

KINDS = ("utterances", "responses", "personas")
SETTING = ("train", "self", "original")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return numbers("authors_arrays.npz")


@pytest.fixture(scope="module")
def from_made_up_words(golden, tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("made_up")
    write_made_up_words(folder, golden)
    with open_source(str(folder)) as corpus:
        return arrays(corpus, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def processed_folder(shared, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processed")
    for name, copy in (
        ("processed_a_self_original.txt", "processed_train_self_original.txt"),
        ("vocab_a_self_original.txt", "vocab.txt"),
        ("char_vocab_a_self_original.txt", "char_vocab.txt"),
    ):
        shutil.copy(shared / "golden/data" / name, folder / copy)
    return folder


@pytest.fixture(scope="module")
def from_processed(processed_folder, tmp_path_factory) -> dict[str, np.ndarray]:
    with open_source(str(processed_folder)) as corpus:
        return arrays(corpus, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def from_raw(shared, processed_folder, tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("raw")
    raw = shared / "golden/data/a_self_original.txt"
    shutil.copy(raw, folder / "train_self_original.txt")
    with open_source(str(processed_folder)) as theirs, open_source(str(folder)) as corpus:
        # The same vocabularies, so that the ids can be compared.
        corpus = dataclasses.replace(corpus, words=theirs.words, characters=theirs.characters)
        return arrays(corpus, tmp_path_factory.mktemp("prepared"))


def arrays(corpus, folder: Path) -> dict[str, np.ndarray]:
    """All turns as the model's inputs, with the authors' ids and their response characters."""
    prepare(corpus, Settings(), folder, options={}, sources=[])
    data = PreparedData.load(folder)
    table = data.table(*SETTING)
    inputs, target = data.inputs(table, np.arange(len(table)), ModelConfig(**data.sizes))
    # The authors' loader gives characters to the first candidates only, one per utterance.
    later = np.arange(inputs["responses"].shape[1]) >= inputs["utterances_num"][:, None]
    inputs["responses_char"][later] = 0
    for name in KINDS:
        inputs[name] = np.where(inputs[name] > 1, inputs[name] - 1, inputs[name])
    return {**inputs, "target": target}


def write_made_up_words(folder: Path, golden: dict[str, np.ndarray]) -> None:
    """A processed file and its vocabularies: what the authors' arrays may have been built from."""
    # `_eos_` ends the first utterance of all. The other characters may be any.
    last = golden["utterances_len"][0, 0] - 1
    eos = golden["utterances"][0, 0, last]
    characters = dict(zip(golden["utterances_char"][0, 0, last, :5].tolist(), EOS, strict=True))
    letters = iter("abcdfghijklmnpqrtuvwxyz0123456789.,!?$%&*()<>=~^")
    for number in range(1, 1 + max(golden[f"{kind}_char"].max() for kind in KINDS)):
        characters[number] = characters.get(number) or next(letters)
    words = {0: "<pad>", 1: "fiance", eos: EOS}

    def word(kind: str, *index: int) -> str:
        """A word by its characters; "#" is none of them, and begins a word without characters."""
        number = int(golden[kind][index])
        spelt = golden[f"{kind}_char"][index][: golden[f"{kind}_char_len"][index]]
        if number == 1:
            return "".join(characters.get(c, "#") for c in spelt.tolist())
        if spelt.any():
            words.setdefault(number, "".join(characters.get(c, "#") for c in spelt.tolist()))
        return words.get(number, f"#{number}")

    def sentence(kind: str, *index: int) -> str:
        return " ".join(word(kind, *index, n) for n in range(golden[f"{kind}_len"][index]))

    def turn(index: int, gold: int) -> str:
        context = [sentence("utterances", index, n) for n in range(golden["utterances_num"][index])]
        context = [f"{utterance.removesuffix(f' {EOS}')} {EOS}" for utterance in context]
        candidates = [sentence("responses", index, n) for n in range(20)]
        profiles = [sentence("personas", index, n) for n in range(golden["personas_num"][index])]
        fields = [" ".join(context), "|".join(candidates), str(gold), "NA", "|".join(profiles)]
        return "\t".join(fields) + "\n"

    for _ in "spell", "write":
        lines = [turn(index, gold) for index, gold in enumerate(golden["target"])]
    (folder / "processed_train_self_original.txt").write_text("".join(lines))
    size = 1 + max(golden[kind].max() for kind in KINDS)
    vocabulary = [words.get(number, f"#{number}") for number in range(size)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    write_characters(folder, characters)


ARRAYS = [
    *("utterances", "utterances_len", "utterances_num", "utterances_char"),
    *("responses", "responses_len", "responses_char"),
    *("personas", "personas_len", "personas_num", "personas_char", "target"),
]
# The candidates of the raw file have another order.
RAW = [name for name in ARRAYS if name.startswith(("utterances", "personas"))]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        *((source, name) for source in ("from_made_up_words", "from_processed") for name in ARRAYS),
        *(("from_raw", name) for name in RAW),
    ],
)
def test_each_source_gives_the_authors_arrays(golden, request, source, name):
    np.testing.assert_array_equal(request.getfixturevalue(source)[name], golden[name])


def test_the_raw_file_gives_the_authors_candidates_in_some_order(golden, from_raw):
    ours, theirs = (
        np.concatenate([a["responses_len"][..., None], a["responses"]], axis=2)
        for a in (from_raw, golden)
    )
    for turn, (our_rows, their_rows) in enumerate(zip(ours, theirs, strict=True)):
        assert sorted(our_rows.tolist()) == sorted(their_rows.tolist())
        our_gold = our_rows[from_raw["target"][turn]]
        np.testing.assert_array_equal(our_gold, their_rows[golden["target"][turn]])


def test_the_characters_of_candidates_are_the_authors_where_theirs_are_filled(golden, from_raw):
    # The first k candidates carry characters, in our order and in theirs: other candidates. So
    # compare by the words of a candidate, all of them known.
    def spellings(a):
        known = a["responses"][a["responses_char"].any(axis=(2, 3))]
        spelt = a["responses_char"][a["responses_char"].any(axis=(2, 3))]
        whole = (known != 1).all(axis=1)
        pairs = zip(known[whole], spelt[whole], strict=True)
        return {words.tobytes(): characters.tobytes() for words, characters in pairs}

    ours, theirs = spellings(from_raw), spellings(golden)
    both = ours.keys() & theirs.keys()
    assert len(both) >= 20
    assert all(ours[words] == theirs[words] for words in both)
