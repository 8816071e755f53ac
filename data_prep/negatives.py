"""Draws the candidates that own data does not bring, by the rule of the published corpus.

The distractors of a turn are utterances of the same split by either speaker, distinct, drawn
uniformly without replacement; none occurs in the turn's own dialogue, none equals the gold reply,
which stands last. They follow from (seed, split, dialogue, turn) alone, so that every table of a
split shows the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable

from dim_tf.errors import DataError


class Pool:
    """The distinct utterances of a split.

    Args:
        split: The name of the split.
        utterances: All its utterances; repeated ones count once.
        seed: The seed of all draws.

    >>> pool = Pool("train", ["hello", "hi", "i ski", "me too", "hi"], seed=1)
    >>> sorted(pool.draw((0, 1), 3, avoid={"hi"}))
    ['hello', 'i ski', 'me too']
    """

    def __init__(self, split: str, utterances: Iterable[str], seed: int):
        self.split = split
        self._seed = seed
        self._texts = list(dict.fromkeys(utterances))
        self._known = frozenset(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def draw(self, key: tuple[int, int], count: int, avoid: Collection[str]) -> tuple[str, ...]:
        """Draws `count` distinct utterances that are not in `avoid`.

        Args:
            key: The running numbers of the dialogue in its split and of the turn in its dialogue.
            count: How many to draw.
            avoid: The utterances of the turn's dialogue, the gold reply among them.

        Raises:
            DataError: There are not so many.
        """
        avoid = self._known.intersection(avoid)
        free = len(self) - len(avoid)
        if free < count:
            remedy = "ask for fewer with --candidates" if free else "give more dialogues"
            raise DataError(
                f"the {self.split} split has {free} utterances of other dialogues, expected at"
                f" least {count} to draw from; {remedy}, or give the candidates yourself"
            )
        # Only random() is promised to give the same numbers under every Python version.
        rng = random.Random(f"{self._seed} {self.split} {key[0]} {key[1]}")
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            text = self._texts[int(rng.random() * len(self._texts))]
            if text not in avoid:
                drawn[text] = None
        return tuple(drawn)
