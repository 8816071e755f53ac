"""Draws candidates for the user's own data, by the rule of PERSONA-CHAT.

The distractors of a turn are distinct utterances of the same split, by either speaker, drawn
uniformly without replacement. None occurs in the dialogue of the turn; the gold reply comes last.
They depend on (seed, split, dialogue, turn) alone: every table of a split shows the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable

from dim_tf.errors import DataError


class DistractorSampler:
    """Samples from the distinct utterances of a split.

    Args:
        split: str. Name of the split.
        utterances: iterable of str. All its utterances; repeated ones count once.
        seed: int. Seed of all draws.
    """

    def __init__(self, split: str, utterances: Iterable[str], seed: int):
        self._split, self._seed = split, seed
        self._texts = list(dict.fromkeys(utterances))
        self._known = frozenset(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def draw(self, key: tuple[int, int], count: int, avoid: Collection[str]) -> tuple[str, ...]:
        """Draws `count` distinct utterances that are not in `avoid`.

        `key` is the number of the dialogue in its split and that of the turn in its dialogue.
        Raises `DataError` if there are fewer utterances.
        """
        avoid = self._known.intersection(avoid)
        free = len(self) - len(avoid)
        if free < count:
            remedy = "ask for fewer with --candidates" if free else "give more dialogues"
            raise DataError(
                f"the {self._split} split has {free} utterances of other dialogues, expected at"
                f" least {count} to draw from; {remedy}, or give the candidates yourself"
            )
        # Python guarantees equal numbers in every version for random() alone.
        rng = random.Random(f"{self._seed} {self._split} {key[0]} {key[1]}")
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            text = self._texts[int(rng.random() * len(self._texts))]
            if text not in avoid:
                drawn[text] = None
        return tuple(drawn)
