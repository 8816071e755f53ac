r"""Text to tokens and tokens to ids, for `data_prep` and the ranker alike.

The authors' program tokenises the two speakers differently. The partner's utterances and all
profiles go through NLTK's `WordPunctTokenizer`, whose whole rule is `\w+|[^\w\s]+`. Candidates and
the speaker's own utterances are only split at spaces: "i'm" is one token there and three elsewhere.
Weights trained on such text need such text. The tokeniser "wordpunct" applies one rule to all text.
Where a vocabulary is given, `TextRules.with_known_words` splits what it lacks.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dim_tf.errors import ConfigError, did_you_mean

PAD = "<pad>"
UNK = "<unk>"
EOS = "_eos_"
PAD_ID = 0
UNK_ID = 1
TOKENISERS = ("authors", "wordpunct", "whitespace")

_PROFILE_MARK = re.compile(r"^\s*(?:your|partner's) persona:\s*(?=\S)", re.IGNORECASE)
# The warning where `without_mark` has an effect.
MARK_LEFT_OUT = "persona: left out 'your persona:', a mark of the data files"
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD_OR_PUNCTUATION = re.compile(r"\w+|[^\w\s]+")
_ENCLOSED = re.compile(r"([^\w\s]*)(.*?)([^\w\s]*)", re.DOTALL)


def json_type_name(value: Any) -> str:
    """Names the JSON type of a value, for messages.

    >>> json_type_name("hi"), json_type_name(None), json_type_name(2.5), json_type_name({1, 2})
    ('a text', 'null', 'a number', 'a value of type set')
    """
    names = {str: "a text", list: "a list", dict: "an object", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def text_error(text: Any) -> str:
    """Says why a value is not a text with words in it; empty if it is one.

    >>> text_error("hi"), text_error(" ")
    ('', 'found an empty text, expected words')
    """
    if not isinstance(text, str):
        return f"found {json_type_name(text)}, expected a text"
    if not text.strip():
        return "found an empty text, expected words"
    if _SURROGATE.search(text):
        return "found half of a surrogate pair, or a byte that is not UTF-8 text in this locale"
    return ""


def without_mark(text: str) -> str:
    """A profile without the words that mark it in the official files.

    >>> without_mark("your persona: i ski.")
    'i ski.'
    """
    return _PROFILE_MARK.sub("", text)


@functools.cache
def _words_with_marks() -> re.Pattern:
    """As `_WORD_OR_PUNCTUATION`, but a word goes on after a combining mark or a joiner."""
    characters = map(chr, range(sys.maxunicode + 1))
    marks = "".join(c for c in characters if unicodedata.category(c).startswith("M"))
    return re.compile(rf"\w[\w{marks}\u200c\u200d]*|[^\w\s]+")


@dataclass(frozen=True)
class TextRules:
    """How raw text becomes tokens; stored in prepared folders and runs.

    Args:
        tokeniser: str. "authors": profiles and the partner's utterances by "wordpunct", candidates
            and the speaker's utterances by "whitespace". "wordpunct" or "whitespace": that rule
            for all text.
        lowercase: bool. Whether to lower the case, as the official texts and GloVe 6B do.
        nfc: bool. Whether to compose characters (Unicode's NFC) and to keep combining marks in
            their words. False for folders and runs that do not record it.
    """

    tokeniser: str = "authors"
    lowercase: bool = True
    nfc: bool = False

    def __post_init__(self):
        if self.tokeniser not in TOKENISERS:
            hint = did_you_mean(str(self.tokeniser), TOKENISERS)
            expected = ", ".join(TOKENISERS)
            raise ConfigError(f"tokeniser: found {self.tokeniser!r}, expected {expected}{hint}")

    def profile(self, text: str) -> list[str]:
        """Tokens of one profile sentence."""
        return self._tokens(text, "wordpunct")

    def utterance(self, text: str, partner: bool) -> list[str]:
        """Tokens of one context utterance; the last one is always `_eos_`."""
        return [*self._tokens(text, "wordpunct" if partner else "whitespace"), EOS]

    def candidate(self, text: str) -> list[str]:
        """Tokens of one candidate."""
        return self._tokens(text, "whitespace")

    def context(self, texts: Sequence[str]) -> list[list[str]]:
        """Tokens of a context, oldest utterance first.

        The last utterance is the partner's and the speakers alternate backwards from it.
        """
        last = len(texts) - 1
        return [
            self.utterance(text, partner=(last - index) % 2 == 0)
            for index, text in enumerate(texts)
        ]

    def of_tokens(self) -> TextRules:
        """The rules of texts whose words are already apart."""
        return TextRules("whitespace", self.lowercase, self.nfc)

    def with_known_words(self, known: Container[str]) -> TextRules:
        """These rules, but a word that is not known is split at its punctuation.

        Punctuation around a known word is set off; any other word is split as by "wordpunct".

        >>> rules = TextRules().with_known_words({"i", "a", "part-time", "nurse", "!"})
        >>> rules.candidate("i'm a part-time nurse!")
        ['i', "'", 'm', 'a', 'part-time', 'nurse', '!']
        """
        return _RulesOfWords(self.tokeniser, self.lowercase, self.nfc, known)

    def _tokens(self, text: str, authors_rule: str) -> list[str]:
        rule = authors_rule if self.tokeniser == "authors" else self.tokeniser
        text = text.lower() if self.lowercase else text
        text = unicodedata.normalize("NFC", text) if self.nfc else text
        return text.split() if rule == "whitespace" else self._wordpunct(text)

    def _wordpunct(self, text: str) -> list[str]:
        words = _words_with_marks() if self.nfc and not text.isascii() else _WORD_OR_PUNCTUATION
        return words.findall(text)


@dataclass(frozen=True)
class _RulesOfWords(TextRules):
    known: Container[str] = field(default=(), repr=False)

    def _tokens(self, text: str, authors_rule: str) -> list[str]:
        tokens = super()._tokens(text, authors_rule)
        return [part for token in tokens for part in self._split(token)]

    def _split(self, token: str) -> list[str]:
        if token in self.known:
            return [token]
        before, word, after = _ENCLOSED.fullmatch(token).groups()
        if word in self.known:
            return [part for part in (before, word, after) if part]
        return self._wordpunct(token)


class Vocabulary:
    """Words and characters with their ids: the id is the index in the list.

    Args:
        words: sequence of str. `<pad>`, `<unk>`, then the words.
        characters: sequence of str. `<pad>`, then the characters; "" marks an unused id.
    """

    def __init__(self, words: Sequence[str], characters: Sequence[str]):
        self.words = list(words)
        self.characters = list(characters)
        # In a text, "<pad>" and "<unk>" are unknown words.
        self._words = {word: i for i, word in enumerate(self.words) if i > UNK_ID}
        self._characters = {c: i for i, c in enumerate(self.characters) if i > PAD_ID and c}

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def word_id(self, word: str) -> int:
        """The id of a word; 1 if it is unknown."""
        return self._words.get(word, UNK_ID)

    def word_ids(self, tokens: Iterable[str], length: int) -> np.ndarray:
        """Ids of the first `length` tokens, padded with 0: int32 [length]."""
        return _padded((self.word_id(token) for token in tokens), length)

    def character_ids(self, word: str, length: int) -> np.ndarray:
        """Ids of the first `length` characters, 0 for unknown ones and padding: int32 [length]."""
        return _padded((self._characters.get(character, PAD_ID) for character in word), length)


def _padded(ids: Iterable[int], length: int) -> np.ndarray:
    row = np.zeros(length, np.int32)
    first = list(itertools.islice(ids, length))
    row[: len(first)] = first
    return row
