"""The authors' vocabulary files."""

import pytest

from dim_tf.data.tf1_vocab import read_characters, read_words
from dim_tf.errors import DataError


def test_a_word_has_the_id_of_its_line(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("<pad>\nfiance\nhello\n")
    assert read_words(path) == ("<pad>", "fiance", "hello")


def test_characters_keep_their_ids(tmp_path):
    path = tmp_path / "char_vocab.txt"
    path.write_text("1\th\n7\té\n")
    assert read_characters(path) == {1: "h", 7: "é"}


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_words, "", "the file is empty"),
        (read_words, "a\n\nb\n", "v.txt:2: found '', expected one word"),
        (read_words, "a\nb\na\n", "v.txt:3: .*'a'.* line 1"),
        (read_characters, "", "the file is empty"),
        (read_characters, "h\t1\n", "v.txt:1: .*expected an id, a tab and one character"),
        (read_characters, "1\tab\n", "v.txt:1: .*expected an id, a tab and one character"),
        (read_characters, "0\ta\n", "v.txt:1: found id 0, which is padding"),
        (read_characters, "1\ta\n1\tb\n", "v.txt:2: .*twice"),
        (read_characters, "1\ta\n2\ta\n", "v.txt:2: .*twice"),
    ],
)
def test_bad_vocabularies_are_named(tmp_path, read, text, message):
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)
