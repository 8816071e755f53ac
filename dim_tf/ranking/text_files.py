"""Files of texts, one a line, and rankings as tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dim_tf.errors import DataError, shown
from dim_tf.io import text_lines


def read_texts(path: str, what: str) -> list[str]:
    """The texts of a file (- is standard input), one a line; blank lines are skipped.

    Args:
        path: str. The file.
        what: str. What errors call a text, such as "reply".

    Raises:
        DataError: The file is missing, empty, not UTF-8, or JSON by its name.
    """
    if text_lines.JSON_LINES.fullmatch(path):
        raise DataError(f"found a file of JSON, expected text, a {what} a line", path=path)
    source, label = (sys.stdin.buffer, "standard input") if path == "-" else (path, path)
    texts = [text for _, text in text_lines.numbered_lines(source, label) if text.strip()]
    if not texts:
        raise DataError(f"found no {what}, expected one a line", path=label)
    return texts


def table(ranking: Sequence[Mapping[str, Any]]) -> str:
    """A ranking as a table.

    >>> row = {"rank": 1, "probability": 0.75, "score": 2.5, "candidate": "i hike."}
    >>> print(table([row]))
    rank  probability     score  candidate
       1       0.7500    2.5000  i hike.
    >>> print(table([{**row, "fits": False}]))
    rank  probability     score  fits  candidate
       1       0.7500    2.5000    no  i hike.
    """
    calibrated = any("fits" in row for row in ranking)
    lines = ["rank  probability     score  " + "fits  " * calibrated + "candidate"]
    for row in ranking:
        fits = f"{'yes' if row['fits'] else 'no':>4}  " if calibrated else ""
        numbers = f"{row['rank']:4}  {row['probability']:11.4f}  {row['score']:8.4f}"
        lines.append(f"{numbers}  {fits}{shown(row['candidate'])}")
    return "\n".join(lines)
