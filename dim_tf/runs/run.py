"""A run folder: all that a trained model needs, without the data it was trained on.

config.json, metrics.jsonl, results.json, ranks/   the record of the run: `dim_tf.runs.record`
words.txt         line k, from 0, is the word with id k
chars.txt         line k, from 0, is the character with id k
vectors.npz       word_vectors, float32 [V, word_dim]; float16 in a small copy
best.weights.h5   the weights with the best validation MRR; float16 in a small copy
latest.npz        the training checkpoint: weights, Adam's moments, progress
persona_SPLIT_out.txt     the scores of all candidates, in the authors' format
calibration.json  temperature and threshold: `dim_tf.evaluation.calibration`
mistakes_SPLIT.txt .html  the most confident mistakes, if `dim_tf.evaluate --errors` wrote them
MODEL_CARD.md     a summary for people
tensorboard/      curves, rankings, attention
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import CheckpointError, DimError, DivergedError, UsageError
from dim_tf.io import atomic
from dim_tf.runs.record import CONFIG, Record
from dim_tf.runtime import backend
from dim_tf.systems import registry

if TYPE_CHECKING:
    import keras

    from dim_tf.data.dataset import PreparedData

WORDS, CHARACTERS, VECTORS = "words.txt", "chars.txt", "vectors.npz"
BEST, LATEST = "best.weights.h5", "latest.npz"
# Attribute of the weights file: the digest of the weights that were saved.
DIGEST = "sha256_of_weights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Record):
    """An open run folder. Arguments besides those of a record:

    Args:
        words: list of str. The word of each id.
        characters: list of str. The character of each id.
        word_vectors: float32 [V, word_dim].
    """

    words: list[str] = dataclasses.field(repr=False)
    characters: list[str] = dataclasses.field(repr=False)
    word_vectors: np.ndarray = dataclasses.field(repr=False, compare=False)

    @contextlib.contextmanager
    def creating(self) -> Iterator[Self]:
        """Writes the folder under a temporary name and yields that run, so that files can be added.

        At the end the folder is renamed to `path`. After an error it is removed.

        Raises:
            UsageError: `path` exists.
        """
        check_free(self.path)
        with atomic.creating_folder(self.path) as temporary:
            atomic.write_lines(temporary / WORDS, self.words)
            atomic.write_lines(temporary / CHARACTERS, self.characters)
            atomic.write_npz(temporary / VECTORS, {"word_vectors": self.word_vectors})
            atomic.write_json(temporary / CONFIG, self._config())
            yield dataclasses.replace(self, path=temporary)

    def build_model(self) -> keras.Model:
        """The model with fresh weights; raises `UsageError` in a forked process."""
        backend.load()
        backend.check_process()
        return registry.build_model(self.model, self.model_config, self.word_vectors)

    def load_model(self, precision: str | None = None) -> keras.Model:
        """The model with the weights of the best validation.

        Args:
            precision: str. Precision to compute in; None for the run's own.

        Raises:
            CheckpointError: The weights are missing, corrupt, not finite, or for a different model.
        """
        best = self.path / BEST
        if not best.is_file():
            raise CheckpointError(
                f"{best}: the weights file is missing: a run has one after its first validation; "
                "resume this run with python -m dim_tf.train --resume"
            )
        config = self.model_config
        if precision:
            config = config.replace(precision=precision)
        backend.load()
        import h5py
        import keras

        # Every initial weight is overwritten: do not let JAX spend seconds on drawing them.
        with keras.utils.custom_object_scope({"glorot_uniform": keras.initializers.Zeros}):
            model = dataclasses.replace(self, model_config=config).build_model()
        best.open("rb").close()  # HDF5 does not name the file that may not be read
        try:
            with h5py.File(best) as file:
                digest = file.attrs.get(DIGEST)
            model.load_weights(best)
        except BlockingIOError:
            raise CheckpointError(f"{best}: locked by a program that writes it") from None
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise CheckpointError(
                f"{best}: damaged, or of another model than {CONFIG} says ({reason})"
            ) from None
        _check_finite(model, best, CheckpointError)
        if digest is not None and digest != _digest(model):
            raise CheckpointError(f"{best}: damaged: the weights are not those that were saved")
        return model

    def save_best(self, model: keras.Model) -> None:
        """Saves the weights of `model` as those that `load_model` loads.

        Raises:
            DivergedError: A weight is not finite; the previous file is kept.
        """
        import h5py

        _check_finite(model, self.path, DivergedError)
        with atomic.replacing(self.path / BEST) as temporary:
            model.save_weights(temporary)
            with h5py.File(temporary, "a") as file:
                file.attrs[DIGEST] = _digest(model)

    @contextlib.contextmanager
    def weights_unchanged(self) -> Iterator[str]:
        """Yields the sha256 of the best weights, and checks at the end that it is the same.

        Raises:
            UsageError: A training has replaced the weights meanwhile.
        """
        before = weights_fingerprint(self.path)
        yield before or ""
        if weights_fingerprint(self.path) != before:
            raise UsageError(
                f"{self.path / BEST} was replaced meanwhile by a running training, so the results "
                "are of outdated weights; repeat this when the training has ended"
            )

    def matches(self, data: PreparedData) -> bool:
        """Whether the run and a prepared folder have the same text.

        A trained run has word vectors of its own and matches every folder with the text that it
        was trained on. A converted run matches every folder with its words and characters.
        """
        if not self.prepared["fingerprint"]:
            return (data.words, data.characters) == (self.words, self.characters)
        return data.text_fingerprint == self.prepared.get("text_fingerprint")

    def check_prepared(self, data: PreparedData) -> None:
        """Raises `UsageError` unless the run matches a prepared folder."""
        if self.matches(data):
            return
        known = self.prepared.get("text_fingerprint", "not known")[:12]
        raise UsageError(
            f"{data.path} does not match {self.path}: the run was trained on "
            f"{self.prepared['name']} with text fingerprint {known}, the prepared folder is "
            f"{data.manifest['name']} with {data.text_fingerprint[:12]}; give the folder that "
            "the run was trained on"
        )

    def differences_from(self, data: PreparedData) -> list[str]:
        """The reasons why this run's weights cannot read the words of a prepared folder.

        There are none if the folder was prepared with `--like` this run, even with more words.
        """
        found = []
        if self.characters != data.characters:
            found.append("the characters")
        if self.text != data.rules:
            found.append(f"the text rules ({self.text} instead of {data.rules})")
        ours, theirs = (each.word_vectors.shape[1] for each in (self, data))
        if ours != theirs:
            found.append(f"word_dim ({ours} instead of {theirs})")
        if self.prepared.get("word2vec") != data.manifest.get("word2vec"):
            found.append("the Word2Vec vectors")
        elif ours == theirs and WordVectors(self.words, self.word_vectors).contradicts(
            WordVectors(data.words, data.word_vectors)
        ):
            found.append("the word vectors")
        return found

    def with_vocabulary_of(self, data: PreparedData) -> Self:
        """The run with the words of a prepared folder, or the run itself if it matches the folder.

        Raises:
            UsageError: The folder was not prepared with `--like` this run, or the system has
                learnt the words of its folder.
        """
        if self.matches(data):
            return self
        if not registry.find(self.model).matches_words:
            raise UsageError(
                f"{data.path} does not match {self.path}: {self.model} has learnt the words of the "
                "folder that it was trained on, and reads that folder alone"
            )
        differences = self.differences_from(data)
        if differences:
            raise UsageError(
                f"{data.path} does not match {self.path}: {', '.join(differences)} "
                "differ; give the folder that the run was trained on, or prepare this data with "
                f"--like {self.path}"
            )
        return dataclasses.replace(self, words=data.words, word_vectors=data.word_vectors)

    @classmethod
    def _contents(cls, path: Path, config: ModelConfig) -> dict[str, Any]:
        if not any((path / name).exists() for name in (WORDS, VECTORS, BEST, LATEST)):
            raise CheckpointError(
                f"{path}: a record without words and weights, which only python -m dim_tf.report "
                "reads; give the run folder that it was made from"
            )
        words = atomic.read_lines(path / WORDS)
        characters = atomic.read_lines(path / CHARACTERS)
        if len(characters) != config.char_vocab_size:
            raise CheckpointError(
                f"{path / CHARACTERS}: found {len(characters)} lines, expected "
                f"{config.char_vocab_size}, by {CONFIG}"
            )
        vectors = atomic.read_npz(path / VECTORS).get("word_vectors", np.zeros(0))
        shape = (len(words), config.word_dim)
        if vectors.shape != shape or vectors.dtype not in (np.float16, np.float32):
            raise CheckpointError(
                f"{path / VECTORS}: found {vectors.shape} {vectors.dtype}, expected "
                f"{shape} float32, by {WORDS} and {CONFIG}"
            )
        vectors = vectors.astype(np.float32, copy=False)
        return {"words": words, "characters": characters, "word_vectors": vectors}


def check_free(path: str | os.PathLike, hint: str = "") -> None:
    """Raises `UsageError` if a run cannot be created at `path`; `hint` ends the message."""
    path = Path(path)
    if path.exists():
        raise UsageError(f"{path} exists; give another folder{hint}")
    atomic.check_place(path)


def _check_finite(model: keras.Model, path: Path, error: type[DimError]) -> None:
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight.value)).all():
            raise error(f"{path}: weight {weight.path} holds NaN or infinity")


def _digest(model: keras.Model) -> str:
    """The sha256 of the trainable weights, independent of names and order; HDF5 has none."""
    each = [hashlib.sha256(np.asarray(w.value).tobytes()) for w in model.trainable_weights]
    return hashlib.sha256(b"".join(sorted(part.digest() for part in each))).hexdigest()


def weights_fingerprint(path: str | os.PathLike) -> str | None:
    """The sha256 of the weights file of a run folder; None if it has no file."""
    file = Path(path) / BEST
    return atomic.sha256(file) if file.is_file() else None
