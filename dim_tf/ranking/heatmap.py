"""Heat maps of attention weights (the paper's Figure 3), as a picture and as an HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.io import templates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Longer contexts are wrapped in a picture, and longer words are cut.
WORDS_A_LINE, LETTERS = 45, 30
INCH_A_WORD, INCH_A_LETTER = 0.26, 0.085
INCH_OF_TICKS, INCH_OF_TITLE = 0.2, 0.35


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """Attention weights from the words of a reply to the words of some sentences.

    Attributes:
        title: str. Such as "reply to context".
        rows: tuple of str. The words of the reply.
        groups: tuple of tuples of str. The words of each sentence.
        labels: tuple of str. The name of each sentence.
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


def page(maps: Sequence[Heatmap], heading: str, facts: Sequence[tuple[str, str]]) -> str:
    """The heat maps as one self-contained HTML page; `facts` are names and values at its top."""
    return templates.render(
        __package__, "attention.html.j2", maps=maps, heading=heading, facts=facts
    )


def wrap(sizes: Sequence[int], width: int = WORDS_A_LINE) -> list[list[int]]:
    """Lines of group numbers, each of at most `width` words or one group; `sizes` are in words.

    >>> wrap([20, 20, 20, 50, 3], width=45)
    [[0, 1], [2], [3], [4]]
    """
    lines: list[list[int]] = []
    free = 0
    for number, size in enumerate(sizes):
        if not lines or size > free:
            lines.append([])
            free = width
        lines[-1].append(number)
        free -= size
    return lines


def figure(maps: Sequence[Heatmap]) -> Figure:
    """Heat maps below each other, darker for larger, with the words on both axes."""
    # Not pyplot: it keeps each figure alive and may need a screen.
    from matplotlib.figure import Figure

    strips = [(each, line) for each in maps for line in wrap([len(g) for g in each.groups])]
    if not strips:
        return Figure()
    width = max(12, *(sum(len(each.groups[n]) for n in line) for each, line in strips))
    size = (1.5 + INCH_A_WORD * width, sum(_height(each, line) for each, line in strips))
    rows = [len(each.rows) for each, _ in strips]
    drawn = Figure(figsize=size, dpi=100, layout="constrained")
    all_axes = drawn.subplots(len(strips), 1, squeeze=False, height_ratios=rows)[:, 0]
    for axes, (each, line) in zip(all_axes, strips, strict=True):
        _draw(axes, each, line, width)
        if line[0] == 0:
            axes.set_title(f"{each.title} (darkest: {each.largest:.2f})", loc="left", pad=16)
    return drawn


def _height(each: Heatmap, line: Sequence[int]) -> float:
    """Inches of a strip: its rows, the longest word below them, ticks and title."""
    longest = max((len(_cut(word)) for n in line for word in each.groups[n]), default=0)
    title = INCH_OF_TITLE if line[0] == 0 else 0.0
    return INCH_A_WORD * len(each.rows) + INCH_A_LETTER * longest + INCH_OF_TICKS + title


def _cut(word: str) -> str:
    return word if len(word) <= LETTERS else f"{word[: LETTERS - 1]}…"


def _draw(axes: Axes, each: Heatmap, line: Sequence[int], width: int) -> None:
    parts, words = each.parts(), [word for number in line for word in each.groups[number]]
    weights = np.concatenate([parts[number] for number in line], axis=1)
    axes.imshow(weights, cmap="Greys", vmin=0.0, vmax=each.largest or 1.0, aspect="auto")
    axes.set_xlim(-0.5, width - 0.5)  # words have the same width in each line
    # Words with dollar signs are no formulas.
    axes.set_xticks(range(len(words)), map(_cut, words), rotation=90, parse_math=False)
    axes.set_yticks(range(len(each.rows)), map(_cut, each.rows), parse_math=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    start = -0.5
    for number in line:
        end = start + len(each.groups[number])
        axes.vlines(end, -0.5, len(each.rows) - 0.5, colors="tab:orange", linewidth=1)
        axes.text(start + 0.1, -0.6, each.labels[number], fontsize=7, va="bottom")
        start = end
