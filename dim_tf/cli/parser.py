"""The parser and the error handling of all command lines: one-line errors and exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

from dim_tf.errors import DimError, UsageError, did_you_mean, is_full_disk, one_of, shown


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` and names the nearest option or value.

    Options of several values may be given more than once: all values count, in their order.

    Attributes:
        options: dict. Option -> its action.
    """

    def __init__(self, **kwargs):
        self.options: dict[str, argparse.Action] = {}
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)
        self.add_argument("--debug", action="store_true", help="show a traceback on errors")

    def add_argument(self, *names: str, group: Any = None, **kwargs) -> argparse.Action:
        """As argparse's; the help of an option ends with its default."""
        if choices := kwargs.pop("choices", None):
            kwargs["type"] = _choice(choices)
            kwargs.setdefault("metavar", f"{{{','.join(map(str, choices))}}}")
        if kwargs.get("type") in (positive, seed):
            kwargs.setdefault("metavar", "N")
        if names[0].startswith("-") and kwargs.get("nargs") in ("+", "*"):
            kwargs.setdefault("action", _Extend)
        has_default = kwargs.get("default") not in (None, False, [], argparse.SUPPRESS)
        if has_default and "default" not in kwargs.get("help", ""):
            kwargs["help"] = f"{kwargs.get('help', '')} (default: %(default)s)".lstrip()
        add = group.add_argument if group else super().add_argument
        action = add(*names, **kwargs)
        self.options.update(dict.fromkeys(action.option_strings, action))
        return action

    def group(self, title: str) -> SimpleNamespace:
        """A group of options in the help: `parser.group("texts").add_argument("--persona")`."""
        add = functools.partial(self.add_argument, group=self.add_argument_group(title))
        return SimpleNamespace(add_argument=add)

    def parse_args(self, args=None, namespace=None):
        """Parses `args`; raises `UsageError` for the first that is unknown."""
        args = list(sys.argv[1:] if args is None else args)
        # First: a misspelt option explains a required one that is missing.
        for name in (word.split("=")[0] for word in itertools.takewhile("--".__ne__, args)):
            if name.startswith("--") and " " not in name and name not in self.options:
                hint = did_you_mean(name, self.options) or "; give a text as --OPTION=TEXT"
                raise UsageError(f"unknown option {name}{hint}")
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            raise UsageError(f"unknown argument {unknown[0]}")
        return namespace

    def _parse_optional(self, arg_string):
        # All options but -h start with two dashes: -_- is a text.
        is_text = re.match("-(?!-|h$)", arg_string)
        return None if is_text else super()._parse_optional(arg_string)

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`."""
        raise UsageError(message.removeprefix("argument "))


class _Extend(argparse.Action):
    """Adds the values to those given before, and replaces the default."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = getattr(namespace, self.dest, None)
        given = [] if given is None or given is self.default else given
        setattr(namespace, self.dest, [*given, *values])


def _choice(choices: Iterable[Any]) -> Callable[[str], Any]:
    """An argument type: one of these values."""
    values = {str(choice): choice for choice in choices}

    def chosen(text: str) -> Any:
        if text not in values:
            expected = f"expected {one_of(values)}{did_you_mean(text, values)}"
            raise argparse.ArgumentTypeError(f"found {text!r}, {expected}")
        return values[text]

    return chosen


def sentence(text: str) -> str:
    """An argument type: a text that is not the name of a file."""
    if os.path.isfile(text):  # noqa: PTH113 -- False for what is too long to be a name
        raise argparse.ArgumentTypeError(f"found the file {text}, expected sentences")
    return text


def positive(text: str) -> int:
    """An argument type: a whole number of at least 1."""
    return whole(text, 1, 10**12)


def seed(text: str) -> int:
    """An argument type: the seed of random numbers."""
    return whole(text, 0, 2**31 - 1)


def whole(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included; raises argparse's error for others."""
    readable = text.isascii() and text.isdigit() and len(text) <= len(str(high))
    if not readable or not low <= int(text) <= high:
        expected = f"expected a whole number of at least {low} and at most {high:,}"
        raise argparse.ArgumentTypeError(f"found {text[:40]}, {expected}")
    return int(text)


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Gives a list that holds the texts of the warnings afterwards, after an error too."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield texts
        finally:
            texts.extend(str(warning.message) for warning in caught)


@contextlib.contextmanager
def print_warnings(printed: set[str] | None = None) -> Iterator[None]:
    """Prints new warnings on standard error, one a line, and adds them to `printed`."""
    printed = set() if printed is None else printed
    texts: list[str] = []
    try:
        with collect_warnings() as texts:
            yield
    finally:
        for text in texts:
            if text not in printed:
                print(f"warning: {shown(text)}", file=sys.stderr)
            printed.add(text)


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    0: done. 1: done, but some input was bad and is reported, or the reader of the output has gone
    (`| head`). 2: not done; one line on standard error says why. 70: a bug; its traceback is on
    standard error. 130: stopped by Ctrl-C. SIGTERM ends the process with 143.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow prints between our lines
    _open_closed_streams()
    if hasattr(sys.stdout, "reconfigure"):
        # File names may contain what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _exit_on_sigterm():
            status = main(argv) or 0
        sys.stdout.flush()
        return status
    except (Exception, KeyboardInterrupt) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        known = isinstance(error, DimError | OSError) or is_full_disk(error)
        bug = not (stopped or known or _is_out_of_memory(error))
        if bug or "--debug" in argv:
            traceback.print_exc()
        if bug:
            return 70  # EX_SOFTWARE
        if stopped:
            print("stopped by Ctrl-C", file=sys.stderr)
            return 130
        _silence_stdout()
        if isinstance(error, BrokenPipeError):
            return 1
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


def _open_closed_streams() -> None:
    """Standard streams that the caller has closed read and write /dev/null."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It takes the lowest free descriptor: the closed one, so that no later file does.
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115


def _silence_stdout() -> None:
    """Without this Python retries a failed write at exit, and prints an error of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is Python's, TensorFlow's or JAX's for a lack of memory."""
    if isinstance(error, DimError):  # of a server, perhaps
        return False
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        files = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return shown(": ".join([*files, error.strerror]))
    if _is_out_of_memory(error) and not is_full_disk(error):
        reason = f" ({str(error).strip().splitlines()[0][:200]})" if str(error).strip() else ""
        return f"out of memory{reason}; try a smaller --batch-size, if the command has one"
    return shown(" ".join(map(str.strip, str(error).splitlines())))
