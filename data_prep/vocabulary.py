"""The words and characters that get an id, in the order of their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dim_tf.data.text import PAD, UNK, TextRules


def words_of_data(counts: Mapping[str, int]) -> list[str]:
    """`<pad>`, `<unk>`, then every token by descending count, ties in alphabetical order.

    >>> words_of_data({"b": 2, "a": 2, "c": 5, "<unk>": 1})
    ['<pad>', '<unk>', 'c', 'a', 'b']
    """
    return [PAD, UNK, *(word for word in _by_count(counts) if word not in (PAD, UNK))]


def characters_of_data(counts: Mapping[str, int]) -> list[str]:
    """`<pad>`, then every character by descending count, ties in alphabetical order.

    >>> characters_of_data({"hello": 1, "o": 3})
    ['<pad>', 'o', 'l', 'e', 'h']
    """
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    return [PAD, *_by_count(characters)]


def can_be_token(word: str, rules: TextRules) -> bool:
    """Whether a text can contain this word as one token, so that it is worth an id.

    >>> [can_be_token(word, TextRules()) for word in ("york", "York", "new york", "")]
    [True, False, False, False]
    """
    tokens = (rules.candidate(word), rules.profile(word))
    return word not in (PAD, UNK) and [word] in map(list, tokens)


def _by_count(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
