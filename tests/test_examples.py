"""The files of `examples`."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from data_prep.jsonl import read_dialogues
from examples import personachat_speakers

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


def test_personachat_without_personas_has_a_speaker_for_each_set_of_profiles(tmp_path):
    def write(name, *dialogues):
        lines = [f"{n} {line}\n" for lines in dialogues for n, line in enumerate(lines, 1)]
        (tmp_path / name).write_text("".join(lines))

    one, two = "your persona: i ski .", "your persona: i cook ."
    partner = "partner's persona: i cook ."
    first = ["hi\tyo\t\tno|yo"]
    second = ["\thello\t\thello|no", "so ?\tok\t\tok|no"]
    write("train_self_original.txt", [one, *first], [two, *second])
    write("train_both_original.txt", [one, partner, *first])
    out = tmp_path / "out.jsonl"
    personachat_speakers.main([str(tmp_path), str(out)])
    _, dialogues = read_dialogues(out, "both", speakers=True)
    assert [dialogue.said for dialogue in dialogues] == [
        {"speaker 2": ("hi",), "speaker 1": ("yo",)},
        {"speaker 2": ("hello", "ok"), "speaker 3": ("so ?",)},
    ]
