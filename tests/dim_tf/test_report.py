"""The command, its tables and pictures, and the README's section that it writes."""

import csv
import os

import numpy as np
import pytest
from matplotlib.image import imread

from dim_tf import report
from dim_tf.cli import parser
from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic
from dim_tf.paper import readme, render
from dim_tf.paper.comparison import compare
from tests.tiny_results import made_up_run, ranks_with


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    made_up_run(folder / "dim1", ranks_with(32), seed=1)
    made_up_run(folder / "dim2", ranks_with(30), seed=2)
    made_up_run(folder / "imn", ranks_with(20), "imn", "none")
    made_up_run(folder / "utr", ranks_with(22), "imn_utr")
    return folder


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# A\n\nbefore\n\n{readme.BEGIN}\nold\n{readme.END}\n\nafter\n")
    return path


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_has_ours_below_the_papers(runs, capsys):
    report.main([str(runs)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("hits@1 / MRR in percent on the test split. Ours: small, the whole ")
    at = lines.index("### Table 3: with persona; in brackets the gain over no persona")
    table = lines[at + 2 : lines.index("", at + 2)]
    assert cells(table[0])[2:] == [
        *("self, original", "self, revised", "their, original", "their, revised")
    ]
    paper, ours = [cells(line) for line in table if "DIM" in line or line is table[-1]]
    assert paper[:3] == ["DIM", "paper", "78.8 (+15.0) / 86.7 (+10.9)"]
    assert ours == ["", "ours", "77.5 ± 3.5 (+27.5) / 88.8 ± 1.8 (+13.8)", "–", "–", "–"]
    assert cells(next(line for line in table if "IR" in line))[2] == "41.0 (+19.6)"
    assert any(cells(line)[0] == r"IMN\_utr" for line in table)
    details = next(line for line in lines if line.startswith("| DIM, self, original |"))
    assert cells(details)[1:3] == ["original, 40 turns", "2 (1, 2)"]
    assert cells(details)[-2:] == ["1,234", "300"]
    pair = next(line for line in lines if r"DIM against IMN\_utr" in line)
    assert cells(pair)[4] == "**+22.5, 0.0012**"


def test_csv_has_a_line_for_each_cell(runs):
    results = compare(report.run_folders([runs]))
    lines = list(csv.DictReader(render.to_csv(results).splitlines()))
    assert len(lines) == sum(len(t["rows"]) * len(t["columns"]) for t in results["tables"])
    dim = next(line for line in lines if (line["table"], line["row"]) == ("Table 4", "DIM"))
    assert (dim["paper_hits@1"], dim["hits@1_mean"], dim["seeds"]) == ("78.8", "77.5", "2")
    three = next(line for line in lines if (line["table"], line["row"]) == ("Table 3", "DIM"))
    assert (three["paper_hits@1_gain"], three["hits@1_gain"]) == ("15.0", "27.5")
    assert (dim["hits@1_gain"], dim["fingerprint"], dim["test_turns_of"]) == ("", "a" * 64, "40")
    assert (dim["updates"], dim["data"], dim["training_turns"]) == ("300 300", "small", "1234")
    ir = next(line for line in lines if (line["table"], line["row"]) == ("Table 2", "IR baseline"))
    assert (ir["paper_hits@1"], ir["paper_MRR"], ir["hits@1_mean"]) == ("21.4", "", "")


def test_out_holds_tables_and_pictures(runs, tmp_path):
    out = tmp_path / "deep" / "docs"
    report.main([str(runs), "--out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == [
        *("bars.png", "curves.png", "results.csv", "results.json", "results.md")
    ]
    assert atomic.read_json(out / "results.json") == compare(report.run_folders([runs]))
    assert str(tmp_path) not in (out / "results.json").read_text()
    page = (out / "results.md").read_text()
    assert page.endswith("\n\n![bars](bars.png)\n\n![curves](curves.png)\n")
    for name in ("bars.png", "curves.png"):
        pixels = imread(out / name)
        assert min(pixels.shape[:2]) > 200
        assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10


def test_readme_section_is_written_and_can_be_written_anew_without_the_runs(runs, page, tmp_path):
    out = tmp_path / "docs"
    report.main([str(runs), "--out", str(out), "--readme", str(page)])
    text = page.read_text()
    assert text.startswith(f"# A\n\nbefore\n\n{readme.BEGIN}\n\nhits@1 / MRR")
    assert text.endswith(f"\n\n{readme.END}\n\nafter\n")
    body = readme.section(text)
    shown = render.markdown(atomic.read_json(out / "results.json")).strip("\n")
    folder = os.path.relpath(out, page.parent)
    assert body == f"{shown}\n\n![bars]({folder}/bars.png)\n\n![curves]({folder}/curves.png)"
    page.write_text(text.replace("88.8", "99.9"))
    assert readme.section(page.read_text()) != body
    report.main(["--out", str(out), "--readme", str(page)])
    assert page.read_text() == text


@pytest.mark.parametrize(
    "text",
    ["# A\n", f"{readme.BEGIN}\n", f"{readme.END}\n{readme.BEGIN}\n", f"{readme.BEGIN}\n" * 2],
)
def test_a_readme_without_the_two_lines_is_refused(page, text):
    page.write_text(text)
    with pytest.raises(UsageError, match="found no section for results, expected the lines"):
        readme.write_section(page, "x")
    assert page.read_text() == text
    assert readme.section(text) is None


def test_what_is_refused(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for options, message in (
        ([tmp_path / "empty"], "found no run folder"),
        ([], "give run folders, or --out DIR"),
        ([runs, "--readme", tmp_path / "none.md"], "--readme: there is no file"),
        ([runs, "--out", runs / "dim1/config.json"], "cannot be made"),
        ([runs, "--outt", "x"], "unknown option --outt; did you mean --out?"),
        (["--out", tmp_path / "empty"], "results.json: the file is missing"),
    ):
        assert parser.run(report.main, [str(option) for option in options]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        assert message in said
    made_up_run(runs / "other", ranks_with(3), "imn_ctx", fingerprint="b" * 64)
    assert parser.run(report.main, [str(runs)]) == 2
    assert "tested on different data" in capsys.readouterr().err
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_of_runs_some_of_which_are_not_tested_yet(runs, capsys):
    for name in ("new", "dim-0123abcd.tmp"):
        made_up_run(runs / name, ranks_with(3), "imn_ctx")
        (runs / name / "results.json").unlink()
    found = report.run_folders([runs])
    assert [path.name for path in found] == ["dim1", "dim2", "imn", "utr"]
    assert capsys.readouterr().err == "left out, not tested yet: new\n"
    assert parser.run(report.main, [str(runs / "new")]) == 2
    assert "was not tested yet" in capsys.readouterr().err


def test_nothing_is_written_if_the_readme_cannot_be(runs, page, tmp_path, capsys):
    page.write_text("# A\n")
    out = tmp_path / "docs"
    assert parser.run(report.main, [str(runs), "--out", str(out), "--readme", str(page)]) == 2
    assert "found no section for results" in capsys.readouterr().err
    assert not out.exists()


def test_results_of_another_format(tmp_path):
    atomic.write_json(tmp_path / "results.json", {"format": 0})
    with pytest.raises(DataError, match="found format 0, expected 2"):
        report.read_results(tmp_path / "results.json")
