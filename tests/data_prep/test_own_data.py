import json

import pytest

from data_prep.own_data import open_tables
from dim_tf.errors import DataError


def dialogue(number, **fields):
    said = [f"{what} {number}" for what in ("hi", "hello", "pets ?", "cats")]
    return {
        "utterances": said,
        "persona_a": [f"a {number}"],
        "persona_b": [f"b {number}"],
    } | fields


def turn(number, **fields):
    said = {"context": [f"hi {number}"], "persona": [f"b {number}"], "response": f"yo {number}"}
    return said | fields


def write(tmp_path, records):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def tables_of(tmp_path, records, **options):
    tables, notes = open_tables(write(tmp_path, records), **({"candidates": 5} | options))
    return {table.name: list(table.turns()) for table in tables}, notes


def splits(tables):
    """The dialogues of each split, by the number in their first utterance."""
    found = {}
    for name, turns in tables.items():
        numbers = {int(turn.context[0].split()[1]) for turn in turns}
        found.setdefault(name.split("_")[0], numbers)
    return found


def test_dialogues_are_split_80_10_10_by_the_seed(tmp_path):
    records = [dialogue(number) for number in range(50)]
    tables, notes = tables_of(tmp_path, records, seed=1)
    found = splits(tables)
    assert [len(found[name]) for name in ("train", "valid", "test")] == [40, 5, 5]
    assert set().union(*found.values()) == set(range(50))
    assert notes == ()
    assert splits(tables_of(tmp_path, records, seed=1)[0]) == found
    assert splits(tables_of(tmp_path, records, seed=2)[0]) != found


def test_each_persona_has_its_table(tmp_path):
    tables, _ = tables_of(tmp_path, [dialogue(number, split="test") for number in range(10)])
    assert {name: (t[0].self_profiles, t[0].partner_profiles) for name, t in tables.items()} == {
        "test_none_original": ((), ()),
        "test_self_original": (("b 0",), ()),
        "test_their_original": ((), ("a 0",)),
        "test_both_original": (("b 0",), ("a 0",)),
    }


def test_drawn_candidates_follow_the_protocol_and_agree_between_tables(tmp_path):
    records = [
        dialogue(number, split="train", persona_a_revised=[], persona_b_revised=["x"])
        for number in range(20)
    ]
    tables, _ = tables_of(tmp_path, records)
    assert len(tables) == 7
    first = tables["train_self_original"]
    assert len(first) == 40
    for one in first:
        number = one.context[0].split()[1]
        distractors = one.candidates[:-1]
        assert (
            one.candidates[one.gold] == one.candidates[-1] in (f"hello {number}", f"cats {number}")
        )
        assert len(set(distractors)) == 4
        assert not any(text.endswith(f" {number}") for text in distractors)
    for turns in tables.values():
        assert [turn.candidates for turn in turns] == [turn.candidates for turn in first]
    assert tables_of(tmp_path, records, seed=2)[0]["train_self_original"] != first


def test_both_sides_of_a_dialogue_stay_one_dialogue(tmp_path):
    records = [dialogue(number, split="train") for number in range(5)]
    tables, _ = tables_of(tmp_path, records, sides="both")
    turns = tables["train_both_original"][:4]
    assert [turn.dialogue for turn in turns] == [0, 0, 0, 1]
    assert [turn.self_profiles[0] for turn in turns] == ["b 0", "a 0", "b 0", "b 1"]
    assert [turn.line for turn in turns] == [1, 1, 1, 2]


def test_dialogues_without_revised_personas_are_left_out_of_revised_tables_and_counted(tmp_path):
    revised = {"persona_a_revised": ["ra"], "persona_b_revised": ["rb"]}
    records = [
        dialogue(number, split="train", **(revised if number % 2 else {})) for number in range(6)
    ]
    tables, notes = tables_of(tmp_path, records)
    assert len(tables["train_self_original"]) == 12
    assert "train_none_revised" not in tables
    turns = tables["train_both_revised"]
    assert [turn.dialogue for turn in turns] == [0, 0, 1, 1, 2, 2]
    assert {(turn.self_profiles, turn.partner_profiles) for turn in turns} == {(("rb",), ("ra",))}
    original = {turn.line: turn.candidates for turn in tables["train_self_original"]}
    assert turns[-1].candidates == original[turns[-1].line]
    assert notes == ("6 of 12 turns have no revised persona: not in these tables",)
    one_side = [dialogue(number, split="train", persona_b_revised=["rb"]) for number in range(6)]
    tables, notes = tables_of(tmp_path, one_side)
    assert "train_self_revised" not in tables
    assert notes == ("12 of 12 turns have no revised persona: not in these tables",)


def test_turns_a_line_give_none_and_self(tmp_path):
    records = [turn(number, split="valid") for number in range(10)]
    records[0]["candidates"] = ["yo 0", "no"]
    tables, _ = tables_of(tmp_path, records)
    assert list(tables) == ["valid_none_original", "valid_self_original"]
    first, second, *_ = tables["valid_self_original"]
    assert (first.candidates, first.gold, first.self_profiles) == (("yo 0", "no"), 0, ("b 0",))
    assert (len(second.candidates), second.gold, second.line) == (5, 4, 2)
    assert not {"hi 1", "yo 1"} & set(second.candidates[:4])


def test_another_split_name_is_an_error_that_names_resplit(tmp_path):
    records = [dialogue(0, split="train"), *(dialogue(n, split="bst-val") for n in range(1, 30))]
    with pytest.raises(DataError, match=r'own.jsonl:2: field "split": found .bst-val.*--resplit'):
        tables_of(tmp_path, records)
    tables, _ = tables_of(tmp_path, records, resplit=True, candidates=2)
    assert [len(splits(tables)[name]) for name in ("train", "valid", "test")] == [24, 3, 3]


def test_a_folder_of_three_splits(tmp_path):
    for name in ("train.jsonl", "valid.JSONL", "test.json"):
        write(tmp_path, [dialogue(number) for number in range(4)]).rename(tmp_path / name)
    (tmp_path / "notes.jsonl").touch()
    tables, _ = open_tables(tmp_path, candidates=3)
    assert {table.split for table in tables} == {"train", "valid", "test"}
    assert all(len(list(table.turns())) == 8 for table in tables)
    assert tables[-1].path == str(tmp_path / "test.json")
    assert list(tables[-1].turns())[-1].line == 4
    write(tmp_path, [turn(1)]).rename(tmp_path / "valid.JSONL")
    with pytest.raises(DataError, match=r"valid\.JSONL:1: .* read as a dialogue"):
        open_tables(tmp_path)
    (tmp_path / "train.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"train\.jsonl\.gz: .*another file of the split train"):
        open_tables(tmp_path)


def test_a_report_on_few_dialogues_says_what_they_lack(tmp_path):
    with pytest.warns(UserWarning) as warned:
        tables, _ = tables_of(tmp_path, [dialogue(0)], lenient=True)
    found = {str(warning.message) for warning in warned}
    assert len(found) == 2 and any("at least 10" in text for text in found)
    assert tables["train_self_original"][0].candidates == ("hello 0",)


@pytest.mark.parametrize(
    ("count", "fields", "facts"),
    [
        (9, {}, "found 9 .*at least 10"),
        (3, {"utterances": ["hi", "yo"], "split": "test"}, "side a"),
    ],
)
def test_too_few_dialogues_or_no_reply_of_the_side(tmp_path, count, fields, facts):
    with pytest.raises(DataError, match=rf"own\.jsonl: .*{facts}"):
        tables_of(tmp_path, [dialogue(number, **fields) for number in range(count)], sides="a")
