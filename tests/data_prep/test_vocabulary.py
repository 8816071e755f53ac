from data_prep.vocabulary import (
    can_be_token,
    characters_of_data,
    words_of_data,
)
from dim_tf.data.text import TextRules


def test_words_go_by_count_then_alphabet_behind_the_reserved_ones():
    counts = {"z": 3, "b": 1, "a": 1, "_eos_": 9, "<pad>": 4, "<unk>": 5}
    assert words_of_data(counts) == ["<pad>", "<unk>", "_eos_", "z", "a", "b"]


def test_characters_count_once_for_each_time_their_word_occurs():
    assert characters_of_data({"ab": 2, "b": 1, "ca": 1}) == ["<pad>", "a", "b", "c"]


def test_extra_words_are_those_that_a_text_can_hold():
    words = ["the", "The", ". . .", "at name", "", "<unk>", "a\u00a0b"]
    assert [w for w in words if can_be_token(w, TextRules())] == ["the"]
    assert [w for w in words if can_be_token(w, TextRules(lowercase=False))] == ["the", "The"]
