"""The section of a README that a command writes, between two comment lines.

A README that shows results has the lines `<!-- results:begin -->` and `<!-- results:end -->`; what
stands between them is the content of a results file and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from dim_tf.errors import UsageError
from dim_tf.io import atomic

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def section(text: str) -> str | None:
    r"""What stands between the two lines, without blank lines around it; None without the lines.

    >>> section(f"# A\n{BEGIN}\n\n| 1 |\n\n{END}\n"), section("# A\n")
    ('| 1 |', None)
    """
    places = _places(text.split("\n"))
    if places is None:
        return None
    return "\n".join(text.split("\n")[places[0] + 1 : places[1]]).strip("\n")


def write_section(path: str | os.PathLike, body: str) -> None:
    """Puts `body` between the two lines of a README and leaves the rest of it as it is.

    Raises:
        UsageError: The file, or one of the lines, is missing.
    """
    first, last = check(path)
    lines = atomic.read_lines(path)
    new = [*lines[: first + 1], "", body.strip("\n"), "", *lines[last:]]
    atomic.write_lines(path, new)


def check(path: str | os.PathLike) -> tuple[int, int]:
    """Where the two lines of a README stand; raises as `write_section` does."""
    if not Path(path).is_file():
        raise UsageError(f"--readme: there is no file {path}")
    places = _places(atomic.read_lines(path))
    if places is None:
        raise UsageError(
            f"{path}: found no section for results, expected the lines {BEGIN} and {END}, once "
            "each and in this order; add them where the results are to stand"
        )
    return places


def _places(lines: list[str]) -> tuple[int, int] | None:
    """Where the two lines stand, if they do so once each and in order."""
    if lines.count(BEGIN) != 1 or lines.count(END) != 1:
        return None
    first, last = lines.index(BEGIN), lines.index(END)
    return (first, last) if first < last else None
