"""Words that the texts of this repository avoid; plainer ones say the same."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("artefacts", "benchmarks", "data_prep", "dim_tf", "docs", "examples", "scripts", "tests")
WORDS = "anew|beside|sooner|lest|hither|of now|of no meaning|who only wants"
AVOIDED = rf"(?<![a-z])({WORDS})(?![a-z])"


def test_the_texts_avoid_some_words():
    files = [*ROOT.glob("*"), *(path for room in ROOMS for path in (ROOT / room).rglob("*"))]
    for path in files:
        if path.suffix in (".py", ".md", ".sh") and path != Path(__file__):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                assert not re.search(AVOIDED, line, re.IGNORECASE), f"{path}:{number}: {line}"
