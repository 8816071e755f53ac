import json

import pytest

from data_prep import speaker_sentences
from data_prep.own_data import open_tables
from data_prep.speaker_sentences import installed_tagger, profiles_in
from dim_tf.errors import DataError

SAID = {1: "i like red cars .", 2: "my dog is very old .", 3: "i have two tall sons ."}


@pytest.mark.parametrize(
    ("sentence", "fits"),
    [
        ("i like cars .", True),
        ("i don't .", True),  # i do n't .
        ("i ski", False),  # two words
        ("i ski " + 18 * "a ", True),
        ("i ski " + 19 * "a ", False),
        ("we like fast cars .", False),  # neither i nor my
        ("ski , sing and dance .", False),  # an i inside words only
        ("my favourite colour , blue .", False),  # no verb
        ("MY MOM WAS A NURSE .", True),
        ("you and i and they .", False),
    ],
)
def test_the_rule_of_a_profile(sentence, fits):
    assert list(profiles_in(sentence)) == [sentence] * fits


def test_an_utterance_is_split_into_sentences():
    found = list(profiles_in("nice ! i like red cars . how are you ? my dog is old"))
    assert found == ["i like red cars .", "my dog is old"]


def test_a_tagger_decides_about_parts_of_speech():
    tags = {"I": "PRP", "my": "PRP$", "sing": "VBP", "song": "NN", ".": "."}
    seen = []

    def tag(words):
        seen.append(words)
        return [(word, tags.get(word, "UH")) for word in words]

    assert list(profiles_in("i sing my song . i like my song .", tag)) == ["i sing my song ."]
    assert seen == [["I", "sing", "my", "song", "."], ["I", "like", "my", "song", "."]]
    tags |= {"I": "UH", "my": "UH", "song": "RB"}
    assert not list(profiles_in("i sing my song .", tag))  # a verb, but nothing else


def test_without_the_taggers_data_there_is_no_tagger(monkeypatch):
    class Missing:
        def __init__(self):
            raise LookupError

    monkeypatch.setattr("nltk.tag.PerceptronTagger", Missing)
    assert installed_tagger() is None


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(speaker_sentences, "installed_tagger", lambda: None)

    def run(records, count=5, **options):
        path = tmp_path / "own.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        options = {"candidates": 2, "sides": "both", "speaker_sentences": count} | options
        tables, notes = open_tables(path, **options)
        return {table.name: list(table.turns()) for table in tables}, notes

    return run


def dialogue(number, split="train", a="ann", **fields):
    said = [f"hi {number}", SAID[number], f"yes {number}"]
    return {"utterances": said, "speaker_a": a, "speaker_b": "ben", "split": split} | fields


def personas(tables, name):
    return {turn.line: set(turn.self_profiles) for turn in tables[name] if len(turn.context) == 1}


def test_a_persona_is_of_the_other_dialogues_of_the_same_speaker(prepared):
    records = [dialogue(1), dialogue(2, a=7), dialogue(3)]
    # Ben also speaks first once.
    records[2] |= {"speaker_a": "ben", "speaker_b": "eve"}
    records[2]["utterances"] = [SAID[3], "hi 3"]
    tables, notes = prepared(records)
    assert personas(tables, "train_self_original") == {
        1: {SAID[2], SAID[3]},
        2: {SAID[1], SAID[3]},
        3: set(),
    }
    partner = {turn.line: set(turn.partner_profiles) for turn in tables["train_both_original"]}
    assert partner == {1: {SAID[2], SAID[3]}, 2: {SAID[1], SAID[3]}, 3: {SAID[1], SAID[2]}}
    assert "3 of 6 personas are empty" in notes[1]
    assert speaker_sentences.DOWNLOAD in notes[0]


def test_nothing_of_valid_or_test_becomes_known_to_training(prepared):
    splits = {1: "train", 2: "valid", 3: "test"}
    # Distractors need another dialogue in each split.
    others = [dialogue(n, splits[n], speaker_b=f"b{n}", utterances=["hm", "no"]) for n in splits]
    tables, _ = prepared([*(dialogue(n, splits[n]) for n in splits), *others])
    assert personas(tables, "train_self_original")[1] == set()
    assert personas(tables, "valid_self_original")[2] == {SAID[1]}
    assert personas(tables, "test_self_original")[3] == {SAID[1]}


def test_at_most_n_distinct_sentences_chosen_by_the_seed(prepared):
    texts = [f"i have {number} cats ." for number in range(9)]
    records = [dialogue(1, utterances=["hi", text, "so", text]) for text in texts]
    found = []
    for seed in (1, 1, 2):
        tables, _ = prepared(records, 3, seed=seed)
        found.append([turn.self_profiles for turn in tables["train_self_original"][::3]])
    assert found[0] == found[1] != found[2]
    for profiles, own in zip(found[0], texts, strict=True):
        assert len(set(profiles)) == 3 and own not in profiles


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"utterances": ["a", "b"], "persona_a": []}, '"speaker_a": missing'),
        (dialogue(1, speaker_b=None), '"speaker_b'),
        (dialogue(1, a="ben"), '"speaker_b": found .ben., expected another speaker'),
        (dialogue(1, a="1", speaker_b=1), '"speaker_b": found 1, expected another speaker'),
        (dialogue(1, a=" "), '"speaker_a": found . ., expected a text that is not blank'),
        ({"context": ["a"], "persona": [], "response": "b"}, '"utterances": missing'),
    ],
)
def test_a_line_without_two_speakers_is_an_error(prepared, record, message):
    with pytest.raises(DataError, match=rf"own\.jsonl:2: field {message}"):
        prepared([dialogue(1), record])
