"""Ranking raw text with a trained run."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf.errors import CheckpointError, ConfigError, DataError, UsageError
from dim_tf.metrics import probabilities
from dim_tf.run_folder import Run
from dim_tf.text import Vocabulary

if TYPE_CHECKING:
    import keras

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Candidates that a `Ranker` has encoded, to be ranked many times.

    Args:
        candidates: The texts.
        places: For each the place of its sentence among the distinct ones, int [C].
        replies: The distinct sentences, as the ranker's model keeps them.
        owner: The ranker.
    """

    candidates: tuple[str, ...]
    places: np.ndarray
    replies: Any
    owner: Ranker

    def __len__(self) -> int:
        return len(self.candidates)


class Ranker:
    """Ranks candidate replies by how well they fit a context and a persona.

    Open one with `Ranker.load`; text becomes words by the rules that the run was trained with.

    Args:
        run: The run: its words, characters, sizes and rules.
        model: Its model.

    An untrained model of three words shows the call:

    >>> from dim_tf import ModelConfig
    >>> run = Run(
    ...     path="demo", model="dim", text={"tokeniser": "authors", "lowercase": True},
    ...     model_config=ModelConfig(
    ...         char_vocab_size=4, word_dim=2, rnn_units=2, max_utterances=2, max_utterance_len=6,
    ...         max_response_len=6, max_profile_len=6,
    ...     ),
    ...     training_config=None, persona="self", version="original", prepared={},
    ...     words=["<pad>", "<unk>", "hiking", "dogs", "tea"],
    ...     characters=["<pad>", "a", "e", "t"], word_vectors=np.eye(5, 2, dtype="float32"),
    ... )
    >>> ranking = Ranker(run, run.build_model()).rank(
    ...     context=["hi, what do you like?"],
    ...     persona=["i love dogs."],
    ...     candidates=["hiking with my dogs!", "a cup of tea."],
    ... )
    >>> list(ranking[0])
    ['rank', 'index', 'candidate', 'score', 'probability']
    >>> [reply["rank"] for reply in ranking], sorted(reply["index"] for reply in ranking)
    ([1, 2], [0, 1])
    """

    def __init__(self, run: Run, model: keras.Model):
        from dim_tf.scoring import turn_scorer

        self.run = run
        self._config = run.model_config
        self._rules = run.rules
        self._vocabulary = Vocabulary(run.words, run.characters)
        self._scorer = turn_scorer(model)

    @classmethod
    def load(cls, run: str | os.PathLike, precision: str | None = None) -> Self:
        """Opens a run folder with its best weights.

        Args:
            run: The folder.
            precision: What to compute in, "float32" or "bfloat16", if another than the run's own.

        Raises:
            CheckpointError: It is no run folder, is damaged, or its weights are missing, not
                finite, or of another model.
            ConfigError: Another precision.
        """
        opened = Run.open(run)
        return cls(opened, opened.load_model(precision))

    def rank(
        self,
        context: Sequence[str] = (),
        persona: Sequence[str] = (),
        candidates: Sequence[str] | Pool = (),
        top_k: int | None = None,
    ) -> list[dict[str, Any]]:
        """Ranks candidates, best first; among equal scores the one given first.

        Args:
            context: The utterances so far, oldest first; the last one is the partner's and the
                speakers alternate backwards from it. May be empty. The model reads the last
                `max_utterances` of the run (15).
            persona: The profile sentences that the run was trained to read: the own ones, the
                partner's, or first the own and then the partner's. May be empty. The model reads
                the first `max_profiles` (5, or 10 for both).
            candidates: The replies to choose from, one or more; or what `encode` made of them.
            top_k: Give only the first so many; all if None.

        Returns:
            A dict for each: `rank` (from 1), `index` (its place in `candidates`, from 0),
            `candidate` (the text), `score` (the raw logit) and `probability` (softmax of the
            scores over all of `candidates`, whatever `top_k`).

        Warns:
            UserWarning: Profiles are left out: more than the model reads, or a model without
                persona.

        Raises:
            DataError: There are no candidates; an argument is no list of texts; a text has no
                words in it.
            ConfigError: `top_k` is no whole number of at least 1.
            UsageError: The candidates were encoded by another ranker.
            CheckpointError: The weights give a score that is not a finite number.
        """
        context = _texts(context, "context")
        persona = self._readable(_texts(persona, "persona"))
        if top_k is not None and (type(top_k) is not int or top_k < 1):
            raise ConfigError(f"top_k: found {top_k!r}, expected a whole number of at least 1")
        texts, scores = self._scored(self._turn(context, persona), candidates)  # [C]
        chances = probabilities(scores[None], np.ones((1, len(scores)), bool))[0]  # [C]
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {
                "rank": rank,
                "index": int(index),
                "candidate": texts[index],
                "score": float(scores[index]),
                "probability": float(chances[index]),
            }
            for rank, index in enumerate(order, start=1)
        ]

    def encode(self, candidates: Sequence[str]) -> Pool:
        """Encodes candidates once, for many calls of `rank`.

        Args:
            candidates: One or more texts.

        Raises:
            DataError: As in `rank`.
        """
        texts, places, responses = self._distinct(candidates)
        return Pool(tuple(texts), places, self._scorer.encode(responses), self)

    def inputs(
        self, context: Sequence[str], persona: Sequence[str], candidates: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The model's inputs for one turn, B = 1; see `dim_tf.models.build_model`."""
        length = self._config.max_response_len
        sentences = [self._rules.candidate(text)[:length] for text in candidates]
        turn = self._turn(list(context), list(persona)[: self._room])
        return {**turn, **self._responses(sentences)}

    def _readable(self, persona: list[str]) -> list[str]:
        """The profiles that the model reads; warns of the others."""
        room = self._room
        if len(persona) > room:
            reads = f"the first {room}" if room else "none"
            warnings.warn(
                f"persona: found {len(persona)} profiles, this model reads {reads}", stacklevel=3
            )
        return persona[:room]

    @property
    def _room(self) -> int:
        """How many profiles the model reads."""
        return self._config.max_profiles if self._config.use_persona else 0

    def _distinct(
        self, candidates: Sequence[str]
    ) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
        """The texts, each one's place among the distinct ones, and the inputs of these, B = 1."""
        candidates = _texts(candidates, "candidates")
        if not candidates:
            raise DataError("found no candidate, expected at least one", field="candidates")
        length = self._config.max_response_len
        sentences = [tuple(self._rules.candidate(text)[:length]) for text in candidates]
        # Equal candidates are scored once: another place among others may round another way, and
        # equal scores are to be equal.
        distinct = {sentence: place for place, sentence in enumerate(dict.fromkeys(sentences))}
        places = np.array([distinct[sentence] for sentence in sentences])
        return candidates, places, self._responses(list(distinct))

    def _responses(self, sentences: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """The inputs of candidates, B = 1."""
        length = self._config.max_response_len
        return self._encoded("responses", sentences, len(sentences), length)

    def _turn(self, context: list[str], persona: list[str]) -> dict[str, np.ndarray]:
        """The inputs of a turn that are the same for all its candidates, B = 1."""
        config = self._config
        utterances = self._rules.context(context)[-config.max_utterances :]
        profiles = [self._rules.profile(text) for text in persona]
        inputs = {}
        for name, sentences, count, length in (
            ("utterances", utterances, config.max_utterances, config.max_utterance_len),
            ("personas", profiles, config.max_profiles, config.max_profile_len),
        ):
            inputs.update(self._encoded(name, sentences, count, length))
            inputs[f"{name}_num"] = np.array([len(sentences)], np.int32)
        return inputs

    def _scored(
        self, turn: dict[str, np.ndarray], candidates: Sequence[str] | Pool
    ) -> tuple[Sequence[str], np.ndarray]:
        """The texts of the candidates and their logits, float32 [C]."""
        if isinstance(candidates, Pool):
            if candidates.owner is not self:
                raise UsageError(
                    "these candidates were encoded by another Ranker; use its own encode"
                )
            texts, places = candidates.candidates, candidates.places
            scores = self._scorer.score(turn, candidates.replies)[places]
        else:
            texts, places, responses = self._distinct(candidates)
            scores = self._scorer.score_once(turn, responses)[places]
        if not np.isfinite(scores).all():
            index = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise CheckpointError(
                f"{self.run.path}: the weights give candidates[{index}] the score "
                f"{scores[index]}, expected a finite number; the run has diverged or is damaged"
            )
        return texts, scores

    def _encoded(
        self, name: str, sentences: Sequence[Sequence[str]], count: int, length: int
    ) -> dict[str, np.ndarray]:
        """Words [1, count, length], lengths [1, count] and characters of some sentences."""
        words = np.zeros((1, count, length), np.int32)
        lengths = np.zeros((1, count), np.int32)
        characters = np.zeros((1, count, length, self._config.max_word_len), np.int32)
        for place, sentence in enumerate(sentences):
            words[0, place] = self._vocabulary.word_ids(sentence, length)
            lengths[0, place] = min(len(sentence), length)
            for position, word in enumerate(sentence[:length]):
                characters[0, place, position] = self._vocabulary.character_ids(
                    word, self._config.max_word_len
                )
        return {name: words, f"{name}_len": lengths, f"{name}_char": characters}


def _texts(values: Sequence[str], field: str) -> list[str]:
    """The texts of an argument, checked."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        hint = "; write [text] for a single text" if isinstance(values, str) else ""
        raise DataError(f"found {kind(values)}, expected a list of texts{hint}", field=field)
    for place, text in enumerate(values):
        problem = ""
        if not isinstance(text, str):
            problem = f"found {kind(text)}, expected a text"
        elif not text.strip():
            problem = "found an empty text, expected words"
        elif _SURROGATE.search(text):
            problem = "found half of a surrogate pair, expected whole characters"
        if problem:
            raise DataError(problem, field=f"{field}[{place}]")
    return list(values)


def kind(value: Any) -> str:
    """What a value is, for messages."""
    if value is None:
        return "nothing"
    return {"str": "a text", "list": "a list", "dict": "an object"}.get(
        type(value).__name__, f"a value of type {type(value).__name__}"
    )
