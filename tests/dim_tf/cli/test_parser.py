"""What all commands share: options, streams, errors, signals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import data_prep.__main__ as data_prep
from dim_tf import evaluate, predict, train
from dim_tf.cli import parser
from dim_tf.errors import DataError, PoolError

ROOT = Path(__file__).parents[3]
RUN = ("--prepared", "P", "--run", "R")
FLAGS = [
    ((data_prep, "--source", "sample", "--vectrs", "x"), "--vectrs; did you mean --vectors?"),
    ((data_prep, "--source", "sample", "--tokeniser", "author"), "'author', .* mean authors?"),
    ((data_prep, "--source", "sample", "--seed", "9" * 5000), "--seed: found 9{40}, expected"),
    ((train, *RUN, "--presona", "self"), "--presona; did you mean --persona?"),
    ((train, *RUN, "--persona", "selv"), "--persona: found 'selv', .* did you mean self?"),
    ((train, *RUN, "--batch-size", "many"), "--batch-size: found many"),
    ((train, *RUN, "--set", "rnn_unit=3"), "'rnn_unit'; did you mean rnn_units?"),
    ((evaluate, *RUN, "--split", "tset"), "--split: found 'tset', .* did you mean test?"),
    ((evaluate, *RUN, "--out", "/"), "--out: / is not a file"),
    ((evaluate, *RUN, "--out", "/none/scores.txt"), "--out: .* folder /none"),
    ((predict, "--run", "R", "--candidate", "x"), "--candidate; did you mean --candidates?"),
    ((predict, "--run", "R", "--candidates", ""), "'': .*missing"),
    ((predict, "--run", "R", "--candidates", "my  \t file"), r"^my  \\t file: .*missing"),
    (
        (predict, "--run", "R", "--context", "hi", "-_-", "-h i", "-3", "--v-"),
        "unknown option --v-",
    ),
]


@pytest.mark.parametrize(("argv", "message"), FLAGS)
def test_a_bad_option_is_named_with_the_nearest_right_one(argv, message, refused):
    assert re.search(message.replace("?", r"\?"), refused(*argv))


def version(**streams) -> tuple[int, bytes]:
    """Status and standard error of `python -m dim_tf --version` with these streams."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "dim_tf", "--version"]
    streams = {"cwd": ROOT, "env": environment, "stderr": subprocess.PIPE, **streams}
    done = subprocess.run(command, check=False, **streams)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_does_not_get_out_is_one_line():
    with Path("/dev/full").open("wb") as full:
        assert version(stdout=full) == (2, b"error: No space left on device\n")


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    assert version(stdout=writer) == (1, b"")
    os.close(writer)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_dev_null(closed):
    for options, status in (("--version", 0), ("--vrsion", 2), ("predict --input - --run R", 2)):
        command = f"{sys.executable} -m dim_tf {options} {closed}"
        done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=False)
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False)


def test_what_a_terminal_cannot_show_is_escaped():
    code = r"from dim_tf.cli import parser; parser.run(lambda argv: print('\u2013 caf\udce9'), [])"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    shown = subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=ROOT)
    assert shown == rb"\u2013 caf\udce9" + b"\n"


TERMINATED = """
import os, signal, sys, time
from dim_tf.cli import parser
from dim_tf.io import atomic

def main(argv):
    with atomic.replacing(argv[0]) as temporary:
        temporary.touch()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

sys.exit(parser.run(main))
"""


def test_sigterm_lets_temporary_files_be_removed(tmp_path):
    command = [sys.executable, "-c", TERMINATED, str(tmp_path / "file")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_bug_shows_its_traceback_and_has_a_status_of_its_own(capsys):
    def mistaken(argv):
        raise ValueError("a mistake")

    assert parser.run(mistaken, []) == 70
    error = capsys.readouterr().err
    assert "Traceback" in error and "ValueError: a mistake" in error


EXHAUSTED = type("ResourceExhaustedError", (Exception,), {})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (EXHAUSTED("OOM\nmore"), "out of memory (OOM)"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "out of memory (RESOURCE_EXHAUSTED: 9 GB)"),
        (PoolError("Milvus: RESOURCE_EXHAUSTED"), "Milvus: RESOURCE_EXHAUSTED"),
        (EXHAUSTED("x/events; No space left on device"), "x/events; No space left on device\n"),
    ],
)
def test_no_room_in_memory_or_on_disk_is_one_line(error, said, capsys):
    def hungry(argv):
        raise error

    assert parser.run(hungry, []) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_warnings_are_printed_before_an_error_ends_the_command(capsys):
    with pytest.raises(DataError), parser.print_warnings():
        warnings.warn("why it may be", stacklevel=1)
        raise DataError("it is so")
    assert capsys.readouterr().err == "warning: why it may be\n"
