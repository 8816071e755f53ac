"""Progress of long work: tqdm's bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import contextlib
import io
import sys

from tqdm import tqdm

LOG_EVERY_S = 30.0


class Progress:
    """Counts from `start` to `total` (None: unknown) units; use as a context manager.

    Bytes are the unit "B".
    """

    def __init__(self, label: str, total: int | None, unit: str = "items", start: int = 0):
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=label,
            total=total,
            unit=f" {unit}",
            unit_scale=unit == "B",
            initial=start,
            file=sys.stderr if self._terminal else io.StringIO(),
            ncols=None if self._terminal else 0,  # a log has the numbers alone
            mininterval=0.1 if self._terminal else LOG_EVERY_S,
            maxinterval=LOG_EVERY_S,
            miniters=1,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Adds `count` units; `note` follows the bar."""
        self._bar.set_postfix_str(note, refresh=False)
        if self._bar.update(count) and not self._terminal:
            self.say(str(self._bar))

    def say(self, line: str) -> None:
        """Prints a line without breaking the bar; the work goes on where nobody reads it."""
        with contextlib.suppress(BrokenPipeError):
            self._bar.write(line, file=sys.stderr)
            sys.stderr.flush()
