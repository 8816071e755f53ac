"""The built-in sample: its files, and that it takes both context and persona to solve it."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep.archives import unpack
from data_prep.prepare import Settings, prepare
from data_prep.sources import SAMPLE, open_source
from examples import make_sample
from examples.make_sample import PERSONAS, SPLITS, TOPICS, VERSIONS, generate

TEXT_FINGERPRINT = "bd9c9fa526c241dd014875cedce79abb27adf63eeca64c3ba57157ba2183ab3c"


def words(*texts):
    return set(re.findall(r"\w+", " ".join(texts)))


# Words that carry no content; what is left of a profile is what it says.
FUNCTION_WORDS = words("a an the i my me is it as in on of to for by with from at am was")


@pytest.fixture(scope="module")
def sample():
    return generate()


def turns(dialogues):
    return [(dialogue, turn) for dialogue in dialogues for turn in dialogue.turns]


def sentences(dialogues):
    """All profiles, utterances and candidates, white space made equal."""
    found = set()
    for dialogue in dialogues:
        for version in VERSIONS:
            found.update(dialogue.self_profiles[version], dialogue.partner_profiles[version])
        for turn in dialogue.turns:
            found.update(turn.context, (candidate.text for candidate in turn.candidates))
    return {" ".join(sentence.split()) for sentence in found}


# === Files ===


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    unpack(SAMPLE, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_archive_holds_the_official_files(archive):
    assert set(archive) == {f"{s}_{p}_{v}.txt" for s in SPLITS for p in PERSONAS for v in VERSIONS}


def test_it_prepares_to_the_same_data_as_ever(tmp_path):
    """Runs of the sample know their data by this."""
    (tmp_path / "vectors.txt").write_text("i 1 2\n")
    (tmp_path / "out").mkdir()
    with open_source("sample") as corpus:
        settings = Settings(word2vec=tmp_path / "vectors.txt")
        manifest, _ = prepare(corpus, settings, tmp_path / "out", options={}, sources=[])
    assert manifest["text_fingerprint"] == TEXT_FINGERPRINT
    tables = manifest["counts"]["tables"]
    assert [tables[f"{s}_self_original"]["turns"] for s in SPLITS] == [1213, 199, 224]


@pytest.mark.slow
def test_the_archive_is_what_the_script_writes(archive, tmp_path):
    command = [sys.executable, Path(make_sample.__file__), "--out", tmp_path / "sample.tar.xz"]
    subprocess.run(command, check=True)
    (tmp_path / "files").mkdir()
    unpack(tmp_path / "sample.tar.xz", tmp_path / "files")
    assert {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()} == archive
    assert make_sample.sample_files(seed=2) != archive


# === The idea ===


@pytest.mark.parametrize("split", SPLITS)
def test_only_the_gold_reply_fits_both(sample, split):
    """Judged by the texts: a persona fits by its profiles, a topic by the values it has."""
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


@pytest.mark.parametrize(("split", "other"), list(itertools.combinations(SPLITS, 2)))
def test_no_sentence_and_no_persona_is_in_two_splits(sample, split, other):
    assert not sentences(sample[split]) & sentences(sample[other])
    for version in VERSIONS:
        personas = [
            {frozenset(d.self_profiles[version]) for d in sample[name]}
            | {frozenset(d.partner_profiles[version]) for d in sample[name]}
            for name in (split, other)
        ]
        assert not personas[0] & personas[1]


def test_every_word_of_the_test_split_is_in_the_training_split(sample):
    assert words(*sentences(sample["test"])) == words(*sentences(sample["train"]))


def test_revised_profiles_share_few_words_with_the_original(sample):
    shares = []
    for dialogue in sample["test"]:
        for original, revised in zip(*(dialogue.self_profiles[v] for v in VERSIONS), strict=True):
            one, other = (words(text) - FUNCTION_WORDS for text in (original, revised))
            shares.append(len(one & other) / len(one | other))
    assert np.mean(shares) < 0.01


# === Shortcuts ===


def hits_at_1(sample, score):
    """How often the gold reply, the last candidate, beats all others in the test split."""
    best = []
    for dialogue, turn in turns(sample["test"]):
        *distractors, gold = score(dialogue, turn, [c.text for c in turn.candidates])
        best.append(gold > max(distractors))
    return np.mean(best)


@pytest.mark.parametrize("version", VERSIONS)
def test_tf_idf_with_persona_does_not_find_the_gold_reply(sample, version):
    tf_idf = TfidfVectorizer(token_pattern=r"\w+").fit(sorted(sentences(sample["train"])))

    rows = turns(sample["test"])
    candidates = tf_idf.transform([c.text for _, turn in rows for c in turn.candidates])
    for utterances_of in (
        lambda turn: turn.context,
        lambda turn: turn.context[-1:],
        lambda turn: (),
    ):
        queries = tf_idf.transform(
            [
                " ".join((*utterances_of(turn), *dialogue.self_profiles[version]))
                for dialogue, turn in rows
            ]
        )
        products = candidates.multiply(queries[np.repeat(np.arange(len(rows)), 20)])
        cosines = np.asarray(products.sum(axis=1)).reshape(len(rows), 20)
        assert (cosines[:, -1] > cosines[:, :-1].max(axis=1)).mean() <= 0.4


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "combine",
    [
        lambda context, persona: context,
        lambda context, persona: persona,
        lambda context, persona: context + persona,
        lambda context, persona: context * persona,
    ],
    ids=["context", "persona", "sum", "product"],
)
def test_counting_common_words_does_not_find_the_gold_reply(sample, version, combine):
    def common(utterances, texts):
        return np.array([len(words(*utterances) & words(text)) for text in texts])

    def score(dialogue, turn, texts):
        return combine(
            common(turn.context[-1:], texts), common(dialogue.self_profiles[version], texts)
        )

    assert hits_at_1(sample, score) <= 0.4


def test_length_and_frequency_do_not_find_the_gold_reply(sample):
    counts = Counter(c.text for _, turn in turns(sample["test"]) for c in turn.candidates)
    word_counts = Counter(word for text in counts for word in text.split())
    measures = (
        len,
        lambda text: len(text.split()),
        counts.get,
        lambda text: np.mean([word_counts[word] for word in text.split()]),
    )
    for measure, sign in itertools.product(measures, (1, -1)):

        def score(dialogue, turn, texts, measure=measure, sign=sign):
            return [sign * measure(text) for text in texts]

        assert hits_at_1(sample, score) <= 0.2


def test_topics_and_places_of_the_gold_reply_are_even(sample):
    """Of the own profiles any may be asked about, at any place: none is worth betting on."""
    places, topics = Counter(), Counter()
    for dialogue, turn in turns(sample["train"]):
        gold = turn.candidates[-1]
        name = TOPICS[gold.topic].values[gold.value][0]
        (place,) = [i for i, p in enumerate(dialogue.self_profiles["original"]) if name in p]
        places[place] += 1
        topics[gold.topic] += 1
    total = sum(places.values())
    assert len(places) == 5 and max(places.values()) < 0.25 * total
    assert len(topics) == 6 and max(topics.values()) < 0.22 * total
