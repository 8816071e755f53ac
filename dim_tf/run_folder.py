"""A run folder: all that a trained model needs, whatever becomes of the data it was trained on.

config.json       what the model is, how it is trained, how text becomes ids, on what data
words.txt         line k, from 0, is the word with id k
chars.txt         line k, from 0, is the character with id k
vectors.npz       word_vectors, float32 [V, word_dim]; float16 in a shipped model
best.weights.h5   the weights with the best validation MRR; likewise
latest.npz        the state of training: weights, Adam's slots, position, best, patience
metrics.jsonl     one JSON object a line, training and validation
results.json      what `dim_tf.evaluate` found
ranks/TABLE.npz   of the same turns: rows int [N], their rows in the table; ranks int [N], from 1;
                  gold int [N], the right replies' rows in the sentence store of the prepared
                  folder; fingerprint, of that folder. See `dim_tf.turn_ranks`
persona_SPLIT_out.txt     the scores of all candidates, in the authors' format
calibration.json  temperature, signal, threshold, f1_by_signal; weights, the sha256 of
                  best.weights.h5; prepared, persona and version it was found on; its figures
                  on valid and on test. See `dim_tf.calibration`
mistakes_SPLIT.txt .html  the most confident mistakes, if `dim_tf.evaluate` was asked for them
MODEL_CARD.md     all this for people
tensorboard/      curves, rankings, attention
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dim_tf import backend, files, shipped
from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.dataset import PERSONAS, VERSIONS
from dim_tf.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DimError,
    DivergedError,
    UsageError,
)
from dim_tf.text import TextRules

if TYPE_CHECKING:
    import keras

FORMAT = 1
CONFIG, VECTORS = "config.json", "vectors.npz"
BEST, LATEST = "best.weights.h5", "latest.npz"
METRICS, RESULTS, RANKS = "metrics.jsonl", "results.json", "ranks"
# The attribute of the weights file that tells whether it holds what was saved.
DIGEST = "sha256_of_weights"
# What every validation and every test has.
_MEASURES = {"turns", "hits@1", "hits@2", "hits@5", "hits@10", "MRR", "MAP"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """An open run folder.

    Args:
        path: The folder.
        model: Name of the model, as for `build_model`.
        model_config: Its sizes.
        training_config: How it is trained; None if its weights came from elsewhere.
        text: How text becomes words: the fields of `dim_tf.text.TextRules`.
        persona: none, self, their or both.
        version: original or revised.
        prepared: `fingerprint`, `name`, `licence` and `word2vec` of the prepared folder, and
            `training_turns`, how many it has for this run.
        initial: Whose weights it started from: `run`, and that run's `prepared` and `initial`;
            None if from fresh ones.
        stored: What weights and vectors are stored as, "float32" or "float16".
        versions: Of Python and of the packages that wrote the folder.
        words: Line k is id k.
        characters: Line k is id k.
        word_vectors: float32 [V, word_dim].
    """

    path: Path
    model: str
    model_config: ModelConfig
    training_config: TrainingConfig | None
    text: dict[str, Any]
    persona: str
    version: str
    prepared: dict[str, Any]
    initial: dict[str, Any] | None = None
    stored: str = "float32"
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: _versions())
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
        with files.creating_folder(self.path) as temporary:
            files.write_lines(temporary / "words.txt", self.words)
            files.write_lines(temporary / "chars.txt", self.characters)
            files.write_npz(temporary / VECTORS, {"word_vectors": self.word_vectors})
            files.write_json(temporary / CONFIG, self._config())
            yield dataclasses.replace(self, path=temporary)

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Opens a run folder, or a shipped model by its name (see `dim_tf.shipped`).

        Vectors and weights that are stored as float16 become float32.

        Raises:
            CheckpointError: It is missing, damaged, or not a run folder.
        """
        path = shipped.find(path)
        if not (path / CONFIG).is_file():
            raise CheckpointError(
                f"{path}: found no run folder ({CONFIG} is missing); "
                "train one with python -m dim_tf.train --run"
            )
        try:
            config = files.read_json(path / CONFIG)
            if config.pop("format", None) != FORMAT:
                raise CheckpointError(f"{path / CONFIG}: not a run folder of format {FORMAT}")
            training = config.pop("training_config")
            return cls(
                path=path,
                model_config=ModelConfig.from_dict(config.pop("model_config")),
                training_config=training and TrainingConfig.from_dict(training),
                words=files.read_lines(path / "words.txt"),
                characters=files.read_lines(path / "chars.txt"),
                word_vectors=_as_float32(files.read_npz(path / VECTORS)["word_vectors"]),
                **config,
            )._checked()
        except (DataError, ConfigError, OSError) as error:
            raise CheckpointError(f"{path}: a damaged run folder ({error})") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path / CONFIG}: a damaged run folder ({error})") from None

    def build_model(self) -> keras.Model:
        """The model with fresh weights."""
        backend.load()
        from dim_tf.models import build_model

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
        import h5py
        import keras

        # Every weight is about to be read: JAX would compile for seconds to draw its first value.
        with keras.utils.custom_object_scope({"glorot_uniform": keras.initializers.Zeros}):
            model = dataclasses.replace(self, model_config=config).build_model()
        try:
            with warnings.catch_warnings():
                # Keras only warns of layers that it finds nothing for, and leaves them untrained.
                warnings.simplefilter("error", UserWarning)
                model.load_weights(best)
            with h5py.File(best) as file:
                digest = file.attrs.get(DIGEST)
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
        with files.replacing(self.path / BEST) as temporary:
            model.save_weights(temporary)
            with h5py.File(temporary, "a") as file:
                file.attrs[DIGEST] = _digest(model)

    @property
    def rules(self) -> TextRules:
        """How text becomes words."""
        return TextRules(**self.text)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`, without a last line that was never finished.

        Raises:
            DataError: A line is no row.
        """
        path, rows = self.path / METRICS, []
        for number, line in enumerate(files.read_lines(path) if path.exists() else [], start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if not isinstance(row, dict) or not {"kind", "update"} <= row.keys():
                expected = 'expected an object with "kind" and "update"'
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            if row["kind"] == "valid" and not row.keys() >= _MEASURES:
                expected = f"expected a validation with {', '.join(sorted(_MEASURES))}"
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            rows.append(row)
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the best validation, whose weights `load_model` gives; None before it."""
        validations = [row for row in self.metrics() if row["kind"] == "valid"]
        return max(validations, key=lambda row: row["MRR"], default=None)

    def results(self) -> dict[str, dict[str, Any]]:
        """What `dim_tf.evaluate` found: table name -> turns, hits@k, MRR and MAP.

        `update` is that of the weights that were tested; None if they were not trained here.
        """
        path = self.path / RESULTS
        results = files.read_json(path) if path.exists() else {}
        if not isinstance(results, dict) or not all(
            isinstance(result, dict) and result.keys() >= _MEASURES for result in results.values()
        ):
            raise DataError("found no results by table; remove the file", path=path)
        return results

    @contextlib.contextmanager
    def same_weights(self) -> Iterator[None]:
        """For what reads the best weights and then says something of them.

        Raises:
            UsageError: They were replaced meanwhile.
        """
        before = weights_fingerprint(self.path)
        yield
        if weights_fingerprint(self.path) != before:
            raise UsageError(
                f"{self.path / BEST} was replaced meanwhile, by a training that goes on: what was "
                "found is of other weights; do it again when the training has ended"
            )

    def check_prepared(self, data: Any) -> None:
        """Raises `UsageError` unless the run and the prepared folder `data` belong together.

        A run that was trained here belongs to the folder it was trained on. One that was converted
        belongs to every folder with its words and characters.
        """
        if not self.prepared["fingerprint"]:
            if (data.words, data.characters) != (self.words, self.characters):
                raise UsageError(
                    f"{data.path} and {self.path} do not belong together: their words or their "
                    "characters differ; prepare the folder with the vocabularies of the run"
                )
        elif data.fingerprint != self.prepared["fingerprint"]:
            raise UsageError(
                f"{data.path} and {self.path} do not belong together: the run was trained on "
                f"{self.prepared['name']} with fingerprint {self.prepared['fingerprint'][:12]}, "
                f"the prepared folder is {data.manifest['name']} with {data.fingerprint[:12]}; "
                "give the folder that the run was trained on"
            )

    def _config(self) -> dict[str, Any]:
        training = self.training_config
        return {
            "format": FORMAT,
            "model": self.model,
            "model_config": self.model_config.to_dict(),
            "training_config": training and training.to_dict(),
            "text": self.text,
            "persona": self.persona,
            "version": self.version,
            "prepared": self.prepared,
            "initial": self.initial,
            "stored": self.stored,
            "versions": self.versions,
        }

    def _checked(self) -> Self:
        _ = self.rules
        for name, found, known in (
            ("persona", self.persona, PERSONAS),
            ("version", self.version, VERSIONS),
        ):
            if found not in known:
                raise ConfigError(f"{name}: found {found!r}, expected {', '.join(known)}")
        for name, found in (("model", self.model), ("fingerprint", self.prepared["fingerprint"])):
            if not isinstance(found, str):
                raise ConfigError(f"{name}: found {found!r}, expected a text")
        shape, expected = self.word_vectors.shape, (len(self.words), self.model_config.word_dim)
        if shape != expected or self.word_vectors.dtype != np.float32:
            raise CheckpointError(
                f"{self.path / VECTORS}: found {shape} {self.word_vectors.dtype}, expected "
                f"{expected} float32, by words.txt and {CONFIG}"
            )
        if len(self.characters) != self.model_config.char_vocab_size:
            raise CheckpointError(
                f"{self.path / 'chars.txt'}: found {len(self.characters)} lines, "
                f"expected {self.model_config.char_vocab_size}"
            )
        return self


def check_free(path: str | os.PathLike) -> None:
    """Raises `UsageError` if a run cannot be created at `path`."""
    path = Path(path)
    if path.exists():
        raise UsageError(
            f"{path} exists; give another folder, or continue a training run with --resume"
        )
    files.check_place(path)


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
    return files.sha256(file) if file.is_file() else None


def _as_float32(vectors: np.ndarray) -> np.ndarray:
    return vectors.astype(np.float32) if vectors.dtype == np.float16 else vectors


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("dim_tf", "keras", "numpy", "tensorflow", "jax"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
