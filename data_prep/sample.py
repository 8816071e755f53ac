"""The built-in sample: a small PERSONA-CHAT of our own, written by a seeded generator.

Two speakers tell each other about a few topics. The partner asks about one; the right reply names
the value that the responding speaker's persona has there. Of the 19 distractors

* 8 fit the conversation but not the persona: another value of the topic that was asked about;
* 8 fit the persona but not the conversation: what the persona has for topics still to come;
* 3 fit neither: what the partner has for other topics.

So neither half is enough: whoever cannot read the persona, or cannot read the conversation, is
left with nine equally good candidates.

Every sentence is a cell of a table value x frame x pattern, and the cells are dealt to the splits
along the diagonals of that table (`_SHARES`). So all words, frames and patterns occur in every
split, and no sentence occurs in two.

>>> dialogue = generate(seed=1)["test"][0]
>>> for profile in dialogue.own["original"]:
...     print(profile)
they hired me as a nurse.
i perform songs on the banjo.
i could eat waffles daily.
i moved into a lighthouse.
i joined a club for surfing.
>>> turn = dialogue.turns[0]
>>> print(turn.context[-1])
my career as a teacher means noisy classrooms , yours ?
>>> for candidate in turn.candidates[-3:]:
...     print(f"{candidate.kind}: {candidate.text}")
persona: actually my home is a lighthouse with blinking beams anyway
persona: sure my music is the banjo with plucked bluegrass really
gold: ha i earn as a nurse with hospital wards anyway
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.sample_language import (
    OPENING_PATTERNS,
    QUESTION_PATTERNS,
    REPLY_PATTERNS,
    STATEMENT_PATTERNS,
    TOPICS,
    Topic,
)
from dim_tf.data.dataset import SPLITS, VERSIONS
from dim_tf.io.atomic import write_lines

PERSONAS = ("none", "self", "other", "both")
DIALOGUES = {"train": 485, "valid": 80, "test": 90}
PROFILES = 5
TURNS = (2, 3)
DISTRACTORS = {"context": 8, "persona": 8, "neither": 3}

# The diagonals (sum of the indices, modulo 5) of every table of sentences that a split may use.
_SHARES = {"test": {0}, "valid": {1}, "train": {2, 3, 4}}
_DIAGONALS = 5
# How often the partner asks by telling, where the partner's persona has the topic.
_STATEMENT_RATE = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply to choose from: its text, what it says, and what it fits.

    `kind` is "gold", "context", "persona" or "neither"; `topic` and `value` are indices.
    """

    text: str
    kind: str
    topic: int
    value: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A context (oldest first, the partner's question last) and its candidates, the gold last."""

    context: tuple[str, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Both personas, each as {version: profiles}, and the turns of the responding speaker."""

    own: dict[str, tuple[str, ...]]
    partner: dict[str, tuple[str, ...]]
    turns: tuple[Turn, ...]


def generate(seed: int = 1) -> dict[str, list[Dialogue]]:
    """The sample as {split: dialogues}; the same for the same seed."""
    sample = {}
    for split in SPLITS:
        writer = _Writer(split, random.Random(f"{seed} {split}"))
        sample[split] = [writer.dialogue() for _ in range(DIALOGUES[split])]
    return sample


def write_sample(folder: Path, seed: int = 1) -> None:
    """Writes the sample into `folder` in the official layout.

    One file `{split}_{none,self,other,both}_{original,revised}.txt` for each split, persona and
    version: 24 in all. The files of a split hold the same turns in the same order. The bytes
    depend on the seed alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split, dialogues in generate(seed).items():
        for persona in PERSONAS:
            for version in VERSIONS:
                path = folder / f"{split}_{persona}_{version}.txt"
                write_lines(path, _lines(dialogues, persona, version))


def _lines(dialogues: Sequence[Dialogue], persona: str, version: str) -> Iterator[str]:
    for dialogue in dialogues:
        lines = []
        if persona in ("self", "both"):
            lines += [f"your persona: {profile}" for profile in dialogue.own[version]]
        if persona in ("other", "both"):
            lines += [f"partner's persona: {profile}" for profile in dialogue.partner[version]]
        for turn in dialogue.turns:
            texts = [candidate.text for candidate in turn.candidates]
            lines.append(f"{turn.context[-1]}\t{texts[-1]}\t\t{'|'.join(texts)}")
        yield from (f"{number} {line}" for number, line in enumerate(lines, start=1))


class _Writer:
    """Writes the dialogues of one split: its own random numbers, its own share of sentences."""

    def __init__(self, split: str, rng: random.Random):
        self.share = _SHARES[split]
        self.rng = rng

    def dialogue(self) -> Dialogue:
        # A persona is {topic: value}, in the order of its profiles.
        own = self._persona()
        partner = self._persona(unlike=own)
        asked = self.rng.sample(list(own), self.rng.choice(TURNS))
        turns: list[Turn] = []
        for number, topic in enumerate(asked):
            context: tuple[str, ...] = ()
            if turns:
                context = (*turns[-1].context, turns[-1].candidates[-1].text)
            question = self._question(topic, partner.get(topic), opening=not turns)
            untold = {key: value for key, value in own.items() if key not in asked[:number]}
            turns.append(Turn((*context, question), self._candidates(topic, untold, partner)))
        return Dialogue(self._profiles(own), self._profiles(partner), tuple(turns))

    def _persona(self, unlike: dict[int, int] | None = None) -> dict[int, int]:
        topics = self.rng.sample(range(len(TOPICS)), PROFILES)
        persona = {}
        for topic in topics:
            taken = (unlike or {}).get(topic)
            values = [value for value in range(len(TOPICS[topic].values)) if value != taken]
            persona[topic] = self.rng.choice(values)
        return persona

    def _profiles(self, persona: dict[int, int]) -> dict[str, tuple[str, ...]]:
        original, revised = [], []
        for topic, value in persona.items():
            original.append(self._fill(TOPICS[topic], TOPICS[topic].profiles, value))
            revised.append(self._fill(TOPICS[topic], TOPICS[topic].revised, value))
        return {"original": tuple(original), "revised": tuple(revised)}

    def _candidates(
        self, asked: int, own: dict[int, int], partner: dict[int, int]
    ) -> tuple[Candidate, ...]:
        """The 19 distractors in random order, then the gold reply; no text twice.

        Of the own persona it takes what has not been told yet: nobody answers the same twice.
        """
        others = [value for value in range(len(TOPICS[asked].values)) if value != own[asked]]
        fit_context = [(asked, value) for value in others]
        fit_persona = [(topic, value) for topic, value in own.items() if topic != asked]
        fit_neither = [(topic, value) for topic, value in partner.items() if topic != asked]
        wanted = [("gold", asked, own[asked])]
        for kind, facts in (
            ("context", self.rng.sample(fit_context, DISTRACTORS["context"])),
            ("persona", self.rng.choices(fit_persona, k=DISTRACTORS["persona"])),
            ("neither", self.rng.sample(fit_neither, DISTRACTORS["neither"])),
        ):
            wanted += [(kind, topic, value) for topic, value in facts]
        candidates: dict[str, Candidate] = {}
        for kind, topic, value in wanted:
            text = self._say(topic, value)
            while text in candidates:
                text = self._say(topic, value)
            candidates[text] = Candidate(text, kind, topic, value)
        gold, *distractors = candidates.values()
        self.rng.shuffle(distractors)
        return (*distractors, gold)

    def _question(self, topic: int, value: int | None, *, opening: bool) -> str:
        """Asks about a topic: outright, or by telling the asking speaker's own value there."""
        if value is not None and self.rng.random() < _STATEMENT_RATE:
            return self._say(topic, value, STATEMENT_PATTERNS)
        patterns = OPENING_PATTERNS if opening else QUESTION_PATTERNS
        pattern = self.rng.randrange(len(patterns))
        return patterns[pattern].format(self._deal(TOPICS[topic].questions, pattern))

    def _say(self, topic: int, value: int, patterns: Sequence[str] = REPLY_PATTERNS) -> str:
        pattern = self.rng.randrange(len(patterns))
        reply = self._fill(TOPICS[topic], TOPICS[topic].replies, value, pattern)
        return patterns[pattern].format(reply)

    def _fill(self, topic: Topic, frames: Sequence[str], value: int, pattern: int = 0) -> str:
        name, kin = topic.values[value]
        return self._deal(frames, value + pattern).format(name=name, kin=kin)

    def _deal(self, frames: Sequence[str], other_indices: int) -> str:
        """A random frame among those that, with the other indices, lie on this split's share."""
        return self.rng.choice(
            [
                frame
                for index, frame in enumerate(frames)
                if (index + other_indices) % _DIAGONALS in self.share
            ]
        )
