"""A run folder: all that a trained model needs, whatever becomes of the data it was trained on.

config.json, metrics.jsonl, results.json, ranks/   what is known of the run: `dim_tf.runs.record`
words.txt         line k, from 0, is the word with id k
chars.txt         line k, from 0, is the character with id k
vectors.npz       word_vectors, float32 [V, word_dim]; float16 in a shipped model
best.weights.h5   the weights with the best validation MRR; likewise
latest.npz        the state of training: weights, Adam's slots, position, best, patience
persona_SPLIT_out.txt     the scores of all candidates, in the authors' format
calibration.json  temperature, signal, threshold, f1_by_signal; weights, the sha256 of
                  best.weights.h5; prepared, persona and version it was found on; its figures
                  on valid and on test. See `dim_tf.evaluation.calibration`
mistakes_SPLIT.txt .html  the most confident mistakes, if `dim_tf.evaluate` was asked for them
MODEL_CARD.md     all this for people
tensorboard/      curves, rankings, attention
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import CheckpointError, DimError, DivergedError, UsageError
from dim_tf.io import atomic
from dim_tf.runs.record import CONFIG, Record
from dim_tf.runtime import backend

if TYPE_CHECKING:
    import keras

    from dim_tf.data.dataset import PreparedData

WORDS, CHARACTERS, VECTORS = "words.txt", "chars.txt", "vectors.npz"
BEST, LATEST = "best.weights.h5", "latest.npz"
# The attribute of the weights file that tells whether it holds what was saved.
DIGEST = "sha256_of_weights"
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Record):
    """An open run folder; beside what a record has:

    Args:
        words: Line k is id k.
        characters: Line k is id k.
        word_vectors: float32 [V, word_dim].
    """

    words: list[str] = dataclasses.field(repr=False)
    characters: list[str] = dataclasses.field(repr=False)
    word_vectors: np.ndarray = dataclasses.field(repr=False, compare=False)

    @contextlib.contextmanager
    def creating(self) -> Iterator[Self]:
        """Writes the folder under a temporary name and gives the run there, to be filled further.

        At the end the folder takes the name `path`; after an error nothing is left of it.

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

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Opens a run folder, or a shipped model by its name (see `dim_tf.runs.pretrained`).

        Vectors and weights that are stored as float16 become float32.

        Raises:
            CheckpointError: It is missing, damaged, or not a run folder.
        """
        return super().open(path)

    def build_model(self) -> keras.Model:
        """The model with fresh weights."""
        backend.load()
        from dim_tf.systems.registry import build_model

        return build_model(self.model, self.model_config, self.word_vectors)

    def load_model(self, precision: str | None = None) -> keras.Model:
        """The model with the weights of the best validation.

        Args:
            precision: What it is to compute in, if another than the run's own.

        Raises:
            CheckpointError: They are missing, damaged, not finite, or of another model.
        """
        best = self.path / BEST
        if not best.is_file():
            raise CheckpointError(
                f"{best}: the weights file is missing: a run has one after its first validation; "
                "python -m dim_tf.train --resume goes on with this run"
            )
        config = self.model_config
        if precision:
            config = config.replace(precision=precision)
        backend.load()
        import keras

        # Every weight is about to be read: JAX would compile for seconds to draw its first value.
        with keras.utils.custom_object_scope({"glorot_uniform": keras.initializers.Zeros}):
            model = dataclasses.replace(self, model_config=config).build_model()
        try:
            digest = _load_weights(model, best)
        except (OSError, ValueError, KeyError, RuntimeError, UserWarning) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise CheckpointError(
                f"{best}: damaged, or of another model than {CONFIG} says ({reason})"
            ) from None
        _check_finite(model, best, CheckpointError)
        if digest is not None and digest != _digest(model):
            raise CheckpointError(f"{best}: damaged: the weights are not those that were saved")
        return model

    def save_best(self, model: keras.Model) -> None:
        """Makes the weights of `model` the ones that `load_model` gives.

        Raises:
            DivergedError: A weight is not finite; the former file stays.
        """
        import h5py

        _check_finite(model, self.path, DivergedError)
        with atomic.replacing(self.path / BEST) as temporary:
            model.save_weights(temporary)
            with h5py.File(temporary, "a") as file:
                file.attrs[DIGEST] = _digest(model)

    @contextlib.contextmanager
    def same_weights(self) -> Iterator[str]:
        """For what reads the best weights and then says something of them; gives their sha256.

        Raises:
            UsageError: They were replaced meanwhile.
        """
        before = weights_fingerprint(self.path)
        yield before or ""
        if weights_fingerprint(self.path) != before:
            raise UsageError(
                f"{self.path / BEST} was replaced meanwhile, by a training that goes on: what was "
                "found is of other weights; do it again when the training has ended"
            )

    def is_of(self, data: PreparedData) -> bool:
        """Whether the run and a prepared folder belong together.

        A run that was trained here belongs to the folder it was trained on, and to every one with
        the same text: it has word vectors of its own. One that was converted belongs to every
        folder with its words and characters.
        """
        if not self.prepared["fingerprint"]:
            return (data.words, data.characters) == (self.words, self.characters)
        return data.text_fingerprint == self.prepared.get("text_fingerprint")

    def check_prepared(self, data: PreparedData) -> None:
        """Raises `UsageError` unless the run and the prepared folder belong together."""
        if self.is_of(data):
            return
        known = self.prepared.get("text_fingerprint", "not known")[:12]
        raise UsageError(
            f"{data.path} and {self.path} do not belong together: the run was trained on "
            f"{self.prepared['name']} with text fingerprint {known}, the prepared folder is "
            f"{data.manifest['name']} with {data.text_fingerprint[:12]}; give the folder that "
            "the run was trained on"
        )

    def differences_from(self, data: PreparedData) -> list[str]:
        """What keeps the words of a prepared folder from meaning the same to this run's weights.

        Nothing does where the folder was prepared like this run, even if it has other words.
        """
        found = []
        if self.characters != data.characters:
            found.append("the characters")
        if self.rules != data.rules:
            found.append(f"the rules of the text ({self.rules} there, {data.rules} here)")
        there, here = (each.word_vectors.shape[1] for each in (self, data))
        if there != here:
            found.append(f"word_dim ({there} there, {here} here)")
        if self.prepared["word2vec"] != data.manifest.get("word2vec"):
            found.append("the Word2Vec vectors")
        elif there == here and WordVectors(self.words, self.word_vectors).contradicts(
            WordVectors(data.words, data.word_vectors)
        ):
            found.append("the word vectors")
        return found

    def with_words_of(self, data: PreparedData) -> Self:
        """The run as it reads a folder: as it is if they belong together, else with those words.

        Raises:
            UsageError: The folder was not prepared like the run.
        """
        if self.is_of(data):
            return self
        differences = self.differences_from(data)
        if differences:
            raise UsageError(
                f"{data.path} and {self.path} do not belong together: {', '.join(differences)} "
                "differ; give the folder that the run was trained on, or prepare this data with "
                f"--like {self.path}"
            )
        return dataclasses.replace(self, words=data.words, word_vectors=data.word_vectors)

    @classmethod
    def _contents(cls, path: Path) -> dict[str, Any]:
        if not any((path / name).exists() for name in (WORDS, VECTORS, BEST, LATEST)):
            raise CheckpointError(
                f"{path}: a record without words and weights, of use to python -m dim_tf.report "
                "alone; give the run folder that it was made of"
            )
        return {
            "words": atomic.read_lines(path / WORDS),
            "characters": atomic.read_lines(path / CHARACTERS),
            "word_vectors": _as_float32(atomic.read_npz(path / VECTORS)["word_vectors"]),
        }

    def _checked(self) -> Self:
        super()._checked()
        shape, expected = self.word_vectors.shape, (len(self.words), self.model_config.word_dim)
        if shape != expected or self.word_vectors.dtype != np.float32:
            raise CheckpointError(
                f"{self.path / VECTORS}: found {shape} {self.word_vectors.dtype}, expected "
                f"{expected} float32, by {WORDS} and {CONFIG}"
            )
        if len(self.characters) != self.model_config.char_vocab_size:
            raise CheckpointError(
                f"{self.path / CHARACTERS}: found {len(self.characters)} lines, "
                f"expected {self.model_config.char_vocab_size}"
            )
        return self


def check_free(path: str | os.PathLike, hint: str = "") -> None:
    """Raises `UsageError` if a run cannot be created at `path`; `hint` says what else to do."""
    path = Path(path)
    if path.exists():
        raise UsageError(f"{path} exists; give another folder{hint}")
    atomic.check_place(path)


def _load_weights(model: keras.Model, path: Path) -> str | None:
    """Fills the model from a file, which a training may replace; gives the digest in the file."""
    while True:
        digest = _read_digest(path)
        # Keras only warns of layers that it finds nothing for, and leaves them untrained. The
        # filters are those of all threads: only Keras' warnings become errors, and the loads of two
        # threads do not put back each other's.
        with _LOADING, warnings.catch_warnings():
            warnings.filterwarnings("error", category=UserWarning, module="keras")
            model.load_weights(path)
        if _read_digest(path) == digest:
            return digest


def _read_digest(path: Path) -> str | None:
    import h5py

    with h5py.File(path) as file:
        return file.attrs.get(DIGEST)


def _check_finite(model: keras.Model, path: Path, error: type[DimError]) -> None:
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight.value)).all():
            raise error(f"{path}: weight {weight.path} holds NaN or infinity")


def _digest(model: keras.Model) -> str:
    """The sha256 of the trainable weights, whatever their names and order; HDF5 has none."""
    each = [hashlib.sha256(np.asarray(w.value).tobytes()) for w in model.trainable_weights]
    return hashlib.sha256(b"".join(sorted(part.digest() for part in each))).hexdigest()


def weights_fingerprint(path: str | os.PathLike) -> str | None:
    """The sha256 of a run folder's weights file; None before there is one."""
    file = Path(path) / BEST
    return atomic.sha256(file) if file.is_file() else None


def _as_float32(vectors: np.ndarray) -> np.ndarray:
    return vectors.astype(np.float32) if vectors.dtype == np.float16 else vectors
