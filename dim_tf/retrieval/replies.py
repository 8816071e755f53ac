"""The replies that a pool is made from: one text per line, JSON Lines, or a prepared folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dim_tf.data.prepared_folder import read_manifest
from dim_tf.data.text import text_error
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic, text_lines

PREPARED = "prepared:"
# Bytes that Milvus stores of an id and of a text.
ID_BYTES, TEXT_BYTES, FIELDS_BYTES = 64, 65_535, 65_536
RESERVED = ("vector", "$meta")
# Milvus reads ids within expressions.
QUOTES = "'\"\\"


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply of a pool.

    Args:
        id: str. What names it; made from the text if the source has none.
        text: str. The reply.
        fields: dict. Any other fields, for filters.
    """

    id: str
    text: str
    fields: dict[str, Any]


def read_replies(source: str) -> Iterator[tuple[int, Reply]]:
    """Streams the replies of a source with their line; blank lines are skipped.

    Args:
        source: str. `prepared:DIR` for the candidates of a prepared folder; a file of JSON Lines by
            its name, such as `.jsonl` or `.jsonl.gz`, with `text`, perhaps `id`, and other fields;
            or a file with one text per line.

    Raises:
        DataError: The source is missing or damaged, or a line is no reply.
    """
    path = _file(source)
    is_json = bool(text_lines.JSON_LINES.fullmatch(path.name))
    for number, line in text_lines.numbered_lines(path, records=is_json):
        if line.strip():
            try:
                yield number, _from_json(line) if is_json else _reply(line, {})
            except DataError as error:
                raise DataError(str(error), path=path, line=number) from None


def digest(source: str) -> str:
    """The sha256 of the file of a source; raises `UsageError` if it can be read only once."""
    path = _file(source)
    if atomic.is_stream(path):
        raise UsageError(f"{source}: replies are read more than once; give a file")
    try:
        return atomic.sha256(path)
    except OSError as error:
        raise DataError(str(error.strerror), path=path) from None


def check_id(text: str) -> None:
    """Raises `DataError` if a text cannot be an id."""
    problem = text_error(text)
    if not problem and (any(each in QUOTES for each in text) or not text.isprintable()):
        problem = f"found {text!r}, expected no quotes, backslashes and control characters"
    if problem:
        raise DataError(problem, field="id")


def _file(source: str) -> Path:
    if not source.startswith(PREPARED):
        return Path(source)
    folder = Path(source.removeprefix(PREPARED))
    read_manifest(folder)
    return folder / "candidates.txt"


def text_id(text: str) -> str:
    """The id of a reply that has none of its own.

    >>> text_id("tea")
    'a9f74d1ec36ebdeb'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _from_json(line: str) -> Reply:
    record = text_lines.json_value(line)
    if not isinstance(record, dict) or "text" not in record:
        raise DataError("found no text, expected an object with the field text")
    for name in RESERVED:
        if name in record:
            raise DataError("the pool has a field of that name; give it another", field=name)
    return _reply(record.pop("text"), record)


def _check_fields(fields: dict[str, Any]) -> None:
    """Raises `DataError` for fields that Milvus cannot store."""
    try:
        size = len(json.dumps(fields, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise DataError("found half of a surrogate pair in a field") from None
    if size > FIELDS_BYTES:
        raise DataError(f"found {size:,} bytes of fields, expected at most {FIELDS_BYTES:,}")
    if any(not -(2**63) <= each < 2**63 for each in _whole_numbers(fields)):
        raise DataError("found a whole number of more than 64 bits in a field")


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _whole_numbers(each)


def _reply(text: Any, fields: dict[str, Any]) -> Reply:
    if problem := text_error(text):
        raise DataError(problem, field="text")
    text, given = text.strip(), fields.pop("id", None)
    if type(given) not in (str, int, type(None)) or given == "":
        raise DataError(f"found {given!r}, expected a text or a whole number", field="id")
    if given is not None:
        check_id(str(given))
    if fields:
        _check_fields(fields)
    reply = Reply(text_id(text) if given is None else str(given), text, fields)
    for name, value, most in (("id", reply.id, ID_BYTES), ("text", text, TEXT_BYTES)):
        if len(value.encode()) > most:
            raise DataError(f"found a text of more than {most:,} bytes", field=name)
    return reply
