"""The notebook of `examples`: its code runs, and prints what it shows."""

import contextlib
import io
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "rank_replies.ipynb"


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows():
    names = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec("".join(cell["source"]), names)
            shown = [line for output in cell["outputs"] for line in output.get("text", [])]
            found = [line.split() for line in printed.getvalue().splitlines()]
            assert [line[1:] for line in found] == [line.split()[1:] for line in shown]
