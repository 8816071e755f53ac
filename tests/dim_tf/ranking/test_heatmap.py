import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from dim_tf.ranking import heatmap
from dim_tf.ranking.heatmap import Heatmap


def random_map(utterances, words=12, rows=8):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(utterances * words, 0.1), size=rows)
    groups = tuple(tuple(f"w{u}.{w}" for w in range(words)) for u in range(utterances))
    labels = tuple(f"utterance {u + 1}" for u in range(utterances))
    return Heatmap("reply to context", tuple(f"r{n}" for n in range(rows)), groups, labels, weights)


@pytest.fixture
def small():
    weights = np.array([[0.0, 1.0, 0.25], [0.5, 0.5, 0.0]])
    return Heatmap(
        "reply to persona", ("cats", "<b>"), (("i", "ski"), ("&",)), ("p 1", "p 2"), weights
    )


def test_larger_weights_are_darker_with_words_on_both_axes(small):
    (axes,) = heatmap.figure([small]).axes
    assert heatmap.figure([]).axes == []
    assert [label.get_text() for label in axes.get_xticklabels()] == ["i", "ski", "&"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cats", "<b>"]
    assert axes.get_title(loc="left") == "reply to persona (darkest: 1.00)"
    red = axes.images[0].to_rgba(small.weights)[0, :, 0]
    assert red[0] > red[2] > red[1]


def test_words_are_no_formulas_and_long_ones_are_cut(tmp_path):
    words = ("$$", "$a$", "^$^$", "x" * 20_000)
    dollars = Heatmap("reply to context", words, (words,), ("p 1",), np.eye(4))
    figure = heatmap.figure([dollars])
    figure.savefig(tmp_path / "figure.png")
    (axes,) = figure.axes
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        shown = [label.get_text() for label in labels]
        assert shown == ["$$", "$a$", "^$^$", "x" * 29 + "…"]
        assert not any(label.get_parse_math() for label in labels)
    assert figure.get_figheight() < 10


def test_a_long_context_is_wrapped(tmp_path):
    long = random_map(15, words=20, rows=20)
    figure = heatmap.figure([long, random_map(2)])
    assert len(figure.axes) == 8 + 1
    shown = [axes.images[0].get_array() for axes in figure.axes[:8]]
    np.testing.assert_array_equal(np.concatenate(shown, axis=1), long.weights)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert max(image.norm.vmax for axes in figure.axes[:8] for image in axes.images) == long.largest
    figure.savefig(tmp_path / "figure.png")
    height, width, _ = imread(tmp_path / "figure.png").shape
    assert width < 1600 and height < 8000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [1, 3, 20])
def test_long_words_leave_room_for_the_rows(rows, tmp_path):
    words = ("congratulations", "on", "your", "counterrevolution", "!")
    weights = np.full((rows, 6), 1 / 6)
    groups, labels = (words, ("hi",)), ("utterance 1", "utterance 2")
    long = Heatmap("reply to context", ("hello",) * rows, groups, labels, weights)
    short = random_map(1, rows=rows)
    figure = heatmap.figure([long, short])
    figure.savefig(tmp_path / "figure.png")
    for axes in figure.axes:
        inches = axes.get_window_extent().height / figure.dpi / rows
        assert 0.2 < inches < 0.8


def test_page_needs_no_other_file_and_shows_all_words_and_weights(small):
    page = heatmap.page([small], "What <it> looked at", [("reply", "cats & <b>")])
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "<dd>cats &amp; &lt;b&gt;</dd>" in page
    assert "<h1>What &lt;it&gt; looked at</h1>" in page
    weights = [float(value) for value in re.findall(r"--w:(\d\.\d+)", page)]
    # Sentence by sentence, in parts of the largest.
    assert weights == [0.0, 1.0, 0.5, 0.5, 0.25, 0.0]
    assert 'title="cats looks at ski: 1.000"' in page
    assert [*re.findall(r"<caption>(.*?)</caption>", page)] == ["p 1", "p 2"]


def test_page_is_well_formed(small):
    unclosed = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag != "meta":
                unclosed.append(tag)

        def handle_endtag(self, tag):
            assert unclosed.pop() == tag

    Checker().feed(heatmap.page([small, random_map(15)], "x", []))
    assert unclosed == []


def test_weights_that_are_all_zero_can_be_drawn():
    nothing = Heatmap("x", ("a",), (("b",),), ("c",), np.zeros((1, 1)))
    assert "--w:0.000" in heatmap.page([nothing], "x", [])
    heatmap.figure([nothing])
