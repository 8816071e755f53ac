"""The files of `examples`."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from data_prep.jsonl import read_dialogues
from examples import personachat_speakers

NOTEBOOK = Path(__file__).parents[1] / "examples" / "rank_replies.ipynb"
NUMBER = re.compile(r"\d+\.\d{4}")


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows():
    names = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec("".join(cell["source"]), names)
            texts = [line for output in cell["outputs"] for line in output.get("text", [])]
            shown = [line.rstrip("\n") for line in texts]
            found = printed.getvalue().splitlines()
            assert [NUMBER.sub("", line) for line in found] == [NUMBER.sub("", x) for x in shown]
            numbers, expected = (map(float, NUMBER.findall(" ".join(x))) for x in (found, shown))
            assert list(numbers) == pytest.approx(list(expected), abs=2e-4)


def test_personachat_without_personas_has_a_speaker_for_each_set_of_profiles(tmp_path):
    def write(name, *dialogues):
        lines = [f"{n} {line}\n" for lines in dialogues for n, line in enumerate(lines, 1)]
        (tmp_path / name).write_text("".join(lines))

    one, two = "your persona: i ski .", "your persona: i cook ."
    partner = "partner's persona: i cook ."
    first = ["hi\tyo\t\tno|yo"]
    second = ["\thello\t\thello|no", "so ?\tok\t\tok|no"]
    same = ["your persona: i ski .", "partner's persona: i ski .", "a\tb\t\tb|no"]
    write("train_self_original.txt", [one, *first], [two, *second], [same[0], same[2]])
    write("train_both_original.txt", [one, partner, *first], same)
    out = tmp_path / "out.jsonl"
    personachat_speakers.main([str(tmp_path), str(out)])
    _, dialogues = read_dialogues(out, "both", speakers=True)
    assert [dialogue.said for dialogue in dialogues] == [
        {"speaker 2": ("hi",), "speaker 1": ("yo",)},
        {"speaker 2": ("hello", "ok"), "speaker 3": ("so ?",)},
    ]
    assert [dialogue.split for dialogue in dialogues] == ["valid", "test"]
