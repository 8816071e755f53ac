"""A prepared folder of random turns whose sizes are those of PERSONA-CHAT."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

from data_prep.dialogues import Corpus, Table, Turn
from data_prep.prepare import Settings, prepare
from dim_tf.data.text import TextRules

CANDIDATES = 20
# How often a context has 1, 3, ..., 15 utterances, and a persona 4 or 5 profiles.
CONTEXTS = {1: 0.15, 3: 0.14, 5: 0.15, 7: 0.14, 9: 0.14, 11: 0.14, 13: 0.09, 15: 0.05}
PERSONAS = {4: 0.5, 5: 0.5}
# Mean and standard deviation of the words of an utterance, without `_eos_`, and of a profile.
UTTERANCE_WORDS = (11.9, 3.9)
PROFILE_WORDS = (7.3, 2.5)
# A batch of 16 turns has about 1,300 distinct words then.
VOCABULARY, EXPONENT, SHIFT = 10_000, 1.2, 2
ALPHABET = string.ascii_lowercase + string.digits + ".,?!'-&:;"


def write_turns(folder: Path, turns: int, word_dim: int, seed: int = 1) -> None:
    """Writes a prepared folder with the one table `train_self_original`.

    Args:
        folder: An empty folder.
        turns: How many turns.
        word_dim: Dimensions of the random word vectors.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    drawn = random_turns(rng, turns)
    words = sorted({w for turn in drawn for text in _texts(turn) for w in text.split()})
    vectors = folder / "random.txt"
    # Two decimals: the text is written, read and not looked at.
    rows = (rng.integers(-99, 100, (len(words), word_dim)) / 100).tolist()
    lines = (f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows, strict=True))
    vectors.write_text("".join(lines), encoding="utf-8")
    table = Table("train", "self", "original", "random turns", lambda: iter(drawn))
    settings = Settings(
        rules=TextRules("whitespace"), vectors=vectors, word2vec="none", extra_words=0
    )
    prepare(Corpus("random", (table,), ()), settings, folder, options={}, sources=[])
    vectors.unlink()


def random_turns(rng: np.random.Generator, count: int) -> list[Turn]:
    """Turns of random words: a few words are frequent, most are rare."""
    words = _random_words(rng)
    chances = 1 / (np.arange(1, len(words) + 1) + SHIFT) ** EXPONENT
    chances /= chances.sum()

    def sentences(number, mean, deviation):
        lengths = np.clip(np.rint(rng.normal(mean, deviation, number)), 2, 20).astype(int)
        drawn = np.array(words)[rng.choice(len(words), lengths.sum(), p=chances)]
        parts = np.split(drawn, np.cumsum(lengths)[:-1])
        return list(dict.fromkeys(" ".join(part) for part in parts))

    def some(pool, number):
        return tuple(pool[index] for index in rng.choice(len(pool), number, replace=False))

    # As in the corpus, wrong replies are utterances of other dialogues.
    utterances = sentences(4 * count + 1000, *UTTERANCE_WORDS)
    profiles = sentences(count + 100, *PROFILE_WORDS)
    contexts = rng.choice(list(CONTEXTS), count, p=list(CONTEXTS.values()))
    personas = rng.choice(list(PERSONAS), count, p=list(PERSONAS.values()))
    return [
        Turn(
            context=some(utterances, contexts[number]),
            candidates=some(utterances, CANDIDATES),
            gold=int(rng.integers(CANDIDATES)),
            self_profiles=some(profiles, personas[number]),
            partner_profiles=(),
            dialogue=number,
            line=number + 1,
        )
        for number in range(count)
    ]


def _random_words(rng: np.random.Generator) -> list[str]:
    """Distinct words, the frequent first; these are the shorter ones."""
    means = 1.3 + 1.45 * np.log10(np.arange(1, VOCABULARY + 1))
    lengths = np.clip(np.rint(rng.normal(means, 1.5)), 1, 18).astype(int)
    words: dict[str, None] = {}
    for length in lengths:
        word = ""
        while not word or word in words:
            word += "".join(rng.choice(list(ALPHABET), length if not word else 1))
        words[word] = None
    return list(words)


def _texts(turn: Turn) -> tuple[str, ...]:
    return (*turn.context, *turn.candidates, *turn.self_profiles)
