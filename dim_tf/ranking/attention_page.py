"""The attention of one reply, to be drawn: of a prepared turn or of texts."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dim_tf.cli.parser import collect_warnings, print_warnings
from dim_tf.data.dataset import PreparedData
from dim_tf.data.prepared_folder import ABSENT
from dim_tf.errors import UsageError
from dim_tf.evaluation.calibration import Calibration
from dim_tf.io import atomic
from dim_tf.ranking import heatmap
from dim_tf.ranking.heatmap import Heatmap
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime import backend


@dataclasses.dataclass(frozen=True)
class AttentionPage:
    """Attention weights of a reply, and facts about it."""

    name: str  # of the files, without suffix
    facts: list[tuple[str, str]]
    maps: list[Heatmap]  # empty if the model has no attention

    def write(self, folder: Path, heading: str) -> tuple[Path, Path]:
        """Writes a picture (PNG) and a page (HTML) into a folder; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        picture, page = folder / f"{self.name}.png", folder / f"{self.name}.html"
        with collect_warnings() as texts, atomic.replacing(picture) as temporary:
            heatmap.figure(self.maps).savefig(temporary, format="png")
        if missing := re.findall(r"Glyph (\d+) ", " ".join(texts)):
            letters = "".join(map(chr, map(int, dict.fromkeys(missing))))
            warnings.warn(f"the picture's font lacks {letters}; {page} shows them", stacklevel=2)
        atomic.write_text(page, heatmap.page(self.maps, heading, self.facts))
        return picture, page


def page_of_turn(
    run: Run, data: PreparedData, split: str, row: int, candidate: int | None = None
) -> AttentionPage:
    """The page of a prepared turn, for the candidate in a column; None for the gold reply.

    Raises:
        UsageError: There is no such turn or candidate, or the folder does not match the run.
    """
    run = run.with_vocabulary_of(data)
    table = data.table(split, run.persona, run.version)
    if row >= len(table):
        raise UsageError(f"--turn: found {row}, expected 0 to {len(table) - 1} ({table.name})")
    present = np.flatnonzero(table.candidates[row] != ABSENT)
    target = int(table.target[row])
    column = target if candidate is None else candidate
    if column not in present:
        expected = f"expected one of {', '.join(map(str, present))}"
        raise UsageError(f"--candidate: found {column}, {expected} (turn {row} of {table.name})")

    backend.load()
    from dim_tf.ranking.attention import Attention, turn_heatmaps

    attention = Attention(run.load_model())
    maps = turn_heatmaps(attention, data, table, row, run.model_config, column)
    reply = data.texts(table, row)["candidates"][column]
    name = f"{table.name}_turn_{row}" + ("" if column == target else f"_candidate_{column}")
    which = "the right reply" if column == target else f"a wrong reply, candidate {column}"
    facts = [("turn", f"{row} of {table.name}"), ("reply", f"{reply} ({which})")]
    return AttentionPage(name, facts, list(maps.values()))


def page_of_texts(
    run: Run,
    context: Sequence[str],
    persona: Sequence[str],
    candidates: Sequence[str],
    candidate: int | None = None,
) -> AttentionPage:
    """The page of texts, for one of the candidates; None for the best one.

    Raises:
        UsageError: There is no such candidate.
        DataError: As `Ranker.rank`.
    """
    if candidate is not None and candidate >= len(candidates):
        raise UsageError(f"--candidate: found {candidate}, expected 0 to {len(candidates) - 1}")
    with print_warnings():
        ranker = Ranker(run, run.load_model(), Calibration.load(run.path))
        ranking = ranker.rank(context, persona, candidates)
    chosen = next(row for row in ranking if candidate in (None, row["index"]))
    with collect_warnings():  # the same warnings again
        maps = ranker.explain(context, persona, chosen["candidate"]).maps
    facts = [("reply", chosen["candidate"])]
    if len(candidates) > 1:
        facts.append(("rank", f"{chosen['rank']} of {len(candidates)}"))
    texts = repr((context, persona, chosen["candidate"])).encode()
    return AttentionPage(f"text_{hashlib.sha256(texts).hexdigest()[:8]}", facts, maps)
