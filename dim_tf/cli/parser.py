"""What all command lines share: strict flags, one-line errors, exit status 2, `--debug`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from dim_tf.errors import DimError, UsageError, did_you_mean, is_full_disk


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of an option, but where there is none or its help does so itself."""

    def _get_help_string(self, action):
        none = action.default is None or action.default is False or action.default == []
        if none or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` and names the nearest right flag or value.

    >>> parser = Parser(prog="train")
    >>> _ = parser.add_argument("--persona", choices=["self", "their"])
    >>> parser.parse_args(["--persnoa", "self"])
    Traceback (most recent call last):
        ...
    dim_tf.errors.UsageError: unknown option --persnoa; did you mean --persona?
    >>> parser.parse_args(["--persona", "selv"])
    Traceback (most recent call last):
        ...
    dim_tf.errors.UsageError: --persona: found 'selv', expected self or their; did you mean self?
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)
        self.add_argument("--debug", action="store_true", help="show a traceback on errors")

    def parse_args(self, args=None, namespace=None):
        """Parses all of `args`; raises `UsageError` for the first that is unknown."""
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].split("=")[0]
            hint = did_you_mean(name, self._option_string_actions)
            what = "option" if name.startswith("-") else "argument"
            raise UsageError(f"unknown {what} {name}{hint}")
        return namespace

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            expected = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
            name = "/".join(action.option_strings) or action.dest
            hint = did_you_mean(str(value), choices)
            raise UsageError(f"{name}: found {value!r}, expected {expected}{hint}")

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError` in the place of argparse's usage text."""
        raise UsageError(message)


def positive(text: str) -> int:
    """A whole number of at least 1, as an argument type."""
    return whole(text, 1, 10**12)


def whole(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included; raises argparse's error for others."""
    readable = text.isascii() and text.isdigit() and len(text) <= len(str(high))
    if not readable or not low <= int(text) <= high:
        expected = f"expected a whole number of at least {low} and at most {high:,}"
        raise argparse.ArgumentTypeError(f"found {text[:40]}, {expected}")
    return int(text)


@contextlib.contextmanager
def warned() -> Iterator[list[str]]:
    """Gives a list that holds, afterwards, the texts of what was warned of.

    >>> with warned() as texts:
    ...     warnings.warn("the second one is not read")
    >>> texts
    ['the second one is not read']
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield texts
    texts.extend(str(warning.message) for warning in caught)


@contextlib.contextmanager
def telling_warnings(told: set[str] | None = None) -> Iterator[None]:
    """Says what was warned of on standard error, a line each; but not what is in `told` already."""
    told = set() if told is None else told
    with warned() as texts:
        yield
    for text in texts:
        if text not in told:
            print(f"warning: {text}", file=sys.stderr)
        told.add(text)


def run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status.

    0: done; 1: done, but some of the input was bad and is reported, or nobody reads the output any
    more (`| head`); 2: not done, and one line on standard error says why; 130: stopped by Ctrl-C;
    143: by SIGTERM, after cleaning up.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    # TensorFlow's notices would stand between our lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if hasattr(sys.stdout, "reconfigure"):
        # Names of files, and whatever the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _unwinding_on_sigterm():
            status = main(argv) or 0
        sys.stdout.flush()
        return status
    except Exception as error:
        known = isinstance(error, DimError | OSError) or is_full_disk(error)
        if not (known or _is_out_of_memory(error)):
            raise
        if "--debug" in argv:
            traceback.print_exc()
        _drop_output_that_does_not_get_out()
        if isinstance(error, BrokenPipeError):
            # The reader of our output has gone (`| head`): nobody is left to tell.
            return 1
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if "--debug" in argv:
            traceback.print_exc()
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130


def _drop_output_that_does_not_get_out() -> None:
    """Python would try again at its end, and complain in words of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Has SIGTERM end the process as an error would: temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, TensorFlow or JAX has found no room; the last two may not be installed."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        places = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*places, error.strerror])
    if _is_out_of_memory(error) and not is_full_disk(error):
        reason = f" ({str(error).strip().splitlines()[0][:200]})" if str(error).strip() else ""
        return f"out of memory{reason}; ask for less, such as (where it is) a smaller --batch-size"
    return " ".join(str(error).split())
