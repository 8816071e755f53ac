"""The README and the pages of `docs`: results, links, commands and Python."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest

from dim_tf.cli import dispatch
from dim_tf.paper import comparison, render
from dim_tf.paper.tested_runs import open_runs
from dim_tf.runs import pretrained
from dim_tf.runs.record import Record
from scripts import pipeline
from tests import page_commands

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
RESULTS = DOCS / render.RESULTS_JSON
# The pages written by hand, each after those that make what its commands read.
NAMES = (
    *(
        "training",
        "experiments",
        "systems",
        "reproduce",
        "your_data",
        "ranking",
        "retrieval",
        "service",
        "calibration",
        "mistakes",
    ),
    *("export", "folders", "fine_tuning", "speed", "model", "faithfulness", "glossary", "README"),
)
PAGES = [README, *(DOCS / f"{name}.md" for name in NAMES), ROOT / "CONTRIBUTING.md"]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
COMMANDS = list(dict.fromkeys(page_commands.commands(TEXT)))
TYPED = b'{"context": ["hi !"], "persona": [], "candidates": ["hello", "i ski"]}\n'


def test_every_page_is_tested_and_in_the_index():
    pages = {page.stem for page in DOCS.glob("*.md")}
    assert pages == {*NAMES, RESULTS.stem}
    index = set(page_commands.links((DOCS / "README.md").read_text(encoding="utf-8")))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"} <= index


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_table_of_the_readme_is_that_of_the_results():
    section = README.read_text(encoding="utf-8").split("## Results")[1].split("\n## ")[0]
    lines = [line for line in section.replace("\\_", "_").splitlines() if line.startswith("|")]
    assert sorted(lines[2:]) == sorted(readme_rows())


def readme_rows():
    """The systems that were trained: hits@1 without persona, with self and with their, original."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    papers = {}
    for table in results["tables"][:2]:  # without persona, with persona
        for row in table["rows"]:
            for column, cell in zip(table["columns"], row["cells"], strict=True):
                papers[row["name"], column] = cell["paper"]
    originals = results["tables"][-1]
    columns = {"none": "no persona", "self, original": "self, original"}
    columns["their, original"] = "their, original"
    for row in originals["rows"]:
        cells = dict(zip(originals["columns"], row["cells"], strict=True))
        ours = {name: results["cells"].get(cells[name]["ours"]) for name in columns}
        if any(ours.values()):
            shown = [
                readme_cell(ours[name], papers.get((row["name"], column)))
                for name, column in columns.items()
            ]
            yield f"| {row['name']} | {' | '.join(shown)} |"


def readme_cell(ours, paper):
    found = f"{ours['hits@1']['mean']:.1f}" if ours else "–"
    return f"{found} ({paper['hits@1']})" if ours and paper else found


def test_the_page_of_results_is_that_of_its_files():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = (DOCS / render.RESULTS_MD).read_text(encoding="utf-8")
    assert (DOCS / "runs/remarks.txt").read_text(encoding="utf-8") in page
    assert render.markdown(results) in page


def test_results_are_those_of_the_records():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert comparison.compare(open_runs([ROOT / "docs/runs"])) == results


COMPARED = {
    "DIM": "dim_self",
    "IMN": "imn",
    "IMN\\_utr": "imn_utr",
    "IMN\\_ctx": "imn_ctx",
    "DIM without context": "dim_no_context",
}


def test_figures_of_the_comparison_are_those_of_its_records():
    section = (DOCS / "experiments.md").read_text(encoding="utf-8").split("## The comparison")[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    [_, _, *names], _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    ]
    assert "DIM" in names
    for column, name in enumerate(names, start=2):
        record = Record.open(ROOT / "docs/runs" / COMPARED[name])
        measured = {
            f"valid, after {row['update']:,} updates": row
            for row in record.metrics()
            if row["kind"] == "valid"
        }
        for table, row in record.results().items():
            revised = ", revised personas" if table.endswith("revised") else ""
            measured[f"test{revised}"] = row
        for row in rows:
            if row[column] != "–":
                found = measured[row[0]]
                expected = [f"{found['turns']:,}", f"{found['hits@1']:.3f} / {found['MRR']:.3f}"]
                assert [row[1], row[column]] == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in page_commands.links(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page}: {link}"
        if anchor and target.suffix == ".md":  # those of sources are lines
            assert anchor in page_commands.anchors(target.read_text(encoding="utf-8")), link


def test_commands_are_found():
    """The test below would not miss those that are not."""
    assert "./run_train.sh" in COMMANDS and len(COMMANDS) > 40
    assert sum(map(page_commands.is_elsewhere, COMMANDS)) < 20


def test_nothing_is_left_to_fill_in_and_models_that_are_named_are_there():
    assert not re.search(r"@[A-Z]", TEXT)
    assert set(re.findall(r"artefacts/([a-z][\w-]*)", TEXT)) == set(pretrained.names())


def test_the_list_of_commands_is_the_one_that_help_prints():
    shown = "\n".join(f"    {line}".rstrip() for line in dispatch.usage().splitlines())
    assert shown in TEXT


def test_the_first_example_prints_what_the_readme_says():
    section = README.read_text(encoding="utf-8").split("## Rank replies")[1]
    [code, *_] = page_commands.python_blocks(section)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    shown = re.findall(r"^    (\d\.\d{4})  (.*)$", section, re.MULTILINE)
    found = [line.split("  ", 1) for line in printed.getvalue().splitlines()]
    assert [reply for _, reply in found] == [reply for _, reply in shown]
    expected = [float(probability) for probability, _ in shown]
    assert [float(probability) for probability, _ in found] == pytest.approx(expected, abs=2e-4)


@pytest.mark.slow
def test_commands_and_python_run_on_a_small_scale(tmp_path, monkeypatch, capsys):
    for name in ("artefacts", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    page_commands.write_material(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "ROOT", tmp_path)
    for command in COMMANDS:
        if not page_commands.is_elsewhere(command):
            # `predict` reads turns there, and `chat` what is typed.
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(TYPED))))
            assert page_commands.run(command) == 0, f"{command}: {capsys.readouterr().err}"
    names = {}
    for block in page_commands.python_blocks(TEXT):
        exec(block, names)
