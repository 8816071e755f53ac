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
    rows = {line.split(" | ")[0]: line for line in readme_rows(RESULTS)}
    for line in readme_rows(DOCS / "subset" / render.RESULTS_JSON):
        rows.setdefault(line.split(" | ")[0], line)
    assert sorted(lines[2:]) == sorted(rows.values())


def readme_rows(path):
    """The systems that were trained: hits@1 without persona, with self and with their, original."""
    results = json.loads(path.read_text(encoding="utf-8"))
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
            turns = max(each["training_turns"] for each in ours.values() if each)
            shown = [
                readme_cell(ours[name], papers.get((row["name"], column)))
                for name, column in columns.items()
            ]
            yield f"| {row['name']} | {turns:,} | {' | '.join(shown)} |"


def readme_cell(ours, paper):
    found = f"{ours['hits@1']['mean']:.1f}" if ours else "–"
    return f"{found} ({paper['hits@1']})" if ours and paper else found


@pytest.mark.parametrize("page", sorted(DOCS.rglob(render.RESULTS_MD)))
def test_pages_of_results_are_those_of_their_files(page):
    results = json.loads(page.with_name(render.RESULTS_JSON).read_text(encoding="utf-8"))
    assert render.markdown(results) in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "records, page",
    [("docs/runs", "docs"), ("docs/runs/equal", "docs/equal"), ("docs/runs/subset", "docs/subset")],
)
def test_results_are_those_of_the_records(records, page):
    results = json.loads((ROOT / page / render.RESULTS_JSON).read_text(encoding="utf-8"))
    assert comparison.compare(open_runs([ROOT / records])) == results


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


def test_figures_of_the_trainings_are_those_of_their_records():
    records = [Record.open(ROOT / "docs/runs/subset" / name) for name in ("dim", "imn_utr", "imn")]
    trained = [
        {row["update"]: row for row in record.metrics() if row["kind"] == "valid"}
        for record in records
    ]
    rows = [
        (f"valid, after {epochs}", [valid[update] for valid in trained])
        for epochs, update in (("one epoch", 1020), ("two", 2040), ("three", 3060))
    ]
    assert {record.best_update() for record in records} == {3060}
    dim, imn_utr, imn = (record.results() for record in records)
    own = [dim["test_self_original"], imn_utr["test_self_original"], imn["test_none_original"]]
    revised = [dim["test_self_revised"], imn_utr["test_self_revised"]]
    rows += [("test", own), ("test, revised personas", revised)]
    lines = []
    for name, found in rows:
        cells = [f"{one['hits@1']:.3f} / {one['MRR']:.3f}" for one in found] + ["–"]
        lines.append(f"| {name} | {found[0]['turns']:,} | {' | '.join(cells[:3])} |")
    assert "\n".join(lines) in TEXT

    points = 100 * (dim["test_self_original"]["hits@1"] - dim["test_self_revised"]["hits@1"])
    assert f"where DIM loses {points:.0f} points" in " ".join(TEXT.split())
    points = 100 * (own[1]["hits@1"] - own[2]["hits@1"])
    assert f"its {points:.1f} points above IMN" in " ".join(TEXT.split())


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
