"""The built-in sample: its files, and that it takes both context and persona to solve it."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from data_prep.archives import unpack
from data_prep.prepare import Settings, prepare
from data_prep.sources import SAMPLE, open_source
from examples import make_sample
from examples.make_sample import SPLITS, TOPICS, VERSIONS

TEXT_FINGERPRINT = "bd9c9fa526c241dd014875cedce79abb27adf63eeca64c3ba57157ba2183ab3c"
# Words without content; the others are what a profile says.
FUNCTION_WORDS = {"a", "an", "the", "in"}


def words(*texts):
    return set(re.findall(r"\w+", " ".join(texts)))


@pytest.fixture(scope="module")
def sample():
    return make_sample.generate()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    unpack(SAMPLE, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def turns(dialogues):
    return [(dialogue, turn) for dialogue in dialogues for turn in dialogue.turns]


def sentences(dialogues):
    """All profiles, utterances and candidates, without double spaces."""
    found = set()
    for dialogue in dialogues:
        for version in VERSIONS:
            found.update(dialogue.self_profiles[version], dialogue.partner_profiles[version])
        for turn in dialogue.turns:
            found.update(turn.context, (candidate.text for candidate in turn.candidates))
    return {" ".join(sentence.split()) for sentence in found}


def test_its_fingerprint_never_changes(tmp_path):
    """Runs of the sample are bound to it."""
    (tmp_path / "vectors.txt").write_text("i 1 2\n")
    (tmp_path / "out").mkdir()
    with open_source("sample") as corpus:
        settings = Settings(word2vec=tmp_path / "vectors.txt")
        manifest, _ = prepare(corpus, settings, tmp_path / "out", options={}, sources=[])
    assert manifest["text_fingerprint"] == TEXT_FINGERPRINT
    tables = manifest["counts"]["tables"]
    assert len(tables) == 24
    assert [tables[f"{s}_self_original"]["turns"] for s in SPLITS] == [1213, 199, 224]


@pytest.mark.slow
def test_the_archive_is_what_the_script_writes(archive, tmp_path):
    command = [sys.executable, Path(make_sample.__file__), "--out", tmp_path / "sample.tar.xz"]
    subprocess.run(command, check=True)
    (tmp_path / "files").mkdir()
    unpack(tmp_path / "sample.tar.xz", tmp_path / "files")
    assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == archive
    assert make_sample.sample_files(seed=2) != archive


@pytest.mark.parametrize("split", SPLITS)
def test_only_the_gold_reply_fits_context_and_persona(sample, split):
    """By its words: a candidate fits the persona or the topic if it shares words with them."""
    for dialogue, turn in turns(sample[split]):
        gold = turn.candidates[-1]
        kinds = Counter(candidate.kind for candidate in turn.candidates)
        assert kinds == {"gold": 1, "context": 8, "persona": 8, "neither": 3}
        assert len({candidate.text for candidate in turn.candidates}) == 20
        persona = words(*dialogue.self_profiles["original"])
        asked = words(*itertools.chain(*TOPICS[gold.topic].values)) - FUNCTION_WORDS
        for candidate in turn.candidates:
            name = TOPICS[candidate.topic].values[candidate.value][0].split()[-1]
            assert name in words(candidate.text)
            fits = (bool(words(candidate.text) & asked), name in persona)
            assert candidate.kind == {
                (True, True): "gold",
                (True, False): "context",
                (False, True): "persona",
                (False, False): "neither",
            }.get(fits)


def test_splits_share_all_words_but_no_sentence(sample):
    for one, other in itertools.combinations(SPLITS, 2):
        assert not sentences(sample[one]) & sentences(sample[other])
    assert words(*sentences(sample["test"])) == words(*sentences(sample["train"]))
