"""The commands that run_train.sh and run_test.sh run in their environment.

python scripts/pipeline.py train [OPTION ...]
python scripts/pipeline.py test [OPTION ...]
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import data_prep.__main__
import dim_tf.train
from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.errors import UsageError, did_you_mean
from dim_tf.training.start import check_request

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "sample"
# A model that learns the built-in sample in minutes on two cores; the lengths cut no text.
SAMPLE_SETTINGS = (
    *("--rnn-units", "32", "--dropout", "0", "--epochs", "5", "--eval-every", "76"),
    *("--set", "max_utterances=5", "--set", "max_utterance_len=13"),
    *("--set", "max_response_len=11", "--set", "max_profile_len=9"),
)


@dataclass(frozen=True)
class Step:
    """A command, `python -m MODULE OPTIONS`, and a hint to print before it."""

    module: str
    options: list[str]
    hint: str = ""


def main(argv: Sequence[str]) -> int:
    """Runs the steps of `train` or `test` until one fails; returns the exit status."""
    what, *options = argv
    for step in {"train": train, "test": test}[what](options):
        status = _run(step)
        if status:
            return status
    return 0


def train(options: Sequence[str]) -> list[Step]:
    """The steps that prepare and train, and test if the source is the sample.

    Raises:
        UsageError: No command knows an option, a value is wrong, or the run exists already.
    """
    parser = Parser()
    parser.add_argument("--source", default=SAMPLE)
    parser.add_argument("--out", "--prepared", dest="prepared")
    parser.add_argument("--run")
    parser.add_argument("--resume", action="store_true")
    given, rest = parser.parse_known_args(options)
    name = name_of(given.source)
    prepared = given.prepared or _default("prepared", name)
    run = given.run or _default("runs", name)
    is_sample = given.source == SAMPLE

    debug = ["--debug"] * given.debug
    to_prepare, to_train = route([*debug, *rest])
    # A run that is resumed has its data; options of their preparation are checked if repeated.
    prepares = not given.resume or any(word not in to_train for word in to_prepare)
    # Of an option that is given twice the last one counts, so the user's wins.
    cache = ["--cache", _shown(ROOT / "downloads")] * (given.source == "download")
    to_prepare = ["--source", given.source, "--out", prepared, *cache, *to_prepare]
    settings = SAMPLE_SETTINGS if is_sample and not given.resume else ()
    to_train = ["--prepared", prepared, "--run", run, *settings, *to_train]
    to_train += ["--resume"] * given.resume
    # Preparation can take minutes: refuse before it what training would refuse after it.
    to_check = dim_tf.train.build_parser().parse_args(to_train)
    prepare = Step("data_prep", to_prepare)
    if data_prep.__main__.build_parser().parse_args(to_prepare).check:
        return [prepare]
    check_request(to_check)

    board = [_shown(Path(sys.executable).with_name("tensorboard")), "--logdir", run]
    steps = [prepare] * prepares
    steps += [Step("dim_tf.train", to_train, f"to watch it: {shlex.join(board)}")]
    if is_sample:
        steps += test(["--run", run, "--prepared", prepared, *debug])
    return steps


def test(options: Sequence[str]) -> list[Step]:
    """The step that ranks the test split."""
    parser = Parser()
    parser.add_argument("--run", default=_default("runs", SAMPLE))
    parser.add_argument("--prepared")
    given, rest = parser.parse_known_args(options)
    prepared = given.prepared or _default("prepared", Path(given.run).name)
    to_test = ["--run", given.run, "--prepared", prepared, *["--debug"] * given.debug, *rest]
    return [Step("dim_tf.evaluate", to_test)]


def route(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of `data_prep` and those of `dim_tf.train`; common options go to both.

    Raises:
        UsageError: An option that neither knows.
    """
    preparing, training = data_prep.__main__.build_parser(), dim_tf.train.build_parser()
    to_prepare: list[str] = []
    to_train: list[str] = []
    waiting = list(options)
    while waiting:
        words = [waiting.pop(0)]
        flag, equals, _ = words[0].partition("=")
        action = preparing.options.get(flag) or training.options.get(flag)
        if action is None:
            hint = did_you_mean(flag, [*preparing.options, *training.options])
            raise UsageError(f"unknown option {flag}{hint}")
        if action.nargs != 0 and not equals:
            words += waiting[:1]
            del waiting[:1]
        while action.nargs == "+" and waiting and not waiting[0].startswith("-"):
            words.append(waiting.pop(0))
        if flag in preparing.options:
            to_prepare += words
        if flag in training.options:
            to_train += words
    return to_prepare, to_train


def name_of(source: str) -> str:
    """The name of the folders that are made from a source.

    >>> name_of("sample"), name_of("data/my_talk.jsonl.xz"), name_of("download")
    ('sample', 'my_talk', 'personachat')
    """
    if source == "download":
        return "personachat"
    name = Path(source).resolve().name
    return name.split(".")[0] or name


def _run(step: Step) -> int:
    """Prints and runs a command; returns its exit status."""
    if step.hint:
        print(step.hint)
    command = ["-m", step.module, *step.options]
    print(f"$ {shlex.join([_shown(Path(sys.executable)), *command])}", flush=True)
    # The command gets the signal too, and decides when to stop: training saves its state first.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    # Import from this clone, not from the current folder.
    safe = {**os.environ, "PYTHONSAFEPATH": "1"}
    with subprocess.Popen([sys.executable, *command], env=safe) as process:
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        status = process.wait()
    return status if status >= 0 else 128 - status


def _default(kind: str, name: str) -> str:
    return _shown(ROOT / kind / name)


def _shown(path: Path) -> str:
    """The path from the current folder, if it is inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(run_command(main))
