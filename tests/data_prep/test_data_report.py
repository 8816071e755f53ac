import json

from data_prep.data_report import Range, Ratio, build_report
from data_prep.dialogues import Corpus, Table, Turn
from dim_tf.data.text import TextRules, Vocabulary

SIZES = {"max_utterances": 2, "max_utterance_len": 4, "max_response_len": 3}
SIZES |= {"max_profiles": 1, "max_profile_len": 3, "max_word_len": 5}
TURNS = [
    Turn(("hi you",), ("yo", "no", "no"), 0, ("i ski",), (), 0, 1),
    Turn(("hi you", "yo", "i am here"), ("a b c d", "no"), 0, ("i ski",), (), 0, 2),
    Turn(("hey",), ("yo", "no", "yo"), 0, ("i ski", "i don't"), ("me",), 1, 4),
    Turn(("hey", "yo", "really ?"), ("no", "why"), -1, (), (), 1, 5),
]


def table(turns, split="train", **options):
    return Table(split, "self", "original", "memory", lambda: iter(turns), **options)


def findings(turns, **options):
    corpus = Corpus("mine", (table(turns),), ())
    return build_report(corpus, SIZES, **options).tables["train_self_original"]


def test_turns_and_candidates_are_counted():
    found = findings(TURNS)
    assert (found.dialogues, found.turns) == (2, 4)
    assert found.candidates == Range(2, 2.5, 3)
    assert (found.gold_once, found.gold_twice, found.gold_absent) == (2, 1, 1)
    assert found.gold_positions == {0: 3}
    assert found.duplicate_candidates == 2
    assert found.self_profiles == Range(0, 1.0, 2)
    assert found.partner_profiles == Range(0, 0.25, 1)


def test_what_will_be_cut_is_counted_once_a_sentence():
    found = findings(TURNS)
    assert found.cut_personas == 1
    assert found.cut_contexts == 2
    # Partner's: "hi you", "i am here", "hey", "really ?"; own: "yo". Four words fit with _eos_.
    assert found.cut_utterances == Ratio(0, 5)
    # "yo", "no", "a b c d", "why".
    assert found.cut_candidates == Ratio(1, 4)
    # "i ski", "i don ' t", "me".
    assert found.cut_profiles == Ratio(1, 3)
    assert found.cut_words.count == 1  # "really"


def test_the_tokenising_rule_counts():
    turns = [Turn(("a'b c",), ("it's",), 0, (), (), 0, 1)]
    assert findings(turns).cut_utterances == Ratio(1, 1)
    assert findings(turns, rules=TextRules("whitespace")).cut_utterances == Ratio(0, 1)
    corpus = Corpus("done", (table(turns, tokenised=True),), ())
    assert build_report(corpus, SIZES).tables["train_self_original"].cut_utterances == Ratio(0, 1)


def test_unknown_words_need_a_vocabulary():
    turns = [Turn(("hi you",), ("yo", "hi"), 0, ("hi me",), (), 0, 1)]
    assert findings(turns).unknown_words is None
    known = Vocabulary(["<pad>", "<unk>", "hi", "_eos_"], ["<pad>"])
    # hi, you, _eos_, yo, me.
    assert findings(turns, known=known).unknown_words == Ratio(3, 5)


def test_dialogues_in_two_splits_are_found():
    first, second = TURNS[:2], TURNS[2:3]
    tables = (table(first + second), table(second, "valid"), *[table(first, "test")] * 2)
    shared = build_report(Corpus("mine", tables, ()), SIZES).shared_dialogues
    assert shared == {"train, valid": 1, "train, test": 1, "valid, test": 0}


def test_the_report_as_json_and_as_text():
    corpus = Corpus("mine", (table(TURNS), table(TURNS[:1], "test")), (), notes=("two files",))
    report = build_report(corpus, SIZES)
    on_disk = json.loads(json.dumps(report.to_dict()))["tables"]["train_self_original"]
    assert on_disk["candidates"] == {"min": 2, "mean": 2.5, "max": 3}
    assert on_disk["cut_profiles"] == {"count": 1, "total": 3}
    assert on_disk["unknown_words"] is None and "self_profiles" in on_disk
    lines = report.to_text().splitlines()
    assert lines[0] == "Data report: mine" and lines[-1] == "Note: two files"
    row = next(line for line in lines if line.startswith("train_self_original"))
    assert "2 / 2.5 / 3" in row and "0 (100%)" in row
    assert len({len(line) for line in lines[2:5]}) == 1
