"""Tokenising as the authors do it, and ids."""

import unicodedata

import numpy as np
import pytest

from dim_tf.data.text import TextRules, Vocabulary
from dim_tf.errors import ConfigError

ODD = [
    "i'm fine, thanks!! :-) ...",
    "don''t -- stop__now 3.14 $5,000 a_b",
    "  many \t spaces \n and\r\nlines\x0b\x0c\x85\xa0\u2028\u3000end ",
    "naïve café ÀÉÎ ß İstanbul Привет, мир!",
    "日本語テキスト、です。",
    "emoji 👩👧 🇩🇪!? ☃",
    "١٢٣ Ⅷ",
    "\ud800 half a pair",
    "\x00\x07 control",
    "",
    "_",
    "a|b\tc",
]
# NLTK from 3.10 on compiles the expression with the module `regex`, which counts some rarer
# characters as parts of words (combining marks and joiners) and some not (superscript digits).
ALIKE = {
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    *("Sm", "Sc", "Sk", "Zs", "Zl", "Zp"),
}


@pytest.mark.parametrize("text", ODD)
def test_wordpunct_is_nltks_tokeniser_on_odd_strings(text):
    nltk = pytest.importorskip("nltk.tokenize")
    assert TextRules("wordpunct", lowercase=False).profile(
        text
    ) == nltk.WordPunctTokenizer().tokenize(text)


def test_wordpunct_is_nltks_tokeniser_on_every_common_character():
    nltk = pytest.importorskip("nltk.tokenize")
    common = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ALIKE]
    text = "".join(f"a{character}!{character} " for character in common)
    assert len(common) > 130_000
    assert TextRules("wordpunct", lowercase=False).profile(
        text
    ) == nltk.WordPunctTokenizer().tokenize(text)


@pytest.mark.parametrize("rule", ["wordpunct", "whitespace"])
def test_no_token_is_empty_or_contains_white_space(rule):
    for text in [*ODD, "\x1c\x1f \u200b\u200d e\u0301 ☃\ufe0f ²"]:
        assert all(token.split() == [token] for token in TextRules(rule).profile(text))


def test_the_authors_rule_depends_on_who_speaks():
    rules = TextRules()
    assert rules.profile("I'm a Nurse.") == ["i", "'", "m", "a", "nurse", "."]
    said = rules.utterance("I'm a Nurse.", partner=True)
    assert said == ["i", "'", "m", "a", "nurse", ".", "_eos_"]
    assert rules.utterance("I'm a Nurse.", partner=False) == ["i'm", "a", "nurse.", "_eos_"]
    assert rules.candidate("I'm  a Nurse.") == ["i'm", "a", "nurse."]


def test_one_rule_for_all_text():
    rules = TextRules("wordpunct", lowercase=False)
    assert rules.candidate("I'm") == rules.profile("I'm") == ["I", "'", "m"]
    assert rules.utterance("I'm", partner=False) == ["I", "'", "m", "_eos_"]
    assert TextRules("whitespace").profile("I'm here.") == ["i'm", "here."]


def test_composed_and_decomposed_text_is_the_same_and_marks_stay_in_their_word():
    old, new = TextRules(), TextRules(nfc=True)
    assert new.profile("Cafe\u0301!") == new.profile("Café!") == ["café", "!"]
    assert new.candidate("Cafe\u0301!") == ["café!"]
    assert old.profile("cafe\u0301") == ["cafe", "\u0301"]  # as runs without the record learnt it
    for text in ("नमस्ते दुनिया", "สวัสดีครับ", "می\u200cخواهم"):
        assert new.profile(text) == new.candidate(text) == text.split()
    assert new.profile("i ❤\ufe0f it's") == ["i", "❤\ufe0f", "it", "'", "s"]


def test_the_last_utterance_is_the_partners_whatever_the_number():
    rules = TextRules()
    assert rules.context(["a's", "b's"]) == [["a's", "_eos_"], ["b", "'", "s", "_eos_"]]
    assert rules.context(["b's"]) == [["b", "'", "s", "_eos_"]]
    assert rules.context([]) == []


def test_an_unknown_tokeniser_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"tokeniser: found 'author', .*mean authors\?"):
        TextRules("author")


def test_ids_are_places_and_rows_are_cut_and_padded():
    vocabulary = Vocabulary(["<pad>", "<unk>", "hello", "you"], ["<pad>", "o", "", "y"])
    np.testing.assert_array_equal(vocabulary.word_ids(["you", "who", "hello"], 2), [3, 1])
    np.testing.assert_array_equal(vocabulary.word_ids([], 2), [0, 0])
    np.testing.assert_array_equal(vocabulary.character_ids("yo!o", 5), [3, 1, 0, 1, 0])
    assert vocabulary.word_ids(["you"], 3).dtype == np.int32
    assert "you" in vocabulary and "who" not in vocabulary and "<pad>" not in vocabulary
    # In a text, reserved words are unknown.
    np.testing.assert_array_equal(vocabulary.word_ids(["<pad>", "<unk>", "you"], 3), [1, 1, 3])
