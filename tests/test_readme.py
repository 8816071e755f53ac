"""The README: its results are those of docs/results.json, its commands and its Python run."""

import io
import re
import shutil
from pathlib import Path

import pytest

from dim_tf import readme, report, shipped, tables
from scripts import pipeline
from tests import readme_commands

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / report.RESULTS_JSON
COMMANDS = readme_commands.in_order(readme_commands.commands(README.read_text(encoding="utf-8")))
TYPED = b'{"context": ["hi !"], "persona": [], "candidates": ["hello", "i ski"]}\n'


def test_results_in_the_readme_are_those_of_the_results_file():
    section = readme.section(README.read_text(encoding="utf-8"))
    if not RESULTS.exists():
        assert not section, "the README shows results, but there is no docs/results.json"
        return
    expected = tables.markdown(report.read_results(RESULTS)).strip("\n")
    again = "python -m dim_tf.report --out docs --readme README.md"
    assert section == expected, f"the README's results are not those of the file; run {again}"


def test_commands_are_found():
    """The test below would not miss those that are not."""
    assert "./run_train.sh" in COMMANDS and len(COMMANDS) > 40
    assert sum(map(readme_commands.is_elsewhere, COMMANDS)) < 10


def test_nothing_is_left_to_fill_in_and_models_that_are_named_are_there():
    text = README.read_text(encoding="utf-8")
    assert not re.search(r"@[A-Z]", text)
    assert set(re.findall(r"artefacts/([a-z][\w-]*)", text)) == set(shipped.names())


@pytest.mark.slow
def test_commands_and_python_run_on_a_small_scale(tmp_path, monkeypatch, capsys):
    shutil.copy(README, tmp_path)
    shutil.copytree(ROOT / "artefacts", tmp_path / "artefacts")
    readme_commands.write_material(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "ROOT", tmp_path)
    for command in COMMANDS:
        if not readme_commands.is_elsewhere(command):
            # `predict` reads turns there, and `chat` what is typed.
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TYPED)))
            assert readme_commands.run(command) == 0, f"{command}: {capsys.readouterr().err}"
    names = {}
    exec("import tensorflow as tf", names)  # as the README's text says
    for block in readme_commands.python_blocks(README.read_text(encoding="utf-8")):
        exec(block, names)
