"""Draws attention weights (the paper's Figure 3), as a picture and as a page of HTML."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Longer contexts go on in the next line of a picture.
WORDS_A_LINE = 45
# Of longer words a picture shows the beginning.
LETTERS = 30
INCH_A_WORD, INCH_A_LETTER = 0.26, 0.085
INCH_OF_TICKS, INCH_OF_TITLE = 0.2, 0.35


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """Weights of words that look at the words of some sentences.

    Attributes:
        title: What looks at what.
        rows: The words that look.
        groups: The words of each sentence that is looked at.
        labels: What each of these sentences is called.
        weights: float [len(rows), words of all groups].
    """

    title: str
    rows: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    weights: np.ndarray

    @property
    def largest(self) -> float:
        """The largest weight, which is drawn darkest."""
        return float(self.weights.max())

    def parts(self) -> list[np.ndarray]:
        """The weights of each group."""
        ends = np.cumsum([len(group) for group in self.groups])
        return np.split(self.weights, ends[:-1], axis=1)


def lines(sizes: Sequence[int], width: int = WORDS_A_LINE) -> list[list[int]]:
    """Which groups of so many words stand together in a line.

    >>> lines([20, 20, 20, 50, 3], width=45)
    [[0, 1], [2], [3], [4]]
    """
    found: list[list[int]] = []
    free = 0
    for number, size in enumerate(sizes):
        if not found or size > free:
            found.append([])
            free = width
        found[-1].append(number)
        free -= size
    return found


def figure(maps: Sequence[Heatmap]) -> Figure:
    """Heat maps below each other, darker for larger, with the words on both axes."""
    # Not pyplot: that keeps each figure alive, and would ask for a screen.
    from matplotlib.figure import Figure

    strips = [(each, line) for each in maps for line in lines([len(g) for g in each.groups])]
    widths = [sum(len(each.groups[number]) for number in line) for each, line in strips]
    heights = sum(_height(each, line) for each, line in strips)
    size = (1.5 + INCH_A_WORD * max(*widths, 12), heights)
    rows = [len(each.rows) for each, _ in strips]
    drawn = Figure(figsize=size, dpi=100, layout="constrained")
    all_axes = drawn.subplots(len(strips), 1, squeeze=False, height_ratios=rows)[:, 0]
    titled: set[int] = set()
    for axes, (each, line) in zip(all_axes, strips, strict=True):
        _strip(axes, each, line, max(*widths, 12))
        if id(each) not in titled:
            axes.set_title(f"{each.title} (darkest: {each.largest:.2f})", loc="left", pad=16)
        titled.add(id(each))
    return drawn


def _height(each: Heatmap, line: Sequence[int]) -> float:
    """Inches of a strip: its rows, the longest of the words below it, and what stands above."""
    longest = max((len(_shown(word)) for n in line for word in each.groups[n]), default=0)
    title = INCH_OF_TITLE if line[0] == 0 else 0.0
    return INCH_A_WORD * len(each.rows) + INCH_A_LETTER * longest + INCH_OF_TICKS + title


def _shown(word: str) -> str:
    return word if len(word) <= LETTERS else f"{word[: LETTERS - 1]}…"


def _strip(axes, each: Heatmap, line: Sequence[int], width: int) -> None:
    parts, words = each.parts(), [word for number in line for word in each.groups[number]]
    weights = np.concatenate([parts[number] for number in line], axis=1)
    axes.imshow(weights, cmap="Greys", vmin=0.0, vmax=each.largest or 1.0, aspect="auto")
    axes.set_xlim(-0.5, width - 0.5)  # as wide a word in each line
    # Words are no formulas, whatever dollar signs they have.
    axes.set_xticks(range(len(words)), map(_shown, words), rotation=90, parse_math=False)
    axes.set_yticks(range(len(each.rows)), map(_shown, each.rows), parse_math=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    start = -0.5
    for number in line:
        end = start + len(each.groups[number])
        axes.vlines(end, -0.5, len(each.rows) - 0.5, colors="tab:orange", linewidth=1)
        axes.text(start + 0.1, -0.6, each.labels[number], fontsize=7, va="bottom")
        start = end


def page(maps: Sequence[Heatmap], heading: str, facts: Sequence[tuple[str, str]]) -> str:
    """The heat maps as one HTML file that needs no other.

    Each sentence that is looked at is a small table, and the tables flow into as many lines as the
    window needs. In the dark colour scheme larger weights are brighter.

    Args:
        maps: What to show.
        heading: Of the page.
        facts: Names and texts to stand below it.
    """
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>\n" for name, text in facts
    )
    body = "".join(map(_section, maps))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(heading)}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{html.escape(heading)}</h1>\n<dl>\n{listed}</dl>\n{body}</html>\n"
    )


def _section(each: Heatmap) -> str:
    tables = "".join(
        _table(label, each.rows, group, part, each.largest or 1.0)
        for label, group, part in zip(each.labels, each.groups, each.parts(), strict=True)
    )
    return (
        f"<section>\n<h2>{html.escape(each.title)}</h2>\n"
        f'<p class="legend">0 <span class="bar"></span> {each.largest:.2f}; '
        '<span class="light">darker</span><span class="dark">brighter</span> is larger</p>\n'
        f'<div class="groups">\n{tables}</div>\n</section>\n'
    )


def _table(
    label: str, rows: Sequence[str], columns: Sequence[str], weights: np.ndarray, largest: float
) -> str:
    head = "".join(f'<th scope="col"><span>{html.escape(word)}</span></th>' for word in columns)
    lines = []
    for word, row in zip(rows, weights, strict=True):
        cells = "".join(
            f'<td style="--w:{weight / largest:.3f}" '
            f'title="{html.escape(f"{word} looks at {column}: {weight:.3f}")}"></td>'
            for column, weight in zip(columns, row, strict=True)
        )
        lines.append(f'<tr><th scope="row">{html.escape(word)}</th>{cells}</tr>\n')
    return (
        f"<table>\n<caption>{html.escape(label)}</caption>\n"
        f"<tr><td></td>{head}</tr>\n{''.join(lines)}</table>\n"
    )


_STYLE = """
:root { color-scheme: light dark; --ink: 12 24 60; --paper: #fff; --text: #1c2430; --line: #d5dae3 }
.dark { display: none }
@media (prefers-color-scheme: dark) {
  :root { --ink: 150 200 255; --paper: #14181f; --text: #e2e6ee; --line: #38404e }
  .dark { display: inline }
  .light { display: none }
}
body { background: var(--paper); color: var(--text); font: 15px/1.4 system-ui, sans-serif;
       margin: 2rem }
dl { display: grid; grid-template-columns: max-content auto; gap: .2rem 1rem }
dt { font-weight: 600 }
dd { margin: 0 }
.legend .bar { display: inline-block; width: 8rem; height: .8rem; border: 1px solid var(--line);
               background: linear-gradient(90deg, rgb(var(--ink) / 0), rgb(var(--ink) / 1)) }
.groups { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: end }
table { border-collapse: collapse; font-size: 13px }
caption { text-align: left; font-size: 12px; opacity: .75 }
th { font-weight: 400; white-space: nowrap }
th[scope=row] { text-align: right; padding-right: .4rem }
th[scope=col] { vertical-align: bottom; width: 1.25rem }
th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg) }
td[style] { width: 1.25rem; height: 1.25rem; border: 1px solid var(--line);
            background: rgb(var(--ink) / var(--w)) }
"""
