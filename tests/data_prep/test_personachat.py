import pytest

from data_prep.dialogues import Turn
from data_prep.personachat import open_table, read_turns, setting
from dim_tf.errors import DataError

GOOD = """\
1 your persona: i have a turtle .
2 partner's persona: i dance .
3 hello\thi there\t\tno|hi there
4 any pets ?\ta turtle\t\ta turtle|no
1 your persona: i ski .
2 hey\tyo\t\tyo|no|yo
"""


def turns_of(tmp_path, text):
    path = tmp_path / "test_both_original.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_turns(path))


def test_contexts_grow_and_each_dialogue_starts_empty(tmp_path):
    own, partner = ("i have a turtle .",), ("i dance .",)
    assert turns_of(tmp_path, GOOD) == [
        Turn(("hello",), ("no", "hi there"), 1, own, partner, 0, 3),
        Turn(("hello", "hi there", "any pets ?"), ("a turtle", "no"), 0, own, partner, 0, 4),
        Turn(("hey",), ("yo", "no", "yo"), 0, ("i ski .",), (), 1, 6),
    ]


@pytest.mark.parametrize("silence", ["", "__SILENCE__"])
def test_silence_first_means_that_the_replying_speaker_opens(tmp_path, silence):
    text = f"1 {silence}\thi\t\thi|no\n2 hello\tyes\t\tyes|no\n"
    assert [turn.context for turn in turns_of(tmp_path, text)] == [(), ("hi", "hello")]


def test_a_bar_alone_separates_candidates_and_odd_characters_stay(tmp_path):
    (turn,) = turns_of(tmp_path, "1 a\u2028b 😀\\nhi\tc,d / e\t\tx;y | c,d / e\n")
    assert turn.context == ("a\u2028b 😀 hi",)  # in ParlAI's files, \\n is a line break in a text
    assert turn.candidates == ("x;y", "c,d / e")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": the file is empty, expected dialogues"),
        ("hello\thi\t\thi\n", ":1: found 'hello.*hi', expected a line number"),
        ("\n\n", ": the file is empty, expected dialogues"),
        ("1 a\tb\t\tb\n\n3 a\tb\t\tb\n", ":3: found line number '3', expected 2 or"),
        ("2 a\tb\t\tb\n", ":1: found line number '2', expected 1"),
        ("1 a\tb\t\tb\n3 a\tb\t\tb\n", ":2: found line number '3', expected 2 or, for a new"),
        ("1 a\tb\n", ":1: found 2 fields, expected 4: .*files without candidates"),
        ("1 just a text\n", ":1: found 'just a text', expected 'your persona:'"),
        ("1 a\tb\t\t\n", ":1: found no candidates"),
        ("1 a\tb\t\tb||c\n", ":1: candidate 2 of 3 is empty"),
        ("1 a\tb\t\tc|d\n", ":1: the reply 'b' is not among its 2 candidates"),
        ("1 a\tb|  c\t\tb|  c\n", r":1: the reply 'b\|  c' is not .*; a \| divides candidates"),
        ("1 a\t\t\tc|d\n", r":1: the reply \(field 2\) is empty"),
        ("1 a\tb\t\tb\n2 \tb\t\tb\n", ":2: the partner's text is empty"),
        ("1 your persona: \n2 a\tb\t\tb\n", ":1: found an empty profile"),
        ("1 a\tb\t\tb\n2 your persona: x\n", ":2: found 'your persona: x', expected TEXT<TAB>"),
        ("1 your persona: x\n1 a\tb\t\tb\n", ":2: the previous dialogue has no turn"),
        ("1 a\tb\t\tb\n1 your persona: x\n", ":2: the last dialogue has no turn; is the file cut"),
        (b"1 a\tb\t\tb\n2 caf\xe9\tb\t\tb\n", ":2: found byte 0xe9 at position 6"),
    ],
)
def test_bad_files_are_named_with_line_and_finding(tmp_path, text, message):
    with pytest.raises(DataError, match=f"test_both_original.txt{message}"):
        turns_of(tmp_path, text)


def test_the_reply_is_found_by_words_and_a_bar_inside_a_candidate_is_noticed(tmp_path):
    with pytest.warns(UserWarning, match="2 to 3 candidates"):
        first, second = turns_of(tmp_path, "1 a\tI  ski\t\tno|i ski\n2 b\tyo\t\tyo|:|no\n")
    assert (first.gold, second.gold) == (1, 0)


def test_other_names_are_no_setting():
    for name in ("train_self.txt", "train_self_original.txt.bak", "a_none_original"):
        assert setting(name) is None


def test_a_table_can_be_read_twice_and_leniently(tmp_path):
    path = tmp_path / "valid_other_revised.txt"
    path.write_text("1 a\tb\t\tc|d\n2 e\tf\t\tf|c\n")
    table = open_table(path, "valid", lenient=True)
    assert table.name == "valid_their_revised"
    first, second = table.turns()
    assert (first.gold, second.gold, second.context) == (-1, 0, ("a", "b", "e"))
    assert list(table.turns()) == [first, second]
