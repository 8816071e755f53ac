"""What is known of a run without its weights: settings, the course of training, what tests found.

A record is a run folder of which only these files are read, or a folder with a copy of them, small
enough for a repository (`cp -r RUN/config.json RUN/metrics.jsonl RUN/results.json RUN/ranks DIR`):

config.json       what the model is, how it is trained, how text becomes ids, on what data
metrics.jsonl     one JSON object a line, training and validation
results.json      what `dim_tf.evaluate` found
ranks/TABLE.npz   of the same turns: rows int [N], their rows in the table; ranks int [N], from 1;
                  gold int [N], the right replies' rows in the sentence store of the prepared
                  folder; fingerprint, of its text. See `dim_tf.runs.ranks`
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any, Self

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.data.dataset import PERSONAS, VERSIONS
from dim_tf.data.text import TextRules
from dim_tf.errors import CheckpointError, ConfigError, DataError
from dim_tf.io import atomic
from dim_tf.runs import pretrained

FORMAT = 1
CONFIG, METRICS, RESULTS, RANKS = "config.json", "metrics.jsonl", "results.json", "ranks"
# What every validation and every test has.
_MEASURES = {"turns", "hits@1", "hits@2", "hits@5", "hits@10", "MRR", "MAP"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """An open record.

    Args:
        path: The folder.
        model: Name of the model, as for `build_model`.
        model_config: Its sizes.
        training_config: How it is trained; None if its weights came from elsewhere.
        text: How text becomes words: the fields of `dim_tf.data.text.TextRules`.
        persona: none, self, their or both.
        version: original or revised.
        prepared: `fingerprint`, `text_fingerprint`, `name`, `licence`, `word2vec` and
            `word2vec_dim` of the prepared folder, and `training_turns`, how many it has for this
            run.
        initial: Whose weights it started from: `run`, and that run's `prepared` and `initial`;
            None if from fresh ones.
        stored: What weights and vectors are stored as, "float32" or "float16".
        versions: Of Python and of the packages that wrote the folder.
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

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Opens a record or a run folder, or a shipped model by its name, see `runs.pretrained`.

        Raises:
            CheckpointError: It is missing, damaged, or neither.
        """
        path = pretrained.find(path)
        if not (path / CONFIG).is_file():
            raise CheckpointError(
                f"{path}: found no run folder ({CONFIG} is missing); "
                "train one with python -m dim_tf.train --run"
            )
        try:
            config = atomic.read_json(path / CONFIG)
            if config.pop("format", None) != FORMAT:
                raise CheckpointError(f"{path / CONFIG}: not a run folder of format {FORMAT}")
            training = config.pop("training_config")
            return cls(
                path=path,
                model_config=ModelConfig.from_dict(config.pop("model_config")),
                training_config=training and TrainingConfig.from_dict(training),
                **cls._contents(path),
                **config,
            )._checked()
        except (DataError, ConfigError, OSError) as error:
            raise CheckpointError(f"{path}: a damaged run folder ({error})") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path / CONFIG}: a damaged run folder ({error})") from None

    @property
    def name(self) -> str:
        """Of its folder, also where that was given as `.`."""
        return self.path.resolve().name

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
        lines = atomic.read_lines(path) if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                if number == len(lines):
                    break
                raise DataError(f"not JSON: {error.msg}", path=path, line=number) from None
            if not isinstance(row, dict) or not {"kind", "update"} <= row.keys():
                expected = 'expected an object with "kind" and "update"'
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            if row["kind"] == "valid" and not row.keys() >= _MEASURES:
                expected = f"expected a validation with {', '.join(sorted(_MEASURES))}"
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            rows.append(row)
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the best validation, whose weights a run keeps; None before it."""
        validations = [row for row in self.metrics() if row["kind"] == "valid"]
        return max(validations, key=lambda row: row["MRR"], default=None)

    def best_update(self) -> int | None:
        """The update of the best validation; None before it, and if it was not trained here."""
        best = self.best()
        return best and best["update"]

    def results(self) -> dict[str, dict[str, Any]]:
        """What `dim_tf.evaluate` found: table name -> turns, hits@k, MRR and MAP.

        `update` is that of the weights that were tested; None if they were not trained here.
        """
        path = self.path / RESULTS
        results = atomic.read_json(path) if path.exists() else {}
        needed = {*_MEASURES, "of"}
        if not isinstance(results, dict) or not all(
            isinstance(result, dict) and result.keys() >= needed for result in results.values()
        ):
            raise DataError("found no results by table; remove the file", path=path)
        return results

    @classmethod
    def _contents(cls, path: Path) -> dict[str, Any]:
        """What the folder holds beside `config.json`, by the names of fields."""
        return {}

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
        return self


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("dim_tf", "keras", "numpy", "tensorflow", "jax"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
