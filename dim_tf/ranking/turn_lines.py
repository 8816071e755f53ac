"""Ranking the turns of a JSON Lines file or stream, line by line."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from dim_tf.cli.parser import collect_warnings
from dim_tf.cli.progress import Progress
from dim_tf.data.text import json_type_name
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic, text_lines
from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.turn import FIELDS, Turn

STANDARD = "-"
# Fields of the output; a turn's own fields of these names are dropped.
ANSWERS = ("ranking", "error", "line")
# Lines of a file that are read and ranked together.
BATCH = 128

# The output of a line so far, and its turn; None for a bad line.
Answer = tuple[dict[str, Any], Turn | None]


def check_files(source: str, output: str) -> None:
    """Checks the names of an input and an output file.

    Raises:
        DataError: The input is missing.
        UsageError: The output cannot be written, is the input, or has an unfinished part.
    """
    if output != STANDARD and not atomic.is_stream(output):
        atomic.check_output(output, "--output")
        if (part := Path(f"{os.path.realpath(output)}.part")).exists():
            raise UsageError(
                f"--output: {part} exists, from a call that was stopped or is still running; move "
                "it away, or give another --output"
            )
    if source != STANDARD:
        if not Path(source).exists():
            raise DataError("the file is missing, expected JSON Lines", path=source)
        if Path(output).exists() and Path(output).samefile(source):
            raise UsageError(f"--output: {output} is the --input file; give another name")


def rank_file(ranker: Ranker, source: str, output: str, top_k: int | None) -> tuple[int, int]:
    """Ranks all turns of `source` into `output`; either may be "-".

    Returns:
        The number of turns, and how many of them were bad.

    Raises:
        DataError: The input is damaged or has no turn. What was ranked before stays in a file
            with the suffix `.part`.
    """
    label = "standard input" if source == STANDARD else source
    turns = bad = 0
    with writing(output) as out, Progress("ranking", None, "turns") as progress:
        # A program that writes to standard input may wait for each answer.
        size = 1 if source == STANDARD else BATCH
        for batch in _batches(_read(ranker, source, label, progress.say), size):
            rankings = iter(ranker.rank_many([turn for _, turn in batch if turn], top_k))
            for answer, turn in batch:
                if turn:
                    answer["ranking"] = next(rankings)
                out.write(_json_line(answer))
                bad += turn is None
            out.flush()
            turns += len(batch)
            progress.advance(len(batch))
        if turns == 0:
            raise DataError("found no turn, expected one JSON object a line", path=label)
    return turns, bad


def _read(ranker: Ranker, source: str, label: str, say: Callable[[str], None]) -> Iterator[Answer]:
    """Reads the lines that are not blank, and reports what is wrong with them."""
    reported: set[str] = set()
    stream = sys.stdin.buffer if source == STANDARD else source
    for number, line in text_lines.json_records(text_lines.numbered_bytes(stream, label), label):
        record: dict[str, Any] = {}
        turn, error = None, {}
        try:
            record = _record(line)
            with collect_warnings() as texts:
                turn = ranker.turn(*_fields(record))
            for text in texts:
                if text not in reported:
                    reported.add(text)
                    say(f"warning: {label}:{number}: {text} (reported only once)")
        except DataError as problem:
            error = {"error": str(problem), "line": number}
            say(f"error: {label}:{number}: {problem}")
        extra = {name: value for name, value in record.items() if name not in (*FIELDS, *ANSWERS)}
        yield {**extra, **error}, turn


def _batches(answers: Iterator[Answer], size: int) -> Iterator[list[Answer]]:
    """Batches of lines; those before damage in the file are yielded before the error is raised."""
    batch: list[Answer] = []
    try:
        for answer in answers:
            batch.append(answer)
            if len(batch) == size:
                yield batch
                batch = []
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _record(line: bytes) -> dict[str, Any]:
    """The JSON object of a line."""
    record = text_lines.json_value(
        text_lines.decoded(line), parse_constant=_finite_number, parse_float=_finite_number
    )
    if not isinstance(record, dict):
        raise DataError(f"found {json_type_name(record)}, expected a JSON object")
    return record


def _finite_number(text: str) -> float:
    """A number; JSON has neither NaN nor infinity, so none may be copied to the output."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _fields(record: Mapping[str, Any]) -> Iterator[list[str]]:
    """Context, persona and candidates of a record; the ranker checks their values."""
    for name in FIELDS:
        if name not in record:
            hint = "" if name == "candidates" else "; write [] if there is none"
            raise DataError(f"no such field, expected a list of texts{hint}", field=name)
        yield record[name]


def _json_line(record: Mapping[str, Any]) -> bytes:
    # Half a surrogate pair has no UTF-8; its backslash form is the JSON escape for it.
    return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def writing(output: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that is complete or absent; a part of it is named `.part`."""
    if output == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if atomic.is_stream(output):
        with Path(output).open("ab") as stream:
            yield stream
        return
    part = Path(f"{os.path.realpath(output)}.part")
    handle = part.open("xb")
    try:
        with atomic.naming(part), handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        if part.exists() and part.stat().st_size:
            print(f"the turns ranked so far are in {part}", file=sys.stderr)
        else:
            part.unlink(missing_ok=True)
        raise
    atomic.put(part, output)
