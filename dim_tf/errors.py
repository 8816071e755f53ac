"""The errors that this project raises on purpose.

A message names the place (file, line, field), what was found, what was expected, and what to do.
The command line prints it on one line and exits with status 2.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
# Pydantic's words -> ours.
_PHRASES = {
    "a valid dictionary or object to extract fields from": "an object",
    "greater than or equal to": "at least",
    "greater than": "more than",
    "less than or equal to": "at most",
    "a valid": "a",
    "a integer": "an integer",
    "a array": "a list",
    "Tuple should have ": "",
    "String should have ": "",
    "List should have ": "",
    " after validation": "",
    "  ": " ",
}


class DimError(Exception):
    """Base of all errors that a user can do something about."""


class UsageError(DimError):
    """Options or arguments that are missing, unknown or contradict each other."""


class ConfigError(DimError):
    """A setting with an unknown name or an impossible value."""


class DataError(DimError):
    """Input that is missing, damaged, or not in the expected format.

    Args:
        message: str. What was found and what was expected.
        path: str. The file.
        line: int. The line in that file, counted from 1.
        field: str. The field of that line or record.

    >>> print(DataError("found 2 fields, expected 4", path="train.txt", line=7))
    train.txt:7: found 2 fields, expected 4
    >>> print(DataError("expected a list of texts", path="a.jsonl", line=1, field="persona"))
    a.jsonl:1: field "persona": expected a list of texts
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike | None = None,
        line: int | None = None,
        field: str | None = None,
    ):
        where = "" if path is None else str(path) or "''"
        if line is not None:
            where = f"{where}:{line}" if where else f"line {line}"
        if field is not None:
            message = f'field "{field}": {message}'
        super().__init__(f"{where}: {message}" if where else message)


class CheckpointError(DimError):
    """Weights or a training state that are missing, corrupt, or for a different model."""


class PoolError(DimError):
    """Milvus, which holds a pool, cannot be reached or reports an error."""


class DivergedError(DimError):
    """Training met a loss or a weight that is not a finite number."""


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """The nearest known name, as the end of a message; empty if none is near.

    >>> did_you_mean("--persnoa", ["--persona", "--version"])
    '; did you mean --persona?'
    >>> did_you_mean("xyz", ["--persona"])
    ''
    """
    near = difflib.get_close_matches(found, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def one_of(values: Iterable[object]) -> str:
    """The values as a message lists them.

    >>> one_of(["none", "self", "their"]), one_of([3])
    ('none, self or their', '3')
    """
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last


def shown(text: str) -> str:
    r"""The text as a terminal may show it: control characters become escapes.

    >>> print(shown("a\x1b[31m b\tc é"))
    a\x1b[31m b\tc é
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def first_problem(error: ValidationError, known: Iterable[str] = ()) -> tuple[str, str]:
    """The first thing that pydantic refuses: the path of the field, and one line about it.

    For an unknown field, the line proposes the nearest of the `known` ones.
    """
    # An unknown field explains one that is missing.
    problems = error.errors()
    problem = min(problems, key=lambda one: one["type"] not in _UNKNOWN)
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    field = field.removeprefix(".")
    if problem["type"] in _UNKNOWN:
        nested = len(problem["loc"]) > 1
        return field, f"unknown field{'' if nested else did_you_mean(field, known)}"
    if problem["type"] == "missing":
        return field, "missing"
    if problem["type"] == "json_invalid":
        return field, f"not JSON: {problem['ctx']['error']}"
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    for theirs, ours in _PHRASES.items():
        expected = expected.replace(theirs, ours)
    if problem["type"] == "literal_error":
        choices = re.findall("'(.*?)'", expected) or [expected]  # numbers have no quotes
        expected = one_of(choices) + did_you_mean(str(problem["input"]), choices)
    found = "null" if problem["input"] is None else repr(problem["input"])
    found = found if len(found) <= 80 else f"{found[:40]}... of {len(found):,} characters"
    return field, f"found {found}, expected {expected}"


def is_full_disk(error: BaseException) -> bool:
    """Whether an error is that of a full disk: HDF5 and TensorFlow name it in their text only."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = str(error).lower()
    return os.strerror(errno.ENOSPC).lower() in text or f"errno = {errno.ENOSPC}" in text
