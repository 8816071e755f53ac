"""Personas from what speakers say in their other dialogues (Mazare et al., EMNLP 2018).

A sentence of a speaker is a profile if it

1. has 4 to 20 words or punctuation marks,
2. contains the word "i" or "my",
3. contains a verb,
4. contains a noun, a pronoun or an adjective.

NLTK's tagger finds the parts of speech if its data are installed. Without them, a verb is a form of
be, have or do, a modal, or a word right after a subject pronoun; 4 follows from 2.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from data_prep.jsonl import Dialogue, Persona, Reply
from dim_tf.data.dataset import SPLITS

Tag = Callable[[list[str]], list[tuple[str, str]]]
# A speaker's distinct sentences, each with the numbers of the dialogues in which it is said.
Pool = list[tuple[str, set[int]]]

DOWNLOAD = "python -m nltk.downloader averaged_perceptron_tagger_eng"

_LENGTHS = range(4, 21)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_OWN = re.compile(r"\b(?:i|my)\b")
_VERB = re.compile(
    r"""\b(?:am|is|are|was|were|be|been|being|have|has|had|do|does|did)\b
    |\b(?:will|would|can|could|shall|should|may|might|must)\b|n't\b|'(?:m|re|ve|ll|d)\b
    |\b(?:i|you|he|she|it|we|they)[ ](?!and\b|or\b)[a-z]""",
    re.VERBOSE,
)


def installed_tagger() -> Tag | None:
    """NLTK's tagger of English; None if its data are not installed."""
    from nltk.tag import PerceptronTagger

    try:
        return PerceptronTagger().tag
    except LookupError:
        return None


def profiles_in(utterance: str, tag: Tag | None = None) -> Iterator[str]:
    """The sentences of an utterance that can be profiles.

    >>> list(profiles_in("how are you ? i'm a nurse . my , my !  I like my two cats!"))
    ["i'm a nurse .", 'I like my two cats!']
    """
    from nltk.tokenize import NLTKWordTokenizer

    tokenise = NLTKWordTokenizer().tokenize
    for sentence in _SENTENCE_END.split(utterance):
        lower = sentence.lower()
        if not _OWN.search(lower):
            continue
        words = tokenise(sentence)
        if len(words) in _LENGTHS and (_has_parts(words, tag) if tag else _VERB.search(lower)):
            yield sentence


def _has_parts(words: list[str], tag: Tag) -> bool:
    # The tagger has learnt from text with capitals.
    parts = [part for _, part in tag(["I" if word == "i" else word for word in words])]
    verb = any(part.startswith(("VB", "MD")) for part in parts)
    return verb and any(part.startswith(("NN", "PRP", "WP", "JJ")) for part in parts)


def with_personas(
    splits: Mapping[str, Sequence[Dialogue]], count: int, seed: int
) -> tuple[dict[str, list[Dialogue]], tuple[str, ...]]:
    """Gives every speaker a persona of at most `count` sentences from their other dialogues.

    The sentences are of the training split, in valid and test also of that split: nothing that is
    said in valid or test becomes known to training.

    Args:
        splits: mapping of str to sequence of Dialogue. The dialogues of each split.
        count: int. Profiles of a persona, at most.
        seed: int. Seed of the choice.

    Returns:
        The dialogues with personas, and notes for the report.
    """
    tag = installed_tagger()
    pools: dict[str, dict[str, Pool]] = {}
    result: dict[str, list[Dialogue]] = {}
    sides = empty = 0
    for split in SPLITS:
        pools[split] = _pools(splits[split], tag, random.Random(f"{seed} {split} pools"))
        result[split] = []
        for dialogue in splits[split]:
            personas: dict[str, Persona] = {}
            for speaker in dialogue.said:
                known = [pools[name].get(speaker, []) for name in dict.fromkeys(("train", split))]
                rng = random.Random(f"{seed} {dialogue.number} {speaker}")
                chosen = _choose(known, dialogue.number, count, rng)
                personas[speaker] = {"original": chosen, "revised": None}
                sides += 1
                empty += not chosen
            replies = tuple(_of(reply, personas) for reply in dialogue.replies)
            result[split].append(replace(dialogue, replies=replies))
    way = "NLTK's tagger" if tag else f"a simple rule (for NLTK's tagger: {DOWNLOAD})"
    return result, (
        f"personas of at most {count} sentences of the same speaker in other dialogues; verbs by "
        f"{way}",
        f"{empty:,} of {sides:,} personas are empty: no such sentence in another dialogue",
    )


def _pools(dialogues: Sequence[Dialogue], tag: Tag | None, rng: random.Random) -> dict[str, Pool]:
    """The profiles of each speaker, in random order."""
    said_in: dict[str, dict[str, set[int]]] = {}
    for dialogue in dialogues:
        for speaker, said in dialogue.said.items():
            sentences = said_in.setdefault(speaker, {})
            for utterance in said:
                for sentence in profiles_in(utterance, tag):
                    sentences.setdefault(sentence, set()).add(dialogue.number)
    # Python guarantees equal numbers in every version for random() alone.
    return {
        speaker: sorted(sentences.items(), key=lambda _: rng.random())
        for speaker, sentences in said_in.items()
    }


def _choose(known: list[Pool], dialogue: int, count: int, rng: random.Random) -> tuple[str, ...]:
    """Chooses distinct sentences that are said in another dialogue, from a random place on."""
    total = sum(map(len, known))
    start = int(rng.random() * total)
    chosen: dict[str, None] = {}
    for number in range(total):
        if len(chosen) == count:
            break
        index = (start + number) % total
        first = len(known[0])
        sentence, said_in = known[0][index] if index < first else known[1][index - first]
        if said_in != {dialogue}:
            chosen[sentence] = None
    return tuple(chosen)


def _of(reply: Reply, personas: Mapping[str, Persona]) -> Reply:
    self_profiles, partner_profiles = (personas[speaker] for speaker in reply.speakers)
    return replace(reply, self_profiles=self_profiles, partner_profiles=partner_profiles)
