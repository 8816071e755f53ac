r"""Ranks replies to a conversation with a trained run: `python -m dim_tf.predict --run RUN ...`.

One turn on the command line:

    python -m dim_tf.predict --run RUN --context "hi, what do you like?" \
        --persona "i love dogs." "i hike a lot." --candidates replies.txt

or many as JSON Lines, one turn a line, `{"context": [...], "persona": [...], "candidates": [...]}`:

    python -m dim_tf.predict --run RUN --input turns.jsonl --output rankings.jsonl

The last context utterance is the partner's; the speakers alternate backwards from it. Each turn
becomes one line `{"ranking": [...]}`, in the same order, with the turn's further fields (such as an
id; not `ranking`, `error` and `line`, which are the answer's own). A line that cannot be ranked
becomes `{"error": "...", "line": N}`, is reported on standard error, and makes the exit status 1.

Turns of a file are ranked many at a time. `--input -` answers each line before it reads the next.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dim_tf.cli.parser import Parser, collect_warnings, positive, print_warnings
from dim_tf.cli.parser import run as run_command
from dim_tf.cli.progress import Progress
from dim_tf.config import PRECISIONS
from dim_tf.data.text import json_type_name
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic, text_lines
from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.text_files import read_texts, table
from dim_tf.ranking.turn import FIELDS, Turn

STANDARD = "-"
# The fields of an answer; what a turn calls so is not handed on.
ANSWERS = ("ranking", "error", "line")
# Lines of a file that are read before they are ranked.
AT_ONCE = 128


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    if arguments.input is None:
        return _rank_one(arguments)
    return _rank_file(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="the run folder, or a shipped model's name")
    parser.add_argument("--precision", choices=PRECISIONS, help="if another than the run's own")
    parser.add_argument("--top-k", type=positive, help="only the best so many")
    one = parser.group("one turn")
    one.add_argument("--context", nargs="*", metavar="TEXT", help="utterances, oldest first")
    one.add_argument("--persona", nargs="*", metavar="TEXT", help="profile sentences")
    one.add_argument("--candidates", metavar="FILE", help="one reply a line")
    one.add_argument("--json", action="store_true", help="print JSON, not a table")
    many = parser.group("JSON Lines; - is standard input or output")
    many.add_argument("--input", metavar="FILE", help="turns; .gz and .xz are read too")
    many.add_argument("--output", metavar="FILE", help="rankings (default: -)")
    return parser


def _rank_one(arguments: argparse.Namespace) -> None:
    if arguments.candidates is None:
        raise UsageError("give --candidates FILE with one reply a line, or --input FILE.jsonl")
    if arguments.output is not None:
        raise UsageError("--output belongs to --input; redirect standard output with > FILE")
    candidates = read_texts(arguments.candidates, "candidate")
    with print_warnings():
        ranker = Ranker.load(arguments.run, arguments.precision)
        ranking = ranker.rank(
            arguments.context or [], arguments.persona or [], candidates, arguments.top_k
        )
    text = json.dumps(ranking, ensure_ascii=False, indent=2) if arguments.json else table(ranking)
    with _writing(STANDARD) as out:
        out.write((text + "\n").encode("utf-8"))


def _rank_file(arguments: argparse.Namespace) -> int:
    for name in (*FIELDS, "json"):
        if getattr(arguments, name):
            raise UsageError(f"--{name} and --input exclude each other: the file holds the turns")
    output = arguments.output or STANDARD
    if output != STANDARD:
        atomic.check_output(output, "--output")
        _check_no_part(output)
    if arguments.input != STANDARD:
        if not Path(arguments.input).exists():
            raise DataError("the file is missing, expected JSON Lines", path=arguments.input)
        if Path(output).exists() and Path(output).samefile(arguments.input):
            raise UsageError(f"--output: {output} is the --input file; give another name")
    with print_warnings():
        ranker = Ranker.load(arguments.run, arguments.precision)
    with _writing(output) as out:
        turns, bad = _rank_lines(ranker, arguments.input, out, arguments.top_k)
    print(f"{turns - bad:,} of {turns:,} turns ranked", file=sys.stderr)
    return 1 if bad else 0


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line of the input.

    Args:
        number: From 1.
        others: The fields that are handed on.
        turn: What it asks for; None if it is bad.
        error: What is wrong with it.
    """

    number: int
    others: Mapping[str, Any]
    turn: Turn | None
    error: str = ""


def _rank_lines(ranker: Ranker, source: str, out: BinaryIO, top_k: int | None) -> tuple[int, int]:
    """Ranks all turns; returns how many there were, and how many of them were bad."""
    label = "standard input" if source == STANDARD else source
    turns = bad = 0
    with Progress("ranking", None, "turns") as progress:
        found = _lines(ranker, source, label, progress.say)
        # Who writes to standard input may wait for an answer before they go on.
        for batch in _batches(found, 1 if source == STANDARD else AT_ONCE):
            for record in _answers(ranker, batch, top_k):
                out.write(_json_line(record))
            out.flush()
            turns += len(batch)
            bad += sum(line.turn is None for line in batch)
            progress.advance(len(batch))
    if turns == 0:
        raise DataError("found no turn, expected one JSON object a line", path=label)
    return turns, bad


def _lines(ranker: Ranker, source: str, label: str, say: Callable[[str], None]) -> Iterator[_Line]:
    """Reads the lines that are not blank, and says what is wrong with them."""
    said: set[str] = set()
    stream = sys.stdin.buffer if source == STANDARD else source
    for number, line in text_lines.numbered_bytes(stream, label):
        if not line.strip():
            continue
        record: dict[str, Any] = {}
        turn, problem = None, ""
        try:
            record = _record(line)
            with collect_warnings() as texts:
                turn = ranker.turn(*_fields(record))
            for text in texts:
                if text not in said:
                    said.add(text)
                    say(f"warning: {label}:{number}: {text} (said only once)")
        except DataError as error:
            problem = str(error)
            say(f"error: {label}:{number}: {problem}")
        others = {name: value for name, value in record.items() if name not in (*FIELDS, *ANSWERS)}
        yield _Line(number, others, turn, problem)


def _batches(found: Iterable[_Line], size: int) -> Iterator[list[_Line]]:
    """So many at a time; what comes before damage in the file too."""
    batch: list[_Line] = []
    try:
        for line in found:
            batch.append(line)
            if len(batch) == size:
                yield batch
                batch = []
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _answers(ranker: Ranker, batch: Sequence[_Line], top_k: int | None) -> Iterator[dict[str, Any]]:
    """What each line becomes."""
    rankings = iter(ranker.rank_many([line.turn for line in batch if line.turn is not None], top_k))
    for line in batch:
        if line.turn is None:
            yield {**line.others, "error": line.error, "line": line.number}
        else:
            yield {**line.others, "ranking": next(rankings)}


def _record(line: bytes) -> dict[str, Any]:
    """The JSON object of a line."""
    record = text_lines.json_value(
        text_lines.decoded(line), parse_constant=_finite_number, parse_float=_finite_number
    )
    if not isinstance(record, dict):
        raise DataError(f"found {json_type_name(record)}, expected a JSON object")
    return record


def _finite_number(text: str) -> float:
    """A number; JSON has no NaN and no infinity, so none may come out again either."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _fields(record: Mapping[str, Any]) -> Iterator[list[str]]:
    """Context, persona and candidates of a record; the ranker looks at what they hold."""
    for name in FIELDS:
        if name not in record:
            hint = "" if name == "candidates" else "; write [] if there is none"
            raise DataError(f"no such field, expected a list of texts{hint}", field=name)
        yield record[name]


def _json_line(record: Mapping[str, Any]) -> bytes:
    # Half a surrogate pair has no UTF-8; its backslash form is the JSON escape for it.
    return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


@contextmanager
def _writing(output: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that is whole or not there; a part of it has another name."""
    if output == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = _part_of(output)
    try:
        handle = part.open("xb")
    except FileExistsError:
        _check_no_part(output)
        raise
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        if part.exists() and part.stat().st_size:
            print(f"what was ranked before that is in {part}", file=sys.stderr)
        else:
            part.unlink(missing_ok=True)
        raise
    part.replace(output)


def _part_of(output: str) -> Path:
    return Path(f"{output}.part")


def _check_no_part(output: str) -> None:
    """What an earlier call ranked before it was stopped is not written over."""
    part = _part_of(output)
    if part.exists():
        raise UsageError(
            f"--output: {part} exists: a call that was stopped left there what it had ranked, or "
            "another is at work; move it away, or give another --output"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
