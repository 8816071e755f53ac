"""JSON files of our own, read into typed classes by pydantic.

`kind` is any type that pydantic knows, such as `dict[str, Calibration]`; a `ModelConfig` may be a
field. `STRICT` refuses unknown keys, numbers in quotes, bools as numbers and NaN; to ignore unknown
keys use `STRICT | {"extra": "ignore"}`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dim_tf.errors import ConfigError, DataError, first_problem

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
T = TypeVar("T")


def read(path: str | os.PathLike, kind: type[T], advice: str = "") -> T:
    """Reads a JSON file; raises `DataError` if it is missing, damaged or holds something else."""
    try:
        text = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"the file is missing{_and(advice)}", path=path) from None
    return parse(text, kind, path, advice=advice)


def parse(
    text: str | bytes,
    kind: type[T],
    path: str | os.PathLike | None = None,
    line: int | None = None,
    advice: str = "",
) -> T:
    """Reads one JSON text, such as a line of a `.jsonl` file.

    Raises `DataError` if it is no JSON or no `kind`: it names `path` and `line`, and ends in
    `advice`.
    """
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        field, message = first_problem(error, _names(kind))
    except ConfigError as error:  # of a ModelConfig or TrainingConfig inside
        field, message = "", str(error)
    raise DataError(f"{message}{_and(advice)}", path=path, line=line, field=field or None)


def plain(value: Any) -> Any:
    """The value as dicts, lists, texts and numbers: what `atomic.write_json` writes."""
    return _adapter(type(value)).dump_python(value, mode="json")


@functools.cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def _names(kind: type) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(getattr(kind, "model_fields", getattr(kind, "__annotations__", {})))


def _and(advice: str) -> str:
    return f"; {advice}" if advice else ""
