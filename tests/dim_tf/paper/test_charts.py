"""What the charts draw."""

import math

import pytest

from dim_tf.paper import charts
from dim_tf.paper.comparison import compare
from dim_tf.paper.tested_runs import open_runs
from tests.tiny_results import made_up_run, ranks_with


@pytest.fixture
def runs(tmp_path):
    made_up_run(tmp_path / "dim1", ranks_with(32), seed=1)
    made_up_run(tmp_path / "dim2", ranks_with(30), seed=2)
    made_up_run(tmp_path / "imn", ranks_with(20), "imn", "none", updates=200)
    made_up_run(tmp_path / "ir", ranks_with(10), "ir", updates=0)  # no point on a log axis
    return open_runs([tmp_path])


def test_bars_are_the_papers_scores_and_ours(runs):
    panels = {axes.get_title(): axes for axes in charts.bars(compare(runs)).axes}
    axes = next(panel for title, panel in panels.items() if title.endswith("self, original"))
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = {
        bars.get_label(): dict(zip(names, (bar.get_width() for bar in bars), strict=True))
        for bars in axes.containers
        if bars.get_label() in ("paper", "ours")
    }
    # The deviation over two seeds; with one, the interval over the turns.
    bars = next(bars for bars in axes.containers if bars.get_label() == "ours")
    segments = dict(zip(names, bars.errorbar.lines[2][0].get_segments(), strict=True))
    low, high = segments["DIM"][:, 0]
    assert (high - low) / 2 == pytest.approx(5 / math.sqrt(2), abs=1e-3)
    papers, ours = widths["paper"], widths["ours"]
    assert papers["DIM"] == 78.8 and papers["Starspace"] == 48.1
    assert ours["DIM"] == pytest.approx(77.5) and ours["Starspace"] == 0


def test_curves_are_the_validations_of_each_run(runs):
    hits, mrr = charts.curves(runs).axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in hits.lines]
    updates = [[150, 300], [150, 300], [100, 200]]
    turns = [[16 * update for update in each] for each in updates]
    hits_at_1 = [[100 * update / 999 for update in each] for each in updates]
    assert drawn == list(zip(turns, hits_at_1, strict=True))
    assert list(mrr.lines[2].get_ydata()) == [20.0, 40.0]
    names = [text.get_text() for text in hits.figure.legends[0].get_texts()]
    assert len(names) == 2 and not any("IR" in name for name in names)
    first, second, other = (line.get_color() for line in hits.lines)
    assert first == second != other
