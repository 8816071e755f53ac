r"""Text to tokens, tokens to ids: the one place where it happens, for `data_prep` and the ranker.

The authors' program tokenises the two sides of a dialogue differently: the partner's utterances
and all profiles go through NLTK's `WordPunctTokenizer`, whose whole rule is `\w+|[^\w\s]+`;
candidates, and the speaker's own replies in the context, are only split at spaces. "i'm" is so
three words in one place and one in the other. Weights trained that way need text prepared that
way; the tokeniser "wordpunct" is for those who want one rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dim_tf.errors import ConfigError, did_you_mean

PAD = "<pad>"
UNK = "<unk>"
EOS = "_eos_"
PAD_ID = 0
UNK_ID = 1
TOKENISERS = ("authors", "wordpunct", "whitespace")

_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD_OR_PUNCTUATION = re.compile(r"\w+|[^\w\s]+")


def kind(value: Any) -> str:
    """What a value is, in JSON's terms, for messages.

    >>> kind("hi"), kind(None), kind(2.5), kind({1, 2})
    ('a text', 'null', 'a number', 'a value of type set')
    """
    names = {str: "a text", list: "a list", dict: "an object", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def problem_of(text: Any) -> str:
    """What keeps a value from being a text with words in it; empty if nothing does.

    >>> problem_of("hi"), problem_of(" ")
    ('', 'found an empty text, expected words')
    """
    if not isinstance(text, str):
        return f"found {kind(text)}, expected a text"
    if not text.strip():
        return "found an empty text, expected words"
    if _SURROGATE.search(text):
        return "found half of a surrogate pair, expected whole characters"
    return ""


def tokenise(text: str, rule: str) -> list[str]:
    """Splits a text by "wordpunct" (runs of word characters, runs of others) or "whitespace".

    No token is empty or holds white space, however the text is spaced.

    >>> tokenise("i'm  fine, thanks!!", "wordpunct")
    ['i', "'", 'm', 'fine', ',', 'thanks', '!!']
    >>> tokenise("i'm  fine, thanks!!", "whitespace")
    ["i'm", 'fine,', 'thanks!!']
    """
    return text.split() if rule == "whitespace" else _WORD_OR_PUNCTUATION.findall(text)


@dataclass(frozen=True)
class TextRules:
    """How raw text becomes tokens; the prepared folder and the run keep it.

    Args:
        tokeniser: "authors": profiles and the partner's utterances by "wordpunct", candidates and
            own utterances by "whitespace". "wordpunct" or "whitespace": everything by that rule.
        lowercase: Lower the case first; the official texts and the common vectors are lower case.

    >>> rules = TextRules()
    >>> rules.context(["i'm Bob.", "I'm here.", "that's it"])
    [['i', "'", 'm', 'bob', '.', '_eos_'], ["i'm", 'here.', '_eos_'],
     ['that', "'", 's', 'it', '_eos_']]
    >>> rules.candidate("I'm here.")
    ["i'm", 'here.']
    """

    tokeniser: str = "authors"
    lowercase: bool = True

    def __post_init__(self):
        if self.tokeniser not in TOKENISERS:
            hint = did_you_mean(str(self.tokeniser), TOKENISERS)
            expected = ", ".join(TOKENISERS)
            raise ConfigError(f"tokeniser: found {self.tokeniser!r}, expected {expected}{hint}")
        if not isinstance(self.lowercase, bool):
            raise ConfigError(f"lowercase: found {self.lowercase!r}, expected true or false")

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
            self.utterance(text, partner=(last - place) % 2 == 0)
            for place, text in enumerate(texts)
        ]

    def _tokens(self, text: str, authors_rule: str) -> list[str]:
        rule = authors_rule if self.tokeniser == "authors" else self.tokeniser
        return tokenise(text.lower() if self.lowercase else text, rule)


class Vocabulary:
    """Words and characters with their ids: an id is the place in the list.

    Args:
        words: `<pad>`, `<unk>`, then the words.
        characters: `<pad>`, then the characters; "" marks an id that no character has.

    >>> vocabulary = Vocabulary(["<pad>", "<unk>", "hello", "you"], ["<pad>", "e", "h", "l", "o"])
    >>> vocabulary.word_ids(["hello", "hole"], 4)
    array([2, 1, 0, 0], dtype=int32)
    >>> vocabulary.character_ids("hole!", 6)
    array([2, 4, 3, 1, 0, 0], dtype=int32)
    """

    def __init__(self, words: Sequence[str], characters: Sequence[str]):
        self.words = list(words)
        self.characters = list(characters)
        # A text that happens to hold "<pad>" or "<unk>" has an unknown word there.
        self._words = {word: place for place, word in enumerate(self.words) if place > UNK_ID}
        self._characters = {
            character: place
            for place, character in enumerate(self.characters)
            if place > PAD_ID and character
        }

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def word_id(self, word: str) -> int:
        """The id of a word; 1 if it is unknown."""
        return self._words.get(word, UNK_ID)

    def word_ids(self, tokens: Iterable[str], length: int) -> np.ndarray:
        """Ids of the first `length` tokens, padded with 0: int32 [length]."""
        row = np.zeros(length, np.int32)
        for place, token in zip(range(length), tokens, strict=False):
            row[place] = self.word_id(token)
        return row

    def character_ids(self, word: str, length: int) -> np.ndarray:
        """Ids of the first `length` characters, 0 for unknown ones and padding: int32 [length]."""
        row = np.zeros(length, np.int32)
        for place, character in zip(range(length), word, strict=False):
            row[place] = self._characters.get(character, PAD_ID)
        return row
