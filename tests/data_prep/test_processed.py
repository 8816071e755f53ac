import pytest

from data_prep.processed import read_turns, setting
from dim_tf.errors import DataError

GOOD = (
    "hello there _eos_\thi|no\t0\tNA\ti ski .|i run .\n"
    "hello there _eos_ hi _eos_ pets ? _eos_\tno|yes\t1\tNA\ti ski .|i run .\n"
    "hey _eos_\tyo|no\t0\ti dance .\tNA\n"
)


def turns_of(tmp_path, text):
    path = tmp_path / "processed_test_self_original.txt"
    path.write_text(text)
    return list(read_turns(path))


def test_fields_become_turns_and_growing_contexts_one_dialogue(tmp_path):
    one, two, three = turns_of(tmp_path, GOOD)
    assert one.context == ("hello there",)
    assert two.context == ("hello there", "hi", "pets ?")
    assert (two.candidates, two.gold) == (("no", "yes"), 1)
    assert (two.self_profiles, two.partner_profiles) == (("i ski .", "i run ."), ())
    assert (three.self_profiles, three.partner_profiles) == ((), ("i dance .",))
    assert [turn.dialogue for turn in (one, two, three)] == [0, 0, 1]
    assert [turn.line for turn in (one, two, three)] == [1, 2, 3]


def test_the_same_opening_said_again_is_a_new_dialogue(tmp_path):
    turns = turns_of(tmp_path, "hi _eos_\tyo|no\t0\tNA\tNA\n" * 2)
    assert [turn.dialogue for turn in turns] == [0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hi _eos_\tyo\t0\tNA", "found 4 fields, expected 5"),
        ("hi\tyo\t0\tNA\tNA", "the context does not end in _eos_"),
        ("hi _eos_  _eos_\tyo\t0\tNA\tNA", "utterance 2 of the context is empty"),
        ("hi _eos_\tyo||no\t0\tNA\tNA", "candidate 2 of 3 is empty"),
        ("hi _eos_\tyo|no\t2\tNA\tNA", "found label '2', expected the gold reply's index, 0 to 1"),
        ("hi _eos_\tyo|no\tx\tNA\tNA", "found label 'x'"),
        ("hi _eos_\tyo|no\t0\tNA\ta||b", "found an empty profile"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    with pytest.raises(DataError, match=f"processed_test_self_original.txt:4: {message}"):
        turns_of(tmp_path, GOOD + line + "\n")


def test_an_empty_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="the file is empty"):
        turns_of(tmp_path, "")


def test_names():
    assert setting("processed_train_other_revised.txt") == ("train", "their", "revised")
    assert setting("processed_a_self_original.txt") is None
