"""The built-in sample: its files, and that neither half of it gives the answer away."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from data_prep import personachat
from data_prep.sample import PERSONAS, SPLITS, VERSIONS, generate, write_sample
from data_prep.sample_language import TOPICS
from dim_tf.io.atomic import sha256


def words(*texts):
    return set(re.findall(r"\w+", " ".join(texts)))


# Words that carry no content; what is left of a profile is what it says.
FUNCTION_WORDS = words("a an the i my me is it as in on of to for by with from at am was")


@pytest.fixture(scope="module")
def sample():
    return generate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


def turns(dialogues):
    return [(dialogue, turn) for dialogue in dialogues for turn in dialogue.turns]


def sentences(dialogues):
    """All profiles, utterances and candidates, white space made equal."""
    found = set()
    for dialogue in dialogues:
        for version in VERSIONS:
            found.update(dialogue.own[version], dialogue.partner[version])
        for turn in dialogue.turns:
            found.update(turn.context, (candidate.text for candidate in turn.candidates))
    return {" ".join(sentence.split()) for sentence in found}


# === Files ===


def test_the_official_files_are_all_there(folder):
    names = {f"{s}_{p}_{v}.txt" for s in SPLITS for p in PERSONAS for v in VERSIONS}
    assert {path.name for path in folder.iterdir()} == names


def test_the_bytes_follow_from_the_seed(folder, tmp_path):
    write_sample(tmp_path / "same")
    write_sample(tmp_path / "other", seed=2)
    for path in folder.iterdir():
        assert sha256(tmp_path / "same" / path.name) == sha256(path)
        assert sha256(tmp_path / "other" / path.name) != sha256(path)


@pytest.mark.parametrize("split", SPLITS)
def test_the_files_hold_what_was_generated_and_are_aligned(folder, sample, split):
    expected = turns(sample[split])
    for persona, version in itertools.product(PERSONAS, VERSIONS):
        path = folder / f"{split}_{persona}_{version}.txt"
        found = list(personachat.read_turns(path))
        assert len(found) == len(expected)
        for read, (dialogue, turn) in zip(found, expected, strict=True):
            assert read.context == turn.context
            assert read.candidates == tuple(candidate.text for candidate in turn.candidates)
            assert read.gold == 19
            own, partner = dialogue.own[version], dialogue.partner[version]
            assert read.own == (own if persona in ("self", "both") else ())
            assert read.partner == (partner if persona in ("other", "both") else ())


def test_every_dialogue_is_numbered_and_the_gold_reply_is_the_last_candidate(folder):
    lines = (folder / "test_both_revised.txt").read_text().splitlines()
    first = lines[: lines.index(next(line for line in lines[1:] if line.startswith("1 ")))]
    assert [int(line.split()[0]) for line in first] == list(range(1, len(first) + 1))
    assert [line.split()[1] for line in first[:10]] == ["your"] * 5 + ["partner's"] * 5
    for line in first[10:]:
        _, reply, empty, candidates = line.split("\t")
        assert (empty, candidates.split("|")[-1]) == ("", reply)


def test_it_is_small(folder, sample):
    assert [len(turns(sample[split])) for split in SPLITS] == [1213, 199, 224]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6


# === The idea ===


@pytest.mark.parametrize("split", SPLITS)
def test_only_the_gold_reply_fits_both(sample, split):
    """Judged by the texts: a persona fits by its profiles, a topic by the values it has."""
    for dialogue, turn in turns(sample[split]):
        gold = turn.candidates[-1]
        kinds = Counter(candidate.kind for candidate in turn.candidates)
        assert kinds == {"gold": 1, "context": 8, "persona": 8, "neither": 3}
        assert len({candidate.text for candidate in turn.candidates}) == 20
        persona = words(*dialogue.own["original"])
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


def test_the_last_utterance_asks_about_the_topic_of_the_gold_reply(sample):
    for _, turn in turns(sample["train"]):
        topic = TOPICS[turn.candidates[-1].topic]
        question = turn.context[-1]
        tells = [name for name, _ in topic.values if f" {name} " in question]
        asks = [text for text in topic.questions if f" {text} ?" in question]
        assert len(tells) + len(asks) == 1
        assert TOPICS[turn.candidates[-1].topic].values[turn.candidates[-1].value][0] not in tells


@pytest.mark.parametrize(("split", "other"), list(itertools.combinations(SPLITS, 2)))
def test_no_sentence_and_no_persona_is_in_two_splits(sample, split, other):
    assert not sentences(sample[split]) & sentences(sample[other])
    for version in VERSIONS:
        personas = [
            {frozenset(d.own[version]) for d in sample[name]}
            | {frozenset(d.partner[version]) for d in sample[name]}
            for name in (split, other)
        ]
        assert not personas[0] & personas[1]


def test_every_word_of_the_test_split_is_in_the_training_split(sample):
    assert words(*sentences(sample["test"])) == words(*sentences(sample["train"]))


def test_the_words_of_a_value_are_its_own():
    values = [value for topic in TOPICS for value in topic.values]
    owned = [words(*value) - FUNCTION_WORDS for value in values]
    assert len(values) == 60 and sum(map(len, owned)) == len(set().union(*owned))
    frames = words(*(f for t in TOPICS for f in t.questions + t.profiles + t.revised + t.replies))
    assert frames & set().union(*owned) == set()


def test_revised_profiles_share_few_words_with_the_original(sample):
    shares = []
    for dialogue in sample["test"]:
        for original, revised in zip(*(dialogue.own[v] for v in VERSIONS), strict=True):
            one, other = (words(text) - FUNCTION_WORDS for text in (original, revised))
            shares.append(len(one & other) / len(one | other))
    assert np.mean(shares) < 0.01


def test_texts_are_short(sample):
    for sentence in sentences(sample["train"]):
        assert len(re.findall(r"\w+|[^\w\s]+", sentence)) <= 12


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
            [" ".join((*utterances_of(turn), *dialogue.own[version])) for dialogue, turn in rows]
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
        return combine(common(turn.context[-1:], texts), common(dialogue.own[version], texts))

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
        (place,) = [i for i, p in enumerate(dialogue.own["original"]) if name in p]
        places[place] += 1
        topics[gold.topic] += 1
    total = sum(places.values())
    assert len(places) == 5 and max(places.values()) < 0.25 * total
    assert len(topics) == 6 and max(topics.values()) < 0.22 * total
