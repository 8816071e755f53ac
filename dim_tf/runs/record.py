"""The record of a run: settings, metrics and test results, without words and weights.

A record is read from a run folder, or from a folder with a copy of these files, small enough for a
repository (`cp -r RUN/config.json RUN/metrics.jsonl RUN/results.json RUN/ranks DIR`):

config.json       settings of model and training, text rules, data
metrics.jsonl     one JSON object a line, training and validation
results.json      the results of `dim_tf.evaluate`
ranks/TABLE.npz   rows int [N], rows of the tested turns in their table; ranks int [N], from 1;
                  gold int [N], the gold replies' rows in the sentence store of the prepared
                  folder; fingerprint, of its text. See `dim_tf.runs.ranks`
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, Self

import pydantic
from typing_extensions import TypedDict  # typing's is not enough for pydantic before Python 3.12

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.data.dataset import Persona, Version
from dim_tf.data.text import TextRules
from dim_tf.errors import CheckpointError, ConfigError, DataError
from dim_tf.io import atomic, json_model
from dim_tf.io.text_lines import json_value
from dim_tf.runs import pretrained

FORMAT = 1
CONFIG, METRICS, RESULTS, RANKS = "config.json", "metrics.jsonl", "results.json", "ranks"
# Fields of every validation and every test result.
_MEASURES = {"turns", "hits@1", "hits@2", "hits@5", "hits@10", "MRR", "MAP"}


class PreparedSummary(TypedDict):
    """What a run records of its prepared folder. A converted run has an empty fingerprint."""

    __pydantic_config__ = json_model.STRICT | {"extra": "allow"}
    name: str
    licence: str
    fingerprint: str
    text_fingerprint: NotRequired[str]
    word2vec: NotRequired[str | None]
    word2vec_dim: NotRequired[int]
    training_turns: NotRequired[int]  # that the run is trained on


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=json_model.STRICT)
class RunConfig:
    """The content of config.json.

    Args:
        model: str. Name of the system, as for `build_model`.
        model_config: ModelConfig. Its sizes.
        training_config: TrainingConfig. None if the weights were not trained here.
        text: TextRules. How text becomes words.
        persona: str. none, self, their or both.
        version: str. original or revised.
        prepared: PreparedSummary. The prepared folder.
        initial: dict. Name (`run`) of the run whose weights are the initial ones, its `prepared`
            and its `initial`; None for fresh weights.
        stored: str. Type of the stored weights and vectors, "float32" or "float16".
        versions: dict. Versions of Python and of the packages that wrote the folder.
    """

    format: Literal[1] = FORMAT
    model: str
    model_config: ModelConfig
    training_config: TrainingConfig | None
    text: TextRules
    persona: Persona
    version: Version
    prepared: PreparedSummary
    initial: dict[str, Any] | None = None
    stored: Literal["float32", "float16"] = "float32"
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: _versions())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record(RunConfig):
    """An open record: its config, and `path`, the folder."""

    path: Path

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Opens a record or a run folder, or a pretrained model by its name.

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
            config = json_model.read(path / CONFIG, RunConfig)
            values = {name: getattr(config, name) for name in _CONFIG_FIELDS}
            return cls(path=path, **values, **cls._contents(path, config.model_config))
        except (DataError, ConfigError) as error:
            raise CheckpointError(f"{path}: a damaged run folder ({error})") from None

    @property
    def name(self) -> str:
        """The name of its folder, also if that was given as `.`."""
        return self.path.resolve().name

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`, without an unfinished last line.

        Raises:
            DataError: A line is no row.
        """
        path, rows = self.path / METRICS, []
        lines = atomic.read_lines(path) if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                row = json_value(line)
            except DataError as error:
                if number == len(lines):
                    break
                raise DataError(str(error), path=path, line=number) from None
            if not isinstance(row, dict) or not {"kind", "update"} <= row.keys():
                expected = 'expected an object with "kind" and "update"'
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            if row["kind"] == "valid" and not row.keys() >= _MEASURES:
                expected = f"expected a validation with {', '.join(sorted(_MEASURES))}"
                raise DataError(f"found {line[:40]}, {expected}", path=path, line=number)
            rows.append(row)
        return rows

    def best(self) -> dict[str, Any] | None:
        """The row of the validation with the best MRR; None before the first one."""
        validations = [row for row in self.metrics() if row["kind"] == "valid"]
        return max(validations, key=lambda row: row["MRR"], default=None)

    def best_update(self) -> int | None:
        """The update of the best validation; None if there is none, as in a converted run."""
        best = self.best()
        return best and best["update"]

    def is_current(self, result: Mapping[str, Any]) -> bool:
        """Whether a test result is of the weights of the best validation."""
        return result.get("update") == self.best_update()

    def results(self) -> dict[str, dict[str, Any]]:
        """The test results: table name -> turns, hits@k, MRR and MAP.

        `update` is that of the tested weights; None if they were not trained here.

        Raises:
            DataError: The file is damaged.
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
    def _contents(cls, path: Path, config: ModelConfig) -> dict[str, Any]:
        """The fields of a subclass that other files hold."""
        return {}

    def _config(self) -> dict[str, Any]:
        """The content of config.json."""
        return json_model.plain(RunConfig(**{name: getattr(self, name) for name in _CONFIG_FIELDS}))


_CONFIG_FIELDS = tuple(field.name for field in dataclasses.fields(RunConfig))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("dim_tf", "keras", "numpy", "tensorflow", "jax"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
