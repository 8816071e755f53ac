"""Which words and characters get an id, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dim_tf.data.text import PAD, UNK, TextRules


def words_of_data(counts: Mapping[str, int]) -> list[str]:
    """`<pad>`, `<unk>`, then every token of the data: the frequent first, ties by the alphabet.

    A text may happen to hold "<pad>" or "<unk>"; there it is an unknown word.

    >>> words_of_data({"b": 2, "a": 2, "c": 5, "<unk>": 1})
    ['<pad>', '<unk>', 'c', 'a', 'b']
    """
    return [PAD, UNK, *(word for word in _by_count(counts) if word not in (PAD, UNK))]


def characters_of_data(counts: Mapping[str, int]) -> list[str]:
    """`<pad>`, then every character of the tokens: the frequent first, ties by the alphabet.

    >>> characters_of_data({"hello": 1, "o": 3})
    ['<pad>', 'o', 'l', 'e', 'h']
    """
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    return [PAD, *_by_count(characters)]


def can_be_token(word: str, rules: TextRules) -> bool:
    """Whether any text can hold this word of a vector file as one token.

    Only such words are worth a row of their own: the tokens hold no white space, and no capital
    letters where the rules lower the case.

    >>> [can_be_token(word, TextRules()) for word in ("york", "York", "new york", "")]
    [True, False, False, False]
    """
    return (
        word.split() == [word]
        and word not in (PAD, UNK)
        and (not rules.lowercase or word == word.lower())
    )


def _by_count(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
