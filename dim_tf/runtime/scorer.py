"""Scores without dropout, with the weights of the moment.

`Scorer` scores batches of turns. `turn_scorer` scores one turn with any number of candidates: the
turn is encoded once, and so are the candidates, whose encodings can be kept for other turns.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dim_tf.models.base import MatchingModel
from dim_tf.packing.batch import pack_sentences, plan_matching
from dim_tf.packing.buckets import EXACT, Sizes, largest
from dim_tf.runtime.compile import Arrays, Form, backend_name, compiled, described, empty_inputs

# At most so many candidates go through a model at once, so that memory is bounded. Where sizes are
# fixed, there are programs for these two numbers, and the last chunk is filled up with absent ones.
FEW, MANY = 20, 100


class Scorer:
    """Scores batches of public inputs.

    Args:
        model: Takes a dict of arrays and gives logits.
        samples: As for `Form`.

    Attributes:
        form: How the model computes.
        any_size: Whether one program scores batches of all sizes.
    """

    def __init__(self, model: keras.Model, samples: Iterable[Arrays] = ()):
        self.any_size = backend_name() == "tensorflow"
        self.form = Form(model, samples)
        self._forward = FirstAlone(compiled(model, self.form.call, self.form.signature))

    def __call__(self, inputs: Arrays) -> np.ndarray:
        """float32 [B, C]: the raw logit of every slot, absent ones too."""
        return np.asarray(self._forward(*self.form.pack(inputs)), "float32")


class FirstAlone:
    """A program that one thread compiles while the others that need it wait.

    JAX would compile it once a thread.

    Args:
        program: Takes a batch and its fixed sizes, and is compiled for their shapes.
    """

    def __init__(self, program: Callable[[Mapping[str, Any], Sizes], Any]):
        self._program = program
        self._lock, self._compiled = threading.Lock(), set()

    def __call__(self, batch: Mapping[str, Any], sizes: Sizes) -> Any:
        """What the program gives."""
        if backend_name() == "tensorflow":  # one program for all shapes, and its own lock
            return self._program(batch, sizes)
        shapes = sizes, tuple(np.shape(value) for value in keras.tree.flatten(batch))
        if shapes in self._compiled:
            return self._program(batch, sizes)
        with self._lock:
            result = self._program(batch, sizes)
            self._compiled.add(shapes)
        return result


@dataclasses.dataclass(frozen=True)
class Replies:
    """Encoded candidates.

    Args:
        words: The encoded words of all, one candidate after the other, [words, D].
        lengths: Words of each, int [N].
    """

    words: np.ndarray
    lengths: np.ndarray

    def chunks(self, size: int) -> Iterator[Replies]:
        """The same in order, so many at a time."""
        ends = np.cumsum(self.lengths)
        for first in range(0, len(self.lengths), size):
            lengths = self.lengths[first : first + size]
            start = ends[first] - lengths[0]
            yield Replies(self.words[start : ends[first + len(lengths) - 1]], lengths)


def turn_scorer(model: keras.Model) -> EncodingScorer | PublicScorer:
    """What scores one turn with any number of candidates, as well as the model can."""
    return EncodingScorer(model) if isinstance(model, MatchingModel) else PublicScorer(model)


class PublicScorer:
    """One turn, by a model that cannot encode a candidate apart from it.

    Args:
        model: Takes a dict of arrays and gives logits.

    Attributes:
        batch: Scores several turns at once.
    """

    def __init__(self, model: keras.Model):
        self.batch = Scorer(model)

    def encode(self, responses: Arrays) -> Arrays:
        """What `score` takes of candidates: their inputs with B = 1."""
        return responses

    def score(self, turn: Arrays, replies: Arrays) -> np.ndarray:
        """The logits of all candidates, float32 [N]."""
        count = replies["responses_len"].shape[1]
        scores = []
        for first in range(0, count, FEW):
            chunk = {name: value[:, first : first + FEW] for name, value in replies.items()}
            scores.append(self.batch({**turn, **_filled(chunk, FEW)})[0])
        return np.concatenate(scores)[:count]

    score_once = score


class EncodingScorer:
    """One turn, by a model that encodes every sentence by itself and matches then.

    Args:
        model: The model.

    Attributes:
        batch: Scores several turns at once.
    """

    def __init__(self, model: MatchingModel):
        self._halves = model.halves
        self.batch = Scorer(model)
        self._fixed = self.batch.form.fixed
        self._length = model.config.max_response_len
        empty, halves = empty_inputs(model), model.halves
        # One program encodes all kinds of sentences.
        self._steps = max(empty[kind].shape[-1] for kind in ("responses", *halves))
        sentences, places = pack_sentences(empty, halves, EXACT, self._steps)
        self._encode = FirstAlone(compiled(model, model.encode, lambda: described(sentences)))
        places["responses"] = np.zeros(empty["responses"].shape, np.int32)
        states = np.zeros((1, 2 * model.config.rnn_units), model.compute_dtype)
        batch = {"encoded": states, "last": states, "encoder": sentences["encoder"]}
        batch |= plan_matching(empty, places, halves, EXACT)

        def match(batch: Mapping[str, Any], sizes: Sizes):
            return model.match((batch["encoded"], batch["last"]), batch, sizes)["logits"]

        self._match = FirstAlone(compiled(model, match, lambda: described(batch)))

    def encode(self, responses: Arrays) -> Replies:
        """Encodes candidates, given as the inputs of one turn, [1, N, ...]."""
        words = []
        for first in range(0, responses["responses_len"].shape[1], MANY):
            chunk = {name: value[:, first : first + MANY] for name, value in responses.items()}
            there = np.arange(self._length) < chunk["responses_len"][0, :, None]  # [n, R]
            chunk = _filled(chunk, self._chunk_size(len(there)))
            (encoded, _), _, places = self._encoded(chunk, ["responses"])
            words.append(encoded[places["responses"][0, : len(there)][there]])
        return Replies(np.concatenate(words), responses["responses_len"][0])

    def score(self, turn: Arrays, replies: Replies) -> np.ndarray:
        """The logits of all candidates, float32 [N].

        Args:
            turn: The inputs that are not of candidates, B = 1.
            replies: What `encode` made.
        """
        encoded = self._encoded(turn, self._halves)
        scores = []
        for chunk in replies.chunks(MANY):
            logits = self._match(*self._pack(turn, encoded, chunk))
            scores.append(np.asarray(logits, "float32")[0, : len(chunk.lengths)])
        return np.concatenate(scores)

    def score_once(self, turn: Arrays, responses: Arrays) -> np.ndarray:
        """The same of candidates that are not needed again.

        They go through the whole model: to encode the turn again for each chunk costs little, and
        there are no further programs to compile.
        """
        scores = []
        for first in range(0, responses["responses_len"].shape[1], MANY):
            chunk = {name: value[:, first : first + MANY] for name, value in responses.items()}
            count = chunk["responses_len"].shape[1]
            filled = _filled(chunk, self._chunk_size(count))
            scores.append(self.batch({**turn, **filled})[0, :count])
        return np.concatenate(scores)

    def _pack(self, turn: Arrays, encoded, replies: Replies) -> tuple[dict[str, Any], Sizes]:
        """The batch of a turn and some candidates, and its fixed sizes, if any."""
        (words, last), plan, places = encoded
        size = self._chunk_size(len(replies.lengths))
        lengths = np.pad(replies.lengths, (0, size - len(replies.lengths)))
        there = np.arange(self._length) < lengths[:, None]  # [C, R]
        stand = np.zeros(there.shape, np.int32)
        stand[there] = len(words) + np.arange(len(replies.words))
        turn = {**turn, "responses_len": lengths[None]}
        places = {**places, "responses": stand[None]}
        # Grids point to the first word where there is none: one must be there.
        sizes, missing = EXACT, 1
        if self._fixed:
            shapes = {name: value.shape for name, value in turn.items()}
            sizes = largest({**shapes, "responses": (1, *there.shape)}, self._halves)
            sizes = dataclasses.replace(sizes, encoder=self._all_of(turn, self._halves).encoder)
            missing = there.size - len(replies.words)
        filling = np.zeros((missing, words.shape[1]), words.dtype)
        batch = {
            "encoded": np.concatenate([words, replies.words, filling]),
            "last": last,
            "encoder": plan,
            **plan_matching(turn, places, self._halves, sizes),
        }
        return batch, sizes

    def _encoded(self, inputs: Arrays, kinds: Sequence[str]):
        """The encoder's words and last states, its plan, and where the words are."""
        sizes = self._all_of(inputs, kinds) if self._fixed else EXACT
        batch, places = pack_sentences(inputs, kinds, sizes, self._steps)
        encoded = [np.asarray(values) for values in self._encode(batch, sizes)]
        return encoded, batch["encoder"], places

    def _all_of(self, inputs: Arrays, kinds: Sequence[str]) -> Sizes:
        """Sizes of the encoder that hold any sentences of these shapes."""
        rows = sum(inputs[f"{kind}_len"].size for kind in kinds)
        return Sizes(words=rows * self._steps, encoder=(rows,) * self._steps)

    def _chunk_size(self, count: int) -> int:
        """For how many candidates the program is that takes so many."""
        if not self._fixed:
            return count
        return FEW if count <= FEW else MANY


def _filled(responses: Arrays, count: int) -> dict[str, np.ndarray]:
    """Candidates [1, n, ...] with absent ones behind them: [1, count, ...]."""
    missing = count - responses["responses_len"].shape[1]
    return {
        name: np.pad(value, [(0, 0), (0, missing), *[(0, 0)] * (value.ndim - 2)])
        for name, value in responses.items()
    }
