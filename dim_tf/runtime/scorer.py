"""Scores without dropout, with the current weights.

`Scorer` scores batches of turns. `turn_scorer` scores one turn with any number of candidates, whose
encodings can be kept for other turns if the model encodes them on their own.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from dim_tf.models.base import Encoded, MatchingModel
from dim_tf.models.dual_encoder import DualEncoder
from dim_tf.models.inputs import empty_inputs
from dim_tf.packing.batch import pack_matching, pack_sentences
from dim_tf.packing.buckets import EXACT, BucketShape, largest_shape
from dim_tf.packing.layout import EncoderBatch, Tensor
from dim_tf.runtime.backend import check_process
from dim_tf.runtime.compile import Arrays, Executor, backend_name, compile_forward

# At most this many candidates go through a model at once, so that memory is bounded. Where sizes
# are fixed, programs are compiled for these two numbers, and a chunk is filled up to one of them.
SMALL_CHUNK, LARGE_CHUNK = 20, 100
REPLY_INPUTS = ("responses", "responses_len")


class Scorer:
    """Scores batches of public inputs.

    Args:
        model: keras.Model. Takes a dict of arrays and returns logits.
        samples: As for `Executor`.

    Attributes:
        executor: Executor. Packs and runs batches.
        names: tuple of str. The inputs that the model reads.
        any_size: bool. Whether one program scores batches of all sizes.
    """

    def __init__(self, model: keras.Model, samples: Iterable[Arrays] = ()) -> None:
        self.any_size = backend_name() == "tensorflow"
        self.executor = Executor(model, samples)
        self.names = self.executor.names
        forward = compile_forward(model, self.executor.logits, self.executor.example)
        self._forward = CompileOnce(forward)

    def __call__(self, inputs: Arrays) -> np.ndarray:
        """The raw logit of every candidate slot, absent ones too; float32 [B, C]."""
        return np.asarray(self._forward(self.executor.pack(inputs)), "float32")

    def chunk_size(self, count: int) -> int:
        """The number of candidates that a program takes for `count` of them."""
        if self.any_size:
            return count
        return SMALL_CHUNK if count <= SMALL_CHUNK else LARGE_CHUNK


class CompileOnce:
    """A program that one thread compiles while the others that need it wait.

    JAX would compile it once in each thread.

    Args:
        program: Takes a batch, and is compiled for its structure and shapes.
    """

    def __init__(self, program: Callable[[Any], Any]) -> None:
        self._program = program
        self._lock, self._compiled = threading.Lock(), set[Any]()

    def __call__(self, batch: Any) -> Any:
        """The result of the program; raises `UsageError` in a forked process."""
        check_process()
        if backend_name() == "tensorflow":  # one program for all shapes, and its own lock
            return self._program(batch)
        from jax.tree_util import tree_flatten

        leaves, structure = tree_flatten(batch)
        key = structure, tuple(np.shape(leaf) for leaf in leaves)
        if key in self._compiled:
            return self._program(batch)
        with self._lock:
            result = self._program(batch)
            self._compiled.add(key)
        return result


@dataclasses.dataclass(frozen=True)
class EncodedCandidates:
    """Encoded candidates."""

    words: np.ndarray  # [words, D], of one candidate after the other
    lengths: np.ndarray  # int [N], words of each candidate

    def chunks(self, size: int) -> Iterator[EncodedCandidates]:
        """The same in order, at most `size` candidates at a time."""
        ends = np.cumsum(self.lengths)
        for first in range(0, len(self.lengths), size):
            lengths = self.lengths[first : first + size]
            start = ends[first] - lengths[0]
            words = self.words[start : ends[first + len(lengths) - 1]]
            yield EncodedCandidates(words, lengths)


def batch_scorer(model: keras.Model, samples: Iterable[Arrays] = ()) -> Scorer:
    """The best scorer that the model supports, for batches of turns; arguments as of `Scorer`."""
    return VectorScorer(model) if isinstance(model, DualEncoder) else Scorer(model, samples)


def turn_scorer(model: keras.Model) -> CachedScorer | PlainScorer | VectorScorer:
    """The best scorer that the model supports, for one turn with any number of candidates."""
    if isinstance(model, DualEncoder):
        return VectorScorer(model)
    return CachedScorer(model) if isinstance(model, MatchingModel) else PlainScorer(model)


class PlainScorer:
    """Scores one turn with a model that cannot encode a candidate separately."""

    def __init__(self, model: keras.Model) -> None:
        self.batch = Scorer(model)  # scores several turns at once

    def encode(self, responses: Arrays) -> Arrays:
        """The candidates as `score` takes them: their inputs with B = 1."""
        return responses

    def score(self, turn: Arrays, candidates: Arrays) -> np.ndarray:
        """The logits of all candidates, float32 [N]."""
        return _score_chunks(self.batch, turn, candidates, SMALL_CHUNK)

    score_once = score


class VectorScorer(Scorer):
    """A scorer that encodes each reply once, and then takes dot products.

    Args:
        model: DualEncoder. The model.
    """

    def __init__(self, model: DualEncoder) -> None:
        super().__init__(model)
        self.batch = self  # scores several turns at once
        self.query_names = [name for name in self.names if name not in REPLY_INPUTS]
        inputs = model.inputs

        def example(names: Any) -> dict[str, keras.KerasTensor]:
            return {name: inputs[name] for name in names}

        def encode_replies(batch: Any) -> Any:
            return model.encode_replies(batch["responses"], batch["responses_len"])

        self._encode_query = CompileOnce(
            compile_forward(model, model.encode_query, lambda: example(self.query_names))
        )
        self._encode_replies = CompileOnce(
            compile_forward(model, encode_replies, lambda: example(REPLY_INPUTS))
        )

    def encode_query(self, turns: Arrays) -> np.ndarray:
        """The vectors of the contexts and personas of B turns, float32 [B, d]."""
        batch = {name: turns[name] for name in self.query_names}
        return np.asarray(self._encode_query(batch), "float32")

    def encode(self, responses: Arrays) -> np.ndarray:
        """The vectors of replies, float32 [N, d], given as the inputs of one turn, [1, N, ...]."""
        vectors = []
        for chunk in _chunks({name: responses[name] for name in REPLY_INPUTS}, LARGE_CHUNK):
            count = chunk["responses_len"].shape[1]
            batch = _filled(chunk, self.chunk_size(count))
            vectors.append(np.asarray(self._encode_replies(batch), "float32")[0, :count])
        return np.concatenate(vectors)

    def score(self, turn: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The logits of all candidates of a turn (B = 1), float32 [N], from their vectors."""
        return vectors @ self.encode_query(turn)[0]

    def score_once(self, turn: Arrays, responses: Arrays) -> np.ndarray:
        """The logits of candidates that are not needed again, float32 [N]."""
        return self.score(turn, self.encode(responses))


class CachedScorer:
    """Scores one turn with a model that encodes every sentence on its own, and then matches."""

    def __init__(self, model: MatchingModel) -> None:
        self._sources = model.sources
        self.batch = Scorer(model)  # scores several turns at once
        self._fixed = self.batch.executor.fixed
        self._length = model.config.max_response_len
        empty = empty_inputs(model.inputs)
        # One program encodes all kinds of sentences.
        self._steps = max(empty[kind].shape[-1] for kind in ("responses", *self._sources))
        sentences, grids = pack_sentences(empty, self._sources, EXACT, self._steps)
        self._encode = CompileOnce(compile_forward(model, model.encode, lambda: sentences))
        grids["responses"] = np.zeros(empty["responses"].shape, np.int32)
        states = np.zeros((1, 2 * model.config.rnn_units), model.compute_dtype)
        batch = pack_matching(empty, sentences, grids, self._sources, EXACT)
        example = {"batch": batch, "states": states, "last": states}

        def match(inputs: dict[str, Any]) -> Tensor:
            encoded = Encoded(inputs["states"], inputs["last"])
            return model.forward(inputs["batch"], encoded=encoded)

        self._match = CompileOnce(compile_forward(model, match, lambda: example))

    def encode(self, responses: Arrays) -> EncodedCandidates:
        """Encodes candidates, given as the inputs of one turn, [1, N, ...]."""
        words = []
        for chunk in _chunks(responses, LARGE_CHUNK):
            mask = np.arange(self._length) < chunk["responses_len"][0, :, None]  # [n, R]
            chunk = _filled(chunk, self.batch.chunk_size(len(mask)))
            encoded, _, grids = self._encoded(chunk, ["responses"])
            words.append(encoded.states[grids["responses"][0, : len(mask)][mask]])
        return EncodedCandidates(np.concatenate(words), responses["responses_len"][0])

    def score(self, turn: Arrays, candidates: EncodedCandidates) -> np.ndarray:
        """The logits of all candidates, float32 [N].

        Args:
            turn: The inputs that are not of candidates, B = 1.
            candidates: EncodedCandidates. The result of `encode`.
        """
        encoded = self._encoded(turn, self._sources)
        scores = []
        for chunk in candidates.chunks(LARGE_CHUNK):
            logits = self._match(self._pack(turn, encoded, chunk))
            scores.append(np.asarray(logits, "float32")[0, : len(chunk.lengths)])
        return np.concatenate(scores)

    def score_once(self, turn: Arrays, responses: Arrays) -> np.ndarray:
        """The logits of candidates that are not needed again.

        They go through the whole model: to encode the turn again for each chunk costs little, and
        needs no further programs.
        """
        return _score_chunks(self.batch, turn, responses, LARGE_CHUNK)

    def _pack(
        self,
        turn: Arrays,
        encoded: tuple[Encoded, EncoderBatch, dict[str, np.ndarray]],
        candidates: EncodedCandidates,
    ) -> dict[str, Any]:
        """The batch of an encoded turn and some candidates."""
        (states, last), sentences, grids = encoded
        size = self.batch.chunk_size(len(candidates.lengths))
        lengths = np.pad(candidates.lengths, (0, size - len(candidates.lengths)))
        mask = np.arange(self._length) < lengths[:, None]  # [C, R]
        grid = np.zeros(mask.shape, np.int32)
        grid[mask] = len(states) + np.arange(len(candidates.words))
        turn = {**turn, "responses_len": lengths[None]}
        grids = {**grids, "responses": grid[None]}
        # Empty cells of a grid point to the first word, which must exist.
        bucket, missing = EXACT, 1
        if self._fixed:
            shapes = {name: value.shape for name, value in turn.items()}
            bucket = largest_shape({**shapes, "responses": (1, *mask.shape)}, self._sources)
            missing = mask.size - len(candidates.words)
        filling = np.zeros((missing, states.shape[1]), states.dtype)
        return {
            "batch": pack_matching(turn, sentences, grids, self._sources, bucket),
            "states": np.concatenate([states, candidates.words, filling]),
            "last": last,
        }

    def _encoded(
        self, inputs: Arrays, kinds: Sequence[str]
    ) -> tuple[Encoded, EncoderBatch, dict[str, np.ndarray]]:
        """Encoded sentences, their layout, and the encoded word at each position."""
        bucket = EXACT
        if self._fixed:  # sizes that hold any sentences of these shapes
            rows = sum(inputs[f"{kind}_len"].size for kind in kinds)
            bucket = BucketShape(words=rows * self._steps, sentences=(rows,) * self._steps)
        sentences, grids = pack_sentences(inputs, kinds, bucket, self._steps)
        states, last = self._encode(sentences)
        return Encoded(np.asarray(states), np.asarray(last)), sentences, grids


def _chunks(responses: Arrays, size: int) -> Iterator[dict[str, np.ndarray]]:
    """Candidates [1, N, ...] in order, at most `size` at a time."""
    for first in range(0, responses["responses_len"].shape[1], size):
        yield {name: value[:, first : first + size] for name, value in responses.items()}


def _score_chunks(scorer: Scorer, turn: Arrays, responses: Arrays, size: int) -> np.ndarray:
    """The logits of all candidates, float32 [N], by the whole model."""
    scores = []
    for chunk in _chunks(responses, size):
        count = chunk["responses_len"].shape[1]
        scores.append(scorer({**turn, **_filled(chunk, scorer.chunk_size(count))})[0, :count])
    return np.concatenate(scores)


def _filled(responses: Arrays, count: int) -> dict[str, np.ndarray]:
    """Candidates [1, n, ...] with absent ones at the end: [1, count, ...]."""
    missing = count - responses["responses_len"].shape[1]
    return {
        name: np.pad(value, [(0, 0), (0, missing), *[(0, 0)] * (value.ndim - 2)])
        for name, value in responses.items()
    }
