"""Ranking raw text with a trained run."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf.data.text import json_type_name
from dim_tf.errors import CheckpointError, ConfigError, DataError, UsageError, did_you_mean
from dim_tf.evaluation.calibration import Calibration
from dim_tf.evaluation.metrics import probabilities
from dim_tf.ranking.featurizer import TurnEncoder
from dim_tf.ranking.turn import FIELDS, Pool, Turn, batches, check_candidates, check_texts
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    import keras

    from dim_tf.ranking.attention import Explanation


class Ranker:
    """Ranks candidate replies by how well they fit a context and a persona.

    Open one with `Ranker.load`; text becomes words by the rules that the run was trained with.

    Args:
        run: The run: its words, characters, sizes and rules.
        model: Its model.
        calibration: Of these weights, if there is one.

    Several threads may use one ranker; they get the answers that one thread gets.

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

    def __init__(self, run: Run, model: keras.Model, calibration: Calibration | None = None):
        from dim_tf.ranking.attention import Attention
        from dim_tf.runtime.scorer import turn_scorer

        self.run, self.calibration = run, calibration
        self._token = object()
        self._encoder = TurnEncoder(run)
        self._scorer, self._attention = turn_scorer(model), Attention(model)

    @classmethod
    def load(cls, run: str | os.PathLike, precision: str | None = None) -> Self:
        """Opens a run folder with its best weights, and its calibration if it has one.

        Args:
            run: The folder, or the name of a model that comes with the repository, such as
                "personachat-subset"; see `dim_tf.runs.pretrained`.
            precision: What to compute in, "float32" or "bfloat16", if another than the run's own.

        Raises:
            CheckpointError: It is no run folder, is damaged, or its weights are missing, not
                finite, or of another model.
            ConfigError: Another precision.

        Warns:
            UserWarning: The calibration is of other weights, and left aside.
        """
        opened = Run.open(run)
        return cls(opened, opened.load_model(precision), Calibration.load(opened.path))

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
            scores over all of `candidates`, whatever `top_k`). If the run is calibrated, the
            probability is the calibrated one, and there is `fits`: whether the candidate reaches
            the run's threshold. If the first one does not, no candidate fits.

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
        _check_top_k(top_k)
        turn = self._turn(context, persona, candidates, stacklevel=3)
        return self._ranking(turn, self._scored(turn), top_k)

    def rank_many(
        self, turns: Iterable[Mapping[str, Any] | Turn], top_k: int | None = None
    ) -> list[list[dict[str, Any]]]:
        """Ranks the candidates of many turns: faster than calling `rank` for each, where possible.

        Turns of similar sizes go through the model together, on TensorFlow; so scores may differ
        from those of `rank` in their last digits. On JAX, which computes in fixed sizes, and for
        pools and more than 100 candidates, one turn follows the other.

        Args:
            turns: Each with any of `context`, `persona` and `candidates`, as for `rank`; or what
                `turn` made of them.
            top_k: As for `rank`.

        Returns:
            What `rank` gives, of each turn in order.

        Warns:
            UserWarning: As in `rank`.

        Raises:
            DataError: As in `rank`, and for a turn with an unknown field; the message begins with
                the turn's place, such as `turns[3]`. All are checked before any is ranked.
            ConfigError, UsageError, CheckpointError: As in `rank`.
        """
        _check_top_k(top_k)
        if isinstance(turns, str | Mapping) or not isinstance(turns, Iterable):
            raise DataError(
                f"found {json_type_name(turns)}, expected a list of turns", field="turns"
            )
        checked = list(map(self._turn_at, itertools.count(), turns))
        rankings: dict[int, list[dict[str, Any]]] = {}
        together = self._scorer.batch.any_size
        for places in batches(checked) if together else ([place] for place in range(len(checked))):
            batch = [checked[place] for place in places]
            scores = [self._scored(batch[0])] if len(batch) == 1 else self._scored_together(batch)
            for place, turn, found in zip(places, batch, scores, strict=True):
                rankings[place] = self._ranking(turn, found, top_k)
        return [rankings[place] for place in range(len(checked))]

    def turn(
        self,
        context: Sequence[str] = (),
        persona: Sequence[str] = (),
        candidates: Sequence[str] | Pool = (),
    ) -> Turn:
        """Checks the texts of a turn, for `rank_many`; arguments, warnings and errors as `rank`."""
        return self._turn(context, persona, candidates, stacklevel=3)

    def encode(self, candidates: Sequence[str]) -> Pool:
        """Encodes candidates once, for many calls of `rank`.

        Args:
            candidates: One or more texts.

        Raises:
            DataError: As in `rank`.
        """
        texts = check_candidates(candidates)
        sentences, places = self._encoder.distinct(texts)
        replies = self._scorer.encode(self._encoder.responses([sentences]))
        return Pool(tuple(texts), places, replies, self._token)

    def explain(
        self, context: Sequence[str], persona: Sequence[str], candidate: str
    ) -> Explanation:
        """What each word of a candidate looks at in the context and in the persona (equation 9).

        Args:
            context: As for `rank`.
            persona: As for `rank`.
            candidate: One text.

        Warns:
            UserWarning: As in `rank`.

        Raises:
            DataError: As in `rank`.
        """
        from dim_tf.ranking.attention import Explanation, heatmaps

        if not isinstance(candidate, str):
            raise DataError(
                f"found {json_type_name(candidate)}, expected a text", field="candidate"
            )
        turn = self._turn(context, persona, [candidate], stacklevel=3)
        inputs, encoder = self._inputs([turn]), self._encoder
        [words] = encoder.candidates([candidate])
        inputs |= encoder.responses([[words]])
        sentences = {
            "context": encoder.context(turn.context),
            "persona": encoder.persona(turn.persona),
        }
        maps = heatmaps(self._attention(inputs), inputs, words, sentences)
        return Explanation(candidate, maps.get("context"), maps.get("persona"))

    def _turn(
        self,
        context: Sequence[str],
        persona: Sequence[str],
        candidates: Sequence[str] | Pool,
        stacklevel: int,
    ) -> Turn:
        """See `turn`."""
        context, persona = check_texts(context, "context"), check_texts(persona, "persona")
        if not isinstance(candidates, Pool):
            candidates = check_candidates(candidates)
        elif candidates.owner is not self._token:
            raise UsageError("these candidates were encoded by another Ranker; use its own encode")
        room = self._encoder.profiles_read
        if len(persona) > room:
            reads = f"the first {room}" if room else "none"
            warnings.warn(
                f"persona: found {len(persona)} profiles, this model reads {reads}",
                stacklevel=stacklevel,
            )
        return Turn(context, persona[:room], candidates)

    def _turn_at(self, place: int, turn: Mapping[str, Any] | Turn) -> Turn:
        """A turn of many, checked."""
        try:
            if isinstance(turn, Turn):
                return self._turn(turn.context, turn.persona, turn.candidates, stacklevel=4)
            if not isinstance(turn, Mapping):
                raise DataError(
                    f"found {json_type_name(turn)}, expected an object with {', '.join(FIELDS)}"
                )
            for name in turn.keys() - set(FIELDS):
                hint = did_you_mean(str(name), FIELDS)
                raise DataError(f"no such field is known{hint}", field=str(name))
            return self._turn(*(turn.get(name, ()) for name in FIELDS), stacklevel=4)
        except (DataError, UsageError) as error:
            raise type(error)(f"turns[{place}]: {error}") from None

    def _inputs(self, turns: Sequence[Turn]) -> dict[str, np.ndarray]:
        """What the model takes of turns besides their candidates."""
        return self._encoder.turns(
            [self._encoder.context(turn.context) for turn in turns],
            [self._encoder.persona(turn.persona) for turn in turns],
        )

    def _scored(self, turn: Turn) -> np.ndarray:
        """The logits of one turn's candidates, float32 [C]."""
        inputs = self._inputs([turn])
        if isinstance(turn.candidates, Pool):
            pool = turn.candidates
            return self._scorer.score(inputs, pool.replies)[pool.places]
        sentences, places = self._encoder.distinct(turn.candidates)
        return self._scorer.score_once(inputs, self._encoder.responses([sentences]))[places]

    def _scored_together(self, turns: Sequence[Turn]) -> Iterator[np.ndarray]:
        """The same of several turns in one pass."""
        distinct = [self._encoder.distinct(turn.candidates) for turn in turns]
        responses = self._encoder.responses([sentences for sentences, _ in distinct])
        logits = self._scorer.batch({**self._inputs(turns), **responses})  # [B, C]
        for row, (_, places) in zip(logits, distinct, strict=True):
            yield row[places]

    def _ranking(self, turn: Turn, scores: np.ndarray, top_k: int | None) -> list[dict[str, Any]]:
        """The rows of a turn whose candidates have these logits, [C]."""
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


def _check_top_k(top_k: int | None) -> None:
    if top_k is not None and (type(top_k) is not int or top_k < 1):
        raise ConfigError(f"top_k: found {top_k!r}, expected a whole number of at least 1")
