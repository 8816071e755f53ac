"""The README and the pages it links: the results, the links, the commands and the Python."""

import io
import re
import shutil
from pathlib import Path

import pytest

from dim_tf import report
from dim_tf.paper import comparison, readme, render
from dim_tf.runs import pretrained
from dim_tf.runs.record import Record
from scripts import pipeline
from tests import readme_commands

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / report.RESULTS_JSON
# The pages written by hand, in an order in which each may need what one before it made.
NAMES = "ranking", "calibration", "mistakes", "export", "folders", "fine_tuning", "speed"
PAGES = [README, *(ROOT / f"docs/{name}.md" for name in NAMES)]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
COMMANDS = readme_commands.in_order(readme_commands.commands(TEXT))
TYPED = b'{"context": ["hi !"], "persona": [], "candidates": ["hello", "i ski"]}\n'


def test_results_in_the_readme_are_those_of_the_results_file():
    section = readme.section(README.read_text(encoding="utf-8"))
    if not RESULTS.exists():
        assert not section, "the README shows results, but there is no docs/results.json"
        return
    pictures = report.pictures(RESULTS.parent, ROOT)
    assert len(pictures) == 2
    tables_of_file = render.markdown(report.read_results(RESULTS)).strip("\n")
    expected = "\n\n".join([tables_of_file, *pictures])
    again = "python -m dim_tf.report --out docs --readme README.md"
    assert section == expected, f"the README's results are not those of the file; run {again}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob(report.RESULTS_MD)))
def test_pages_of_results_are_those_of_their_files(page):
    results = report.read_results(page.with_name(report.RESULTS_JSON))
    assert render.markdown(results) in page.read_text(encoding="utf-8")
    assert render.to_csv(results) == page.with_name(report.RESULTS_CSV).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "records, page", [("docs/runs", "docs"), ("docs/runs/equal", "docs/equal")]
)
def test_results_are_those_of_the_records(records, page):
    kept = report.run_folders([ROOT / records])
    assert comparison.compare(kept) == report.read_results(ROOT / page / report.RESULTS_JSON)


def test_figures_of_the_trainings_are_those_of_their_records():
    records = [Record.open(ROOT / "docs/runs" / name) for name in ("dim", "imn_utr", "imn")]
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


def test_links_lead_somewhere():
    for page in PAGES:
        for link in readme_commands.links(page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page}: {link}"
            if anchor:
                assert anchor in readme_commands.anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_linked():
    linked = set(readme_commands.links(README.read_text(encoding="utf-8")))
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")} <= linked


def test_commands_are_found():
    """The test below would not miss those that are not."""
    assert "./run_train.sh" in COMMANDS and len(COMMANDS) > 40
    assert sum(map(readme_commands.is_elsewhere, COMMANDS)) < 12


def test_nothing_is_left_to_fill_in_and_models_that_are_named_are_there():
    assert not re.search(r"@[A-Z]", TEXT)
    assert set(re.findall(r"artefacts/([a-z][\w-]*)", TEXT)) == set(pretrained.names())


@pytest.mark.slow
def test_commands_and_python_run_on_a_small_scale(tmp_path, monkeypatch, capsys):
    shutil.copy(README, tmp_path)
    for name in ("artefacts", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
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
    for block in readme_commands.python_blocks(TEXT):
        exec(block, names)
