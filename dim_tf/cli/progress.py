"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

LOG_EVERY_S = 30.0


class Progress:
    """Counts up to `total`; use as a context manager, call `advance`.

    Args:
        label: What is going on.
        total: How many units there are, or None if nobody knows.
        unit: What is counted ("turns", "B").
        start: How many units were done before (a resumed run).
    """

    def __init__(self, label: str, total: int | None, unit: str = "items", start: int = 0):
        self._label, self._total, self._unit = label, total, unit
        self._done = self._start = start
        self._began = self._logged = time.monotonic()
        self._note = ""
        self._bar = None
        if sys.stderr.isatty():
            scale = unit == "B"
            self._bar = tqdm(
                desc=label, total=total, unit=f" {unit}", unit_scale=scale, initial=start
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Says that `count` more units are done; `note` stands beside the bar."""
        self._done += count
        self._note = note
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            self.say(self._line())

    def say(self, line: str) -> None:
        """Prints a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def _line(self) -> str:
        rate = (self._done - self._start) / max(time.monotonic() - self._began, 1e-9)
        line = f"{self._label}: {self._done:,} {self._unit}, {rate:,.1f}/s"
        if self._total:
            left = (self._total - self._done) / rate if rate else float("inf")
            line = f"{self._label}: {self._done:,} of {self._total:,} {self._unit}, {rate:,.1f}/s"
            line += f", {left / 60:.1f} min left"
        return f"{line}  {self._note}".rstrip()
