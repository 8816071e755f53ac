"""Ranking raw text with a trained run."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf.data.text import MARK_LEFT_OUT, json_type_name, text_error, without_mark
from dim_tf.errors import CheckpointError, ConfigError, DataError, UsageError, did_you_mean
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.metrics import probabilities
from dim_tf.ranking.featurizer import Featurizer
from dim_tf.ranking.turn import FIELDS, Pool, Turn, batches, check_candidates, check_texts
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    import keras

    from dim_tf.ranking.attention import Explanation
    from dim_tf.runtime.scorer import VectorScorer


class Ranker:
    """Ranks candidate replies by how well they fit a context and a persona.

    Open one with `Ranker.load`. Several threads may use one ranker.

    Args:
        run: Run. Its words, characters, sizes and text rules.
        model: keras.Model. Its model.
        calibration: Calibration. Calibration fitted on these weights, or None.

    >>> ranker = Ranker.load("personachat")
    >>> rows = ranker.rank(
    ...     context=["do you like the beach ?"],
    ...     persona=["i am afraid of water ."],
    ...     candidates=["i love the beach .", "not really , i am scared of the water ."],
    ... )
    >>> rows[0]["candidate"], list(rows[0])
    ('not really , i am scared of the water .',
     ['rank', 'index', 'candidate', 'score', 'probability', 'fits'])
    """

    def __init__(self, run: Run, model: keras.Model, calibration: Calibration | None = None):
        from dim_tf.ranking.attention import Attention
        from dim_tf.runtime.scorer import turn_scorer

        self.run, self.calibration = run, calibration
        self._token = object()
        self._scorer, self._attention = turn_scorer(model), Attention(model)
        reads_characters = any(name.endswith("_char") for name in self._scorer.batch.names)
        self._featurizer = Featurizer(run, reads_characters)

    @classmethod
    def load(cls, run: str | os.PathLike, precision: str | None = None) -> Self:
        """Opens a run folder with its best weights, and its calibration if it has one.

        Args:
            run: str. The folder, or the name of a pretrained model such as "personachat".
            precision: str. "float32" or "bfloat16"; None for the run's own.

        Raises:
            CheckpointError: Not a run folder, or a corrupt one; or its weights are missing, not
                finite, or for a different model.
            ConfigError: An unknown precision.

        Warns:
            UserWarning: The calibration was fitted on other weights and is ignored.
        """
        opened = Run.open(run)
        return cls(opened, opened.load_model(precision), Calibration.load(opened.path))

    @property
    def profiles_read(self) -> int:
        """The number of profiles that the model reads."""
        return self._featurizer.profiles_read

    def rank(
        self,
        context: Sequence[str] = (),
        persona: Sequence[str] = (),
        candidates: Sequence[str] | Pool = (),
        top_k: int | None = None,
    ) -> list[dict[str, Any]]:
        """Ranks candidates, best first; equal scores keep the given order.

        Args:
            context: list of str. The utterances so far, oldest first; the last one is the partner's
                and the speakers alternate backwards from it. May be empty. The model reads the last
                `max_utterances` (15).
            persona: list of str. The profiles that the run was trained to read: self, their, or
                self and then their profiles. May be empty. The model reads the first
                `max_profiles` (5, or 10 for both).
            candidates: list of str, or Pool. The replies to choose from, one or more; or a `Pool`
                returned by `encode`.
            top_k: int. Rows to return; None for all.

        Returns:
            list of dict. For each candidate `rank` (from 1), `index` (into `candidates`),
            `candidate` (the text), `score` (the logit) and `probability` (softmax of the scores of
            all candidates). If the run is calibrated, the probability is the calibrated one, and
            `fits` says whether the candidate reaches the threshold of the run. If the first one
            does not, no candidate fits.

        Warns:
            UserWarning: The model does not read all profiles, or one begins with "your persona:".

        Raises:
            DataError: No candidates; an argument that is no list of texts; a text without words.
            ConfigError: `top_k` is no whole number of at least 1.
            UsageError: The pool belongs to another ranker.
            CheckpointError: The weights give a score that is not a finite number.
        """
        if top_k is not None:
            check_count("top_k", top_k)
        turn = self._turn(context, persona, candidates, stacklevel=3)
        return self._ranking(turn, self._score(turn), top_k)

    def rank_many(
        self, turns: Iterable[Mapping[str, Any] | Turn], top_k: int | None = None
    ) -> list[list[dict[str, Any]]]:
        """Ranks the candidates of many turns, on TensorFlow faster than `rank` turn by turn.

        On TensorFlow, turns of similar sizes are batched, so scores may differ from those of `rank`
        in their last digits. On JAX, and for pools and more than 100 candidates, turns are ranked
        one by one.

        Args:
            turns: list of dict, or of Turn. Each has any of `context`, `persona` and `candidates`,
                as for `rank`, or comes from `turn`.
            top_k: int. As for `rank`.

        Returns:
            list of list of dict. The ranking of each turn.

        Warns:
            UserWarning: As in `rank`.

        Raises:
            DataError: As in `rank`, and for an unknown field; the message names the turn, such as
                `turns[3]`. All turns are checked before any is ranked.
            ConfigError, UsageError, CheckpointError: As in `rank`.
        """
        if top_k is not None:
            check_count("top_k", top_k)
        if isinstance(turns, str | Mapping) or not isinstance(turns, Iterable):
            raise DataError(
                f"found {json_type_name(turns)}, expected a list of turns", field="turns"
            )
        checked = list(map(self._turn_at, itertools.count(), turns))
        rankings: dict[int, list[dict[str, Any]]] = {}
        together = self._scorer.batch.any_size
        for indices in batches(checked) if together else ([n] for n in range(len(checked))):
            batch = [checked[index] for index in indices]
            scores = [self._score(batch[0])] if len(batch) == 1 else self._score_batch(batch)
            for index, turn, found in zip(indices, batch, scores, strict=True):
                rankings[index] = self._ranking(turn, found, top_k)
        return [rankings[index] for index in range(len(checked))]

    def turn(
        self,
        context: Sequence[str] = (),
        persona: Sequence[str] = (),
        candidates: Sequence[str] | Pool = (),
    ) -> Turn:
        """Checks a turn for `rank_many`; arguments, warnings and errors as in `rank`."""
        return self._turn(context, persona, candidates, stacklevel=3)

    def encode(self, candidates: Sequence[str]) -> Pool:
        """Encodes candidates once, for many calls of `rank`; raises `DataError` as `rank`."""
        texts = check_candidates(candidates)
        sentences, indices = self._featurizer.distinct(texts)
        encoded = self._scorer.encode(self._featurizer.responses([sentences]))
        return Pool(tuple(texts), indices, encoded, self._token)

    def encode_replies(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of replies, float32 [N, d], of a system that encodes them on their own.

        The dot product with the vector of a query (`encode_query`) is the score of `rank`.

        Raises:
            DataError: As in `rank`, for `texts`.
            UsageError: The system matches a reply word by word with each turn, as DIM does.
        """
        self._vector_scorer()
        pool = self.encode(texts)
        return pool.encoded[pool.indices]

    def encode_query(self, context: Sequence[str], persona: Sequence[str] = ()) -> np.ndarray:
        """The vector of a context and a persona, float32 [d]; see `encode_replies`."""
        scorer = self._vector_scorer()
        turn = self._turn(context, persona, ["-"], stacklevel=3)
        return scorer.encode_query(self._inputs([turn]))[0]

    def explain(
        self, context: Sequence[str], persona: Sequence[str], candidate: str
    ) -> Explanation:
        """The attention weights of a candidate to context and persona (equation 9).

        Arguments, warnings and errors are those of `rank`, for one candidate.
        """
        from dim_tf.ranking.attention import Explanation, heatmaps

        if problem := text_error(candidate):
            raise DataError(problem, field="candidate")
        turn = self._turn(context, persona, [candidate], stacklevel=3)
        inputs, featurizer = self._inputs([turn]), self._featurizer
        [words] = featurizer.candidates([candidate])
        inputs |= featurizer.responses([[words]])
        sentences = {
            "context": featurizer.context(turn.context),
            "persona": featurizer.persona(turn.persona),
        }
        maps = heatmaps(self._attention(inputs), inputs, words, sentences)
        return Explanation(candidate, maps.get("context"), maps.get("persona"))

    def _vector_scorer(self) -> VectorScorer:
        from dim_tf.runtime.scorer import VectorScorer

        if not isinstance(self._scorer, VectorScorer):
            raise UsageError(
                f"{self.run.path}: {self.run.model} matches each reply with each turn, so replies "
                "have no vectors; give a run of a dual encoder, such as starspace"
            )
        return self._scorer

    def _turn(
        self,
        context: Sequence[str],
        persona: Sequence[str],
        candidates: Sequence[str] | Pool,
        stacklevel: int,
    ) -> Turn:
        context = check_texts(context, "context")
        given = check_texts(persona, "persona")
        persona = list(map(without_mark, given))
        if persona != given:
            warnings.warn(MARK_LEFT_OUT, stacklevel=stacklevel)
        if not isinstance(candidates, Pool):
            candidates = check_candidates(candidates)
        self._check_owner(candidates)
        room = self.profiles_read
        if len(persona) > room:
            reads = f"the first {room}" if room else "none"
            warnings.warn(
                f"persona: found {len(persona)} profiles, this model reads {reads}",
                stacklevel=stacklevel,
            )
        return Turn(context, persona[:room], candidates)

    def _check_owner(self, candidates: Sequence[str] | Pool) -> None:
        if isinstance(candidates, Pool) and candidates.owner is not self._token:
            raise UsageError("this pool was encoded by another Ranker; use its own encode")

    def _turn_at(self, index: int, turn: Mapping[str, Any] | Turn) -> Turn:
        try:
            if isinstance(turn, Turn):  # checked already
                self._check_owner(turn.candidates)
                return turn
            if not isinstance(turn, Mapping):
                raise DataError(
                    f"found {json_type_name(turn)}, expected an object with {', '.join(FIELDS)}"
                )
            for name in turn.keys() - set(FIELDS):
                hint = did_you_mean(str(name), FIELDS)
                raise DataError(f"unknown field{hint}", field=str(name))
            return self._turn(*(turn.get(name, ()) for name in FIELDS), stacklevel=4)
        except (DataError, UsageError) as error:
            raise type(error)(f"turns[{index}]: {error}") from None

    def _inputs(self, turns: Sequence[Turn]) -> dict[str, np.ndarray]:
        """The inputs of turns without those of their candidates."""
        return self._featurizer.turns(
            [self._featurizer.context(turn.context) for turn in turns],
            [self._featurizer.persona(turn.persona) for turn in turns],
        )

    def _score(self, turn: Turn) -> np.ndarray:
        """The logits of the candidates of a turn, float32 [C]."""
        inputs = self._inputs([turn])
        if isinstance(turn.candidates, Pool):
            pool = turn.candidates
            return self._scorer.score(inputs, pool.encoded)[pool.indices]
        sentences, indices = self._featurizer.distinct(turn.candidates)
        return self._scorer.score_once(inputs, self._featurizer.responses([sentences]))[indices]

    def _score_batch(self, turns: Sequence[Turn]) -> Iterator[np.ndarray]:
        """As `_score`, for several turns in one pass."""
        distinct = [self._featurizer.distinct(turn.candidates) for turn in turns]
        responses = self._featurizer.responses([sentences for sentences, _ in distinct])
        logits = self._scorer.batch({**self._inputs(turns), **responses})  # [B, C]
        for row, (_, indices) in zip(logits, distinct, strict=True):
            yield row[indices]

    def _ranking(self, turn: Turn, scores: np.ndarray, top_k: int | None) -> list[dict[str, Any]]:
        """The rows of a turn, from the logits of its candidates, [C]."""
        if not np.isfinite(scores).all():
            index = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise CheckpointError(
                f"{self.run.path}: the weights give candidates[{index}] the score "
                f"{scores[index]}, expected a finite number; the run has diverged or is damaged"
            )
        if self.calibration is None:
            chances = probabilities(scores[None], np.ones((1, len(scores)), bool))[0]  # [C]
        else:
            chances = self.calibration.probabilities(scores)
            fitting = self.calibration.fitting(scores)
        rows = []
        for rank, index in enumerate(np.argsort(-scores, kind="stable")[:top_k], start=1):
            row = {
                "rank": rank,
                "index": int(index),
                "candidate": turn.texts[index],
                "score": float(scores[index]),
                "probability": float(chances[index]),
            }
            if self.calibration is not None:
                row["fits"] = bool(fitting[index])
            rows.append(row)
        return rows


def check_count(name: str, count: int) -> None:
    """Raises `ConfigError` if a setting is no whole number of at least 1."""
    if type(count) is bool or not isinstance(count, Integral) or count < 1:
        raise ConfigError(f"{name}: found {count!r}, expected a whole number of at least 1")
