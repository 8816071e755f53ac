"""The command, its tables and charts."""

import numpy as np
import pytest
from matplotlib.image import imread

from dim_tf import report
from dim_tf.cli import parser
from dim_tf.io import atomic
from dim_tf.paper import render
from dim_tf.paper.comparison import compare
from dim_tf.paper.tested_runs import open_runs
from tests.tiny_results import made_up_run, ranks_with


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    made_up_run(folder / "dim1", ranks_with(32), seed=1)
    made_up_run(folder / "dim2", ranks_with(30), seed=2)
    made_up_run(folder / "imn", ranks_with(20), "imn", "none")
    made_up_run(folder / "utr", ranks_with(22), "imn_utr")
    return folder


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_has_ours_below_the_papers(runs, capsys):
    report.main([str(runs)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("hits@1 / MRR in percent on the test split. Ours: small, the whole ")
    at = lines.index("### Table 3: with persona; in brackets the gain over no persona")
    table = lines[at + 2 : lines.index("", at + 2)]
    paper, ours = [cells(line) for line in table if "DIM" in line or line is table[-1]]
    assert paper[:3] == ["DIM", "paper", "78.8 (+15.0) / 86.7 (+10.9)"]
    assert ours == ["", "ours", "77.5 ± 3.5 (+27.5) / 88.8 ± 1.8 (+13.8)", "–", "–", "–"]
    assert cells(next(line for line in table if "IR" in line))[2] == "41.0 (+19.6)"
    details = next(line for line in lines if line.startswith("| DIM, self, original |"))
    assert cells(details)[1:3] == ["original, 40 turns", "2 (1, 2)"]
    assert cells(details)[-2:] == ["1,234", "300"]
    pair = next(line for line in lines if r"DIM against IMN\_utr" in line)
    assert cells(pair)[4] == "**+22.5, 0.0012**"


def test_the_page_begins_with_remarks(runs, tmp_path):
    remarks = tmp_path / "remarks.txt"
    remarks.write_text("**What was missed.** Much.\n")
    report.main([str(runs), "--out", str(tmp_path), "--remarks", str(remarks)])
    text = (tmp_path / "results.md").read_text()
    assert text.startswith("# Comparison with the paper\n\n**What was missed.** Much.\n\nhits@1")


def test_out_holds_tables_and_charts(runs, tmp_path):
    out = tmp_path / "deep" / "docs"
    report.main([str(runs), "--out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == [
        *("bars.png", "curves.png", "results.json", "results.md")
    ]
    results = compare(open_runs([runs]))
    assert atomic.read_json(out / "results.json") == results
    assert str(tmp_path) not in (out / "results.json").read_text()
    text = (out / "results.md").read_text()
    assert text.startswith(f"# Comparison with the paper\n\n{render.markdown(results)}")
    assert text.endswith("\n\n![bars](bars.png)\n\n![curves](curves.png)\n")
    for name in ("bars.png", "curves.png"):
        pixels = imread(out / name)
        assert min(pixels.shape[:2]) > 200
        assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10


def test_what_is_refused(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for options, message in (
        ([tmp_path / "empty"], "found no run folder"),
        ([runs, "--out", runs / "dim1/config.json"], "cannot be made"),
    ):
        assert parser.run(report.main, [str(option) for option in options]) == 2
        assert message in capsys.readouterr().err
    made_up_run(runs / "other", ranks_with(3), "imn_ctx", fingerprint="b" * 64)
    assert parser.run(report.main, [str(runs), "--out", str(tmp_path / "empty")]) == 2
    assert "tested on different data" in capsys.readouterr().err
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_of_runs_some_of_which_are_not_tested_yet(runs, capsys):
    made_up_run(runs / "new", ranks_with(3), "imn_ctx")
    (runs / "new" / "results.json").unlink()
    assert [run.name for run in open_runs([runs])] == ["dim1", "dim2", "imn", "utr"]
    [line] = capsys.readouterr().err.splitlines()
    assert "not tested yet" in line and line.endswith(": new")
    assert parser.run(report.main, [str(runs / "new")]) == 2
    assert "not tested yet" in capsys.readouterr().err
