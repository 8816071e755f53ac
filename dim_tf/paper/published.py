"""The paper's Tables 2 to 5: their scores, and what is trained and tested for each cell.

Gu et al., EMNLP 2019: hits@1 and MRR in percent on the test split, 20 candidates per turn. The
paper copies the systems before IMN from Zhang et al. (2018) and Mazare et al. (2018), without MRR.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from dim_tf.systems import registry

MEASURES = ("hits@1", "MRR")


class Score(NamedTuple):
    """hits@1 and MRR in percent; None where the paper gives none."""

    hits: float
    mrr: float | None = None


class Setting(NamedTuple):
    """What is trained: a system, the personas it reads, and whether it reads the context.

    DIM without persona is IMN: its setting is that of the system "imn".

    >>> Setting("dim", "self", "original").name, Setting("dim", "self", "original", False).name
    ('dim_self_original', 'dim_no_context_self_original')
    """

    system: str
    persona: str
    version: str
    use_context: bool = True

    @property
    def name(self) -> str:
        """Such as `imn_ctx_self_original`."""
        parts = (self.system, "" if self.use_context else "no_context", self.persona, self.version)
        return "_".join(filter(None, parts))


class TableCell(NamedTuple):
    """A cell of a table: a trained setting, and the version of the test split it is tested on."""

    setting: Setting
    tested_on: str

    @property
    def id(self) -> str:
        """Such as `dim_self_original, tested on revised`."""
        return f"{self.setting.name}, tested on {self.tested_on}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        name: str. The first column.
        system: str. The system that is trained for it.
        cells: tuple. One cell per column; None where the paper has none.
        scores: tuple. The paper's score per column; None where it gives none.
    """

    name: str
    system: str
    cells: tuple[TableCell | None, ...]
    scores: tuple[Score | None, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper, or a further one in its style.

    Args:
        number: int. 2 to 5; None for a table that the paper lacks.
        title: str. What it compares.
        corner: str. What the rows are.
        columns: tuple of str. Names of the columns.
        rows: tuple of `Row`. In the paper's order.
        with_gains: bool. Whether it shows gains over "no persona".
    """

    number: int | None
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    with_gains: bool = False

    @property
    def name(self) -> str:
        """Such as `Table 3`."""
        return f"Table {self.number}" if self.number else "Original personas"


NO_PERSONA = {
    "ir": Score(21.4),
    "starspace": Score(31.8),
    "profile": Score(31.8),
    "kv_profile": Score(34.9),
    "imn": Score(63.8, 75.8),
}
PERSONA_COLUMNS = tuple((p, v) for p in ("self", "their") for v in ("original", "revised"))
# By `PERSONA_COLUMNS`.
WITH_PERSONA = {
    "ir": (Score(41.0), Score(20.7), Score(18.1), Score(18.1)),
    "starspace": (Score(48.1), Score(32.2), Score(24.5), Score(26.1)),
    "profile": (Score(47.3), Score(35.4), Score(28.3), Score(29.4)),
    "kv_profile": (Score(51.1), Score(35.1), Score(29.1), Score(28.9)),
    "ft_pc": (None, Score(60.7), None, None),
    "imn_ctx": (Score(64.3, 76.2), Score(63.8, 75.8), Score(63.7, 75.8), Score(63.5, 75.7)),
    "imn_utr": (Score(66.7, 78.1), Score(64.0, 76.0), Score(63.9, 75.9), Score(63.7, 75.7)),
    "dim": (Score(78.8, 86.7), Score(70.7, 81.2), Score(64.0, 76.1), Score(63.9, 76.0)),
}
DIM = Setting("dim", "self", "original")
DIM_REVISED = Setting("dim", "self", "revised")
DIM_NO_CONTEXT = Setting("dim", "self", "original", use_context=False)


def base(system: str) -> Setting:
    """The setting without persona from which the gains of a system are counted.

    >>> base("dim").name, base("ir").name
    ('imn_none_original', 'ir_none_original')
    """
    return Setting(registry.find(system).base or system, "none", "original")


def gain(system: str, score: Score | None) -> Score | None:
    """The paper's numbers in brackets: the points above the same system without persona.

    >>> gain("dim", Score(78.8, 86.7)), gain("ft_pc", Score(60.7))
    (Score(hits=15.0, mrr=10.9), None)
    """
    start = NO_PERSONA.get(base(system).system)
    if score is None or start is None:
        return None
    mrr = None if score.mrr is None or start.mrr is None else round(score.mrr - start.mrr, 1)
    return Score(round(score.hits - start.hits, 1), mrr)


def tables(others: tuple[str, ...] = ()) -> tuple[Table, ...]:
    """Tables 2 to 5, and one of all runs that were trained on original personas.

    Args:
        others: tuple of str. Systems that the paper lacks; they get rows without scores.

    >>> [table.number for table in tables()]
    [2, 3, 4, 5, None]
    >>> tables()[1].rows[-1].cells[1].setting
    Setting(system='dim', persona='self', version='revised', use_context=True)
    """
    columns = tuple(f"{persona}, {version}" for persona, version in PERSONA_COLUMNS)
    original, revised = (
        tuple(TableCell(setting, version) for version in ("original", "revised"))
        for setting in (DIM, DIM_REVISED)
    )
    no_persona = TableCell(base("dim"), "original")
    no_context = TableCell(DIM_NO_CONTEXT, "original")
    dim = WITH_PERSONA["dim"][:1]
    return (
        Table(
            number=2,
            title="without persona",
            corner="system",
            columns=("no persona",),
            rows=tuple(_without_persona(system) for system in (*NO_PERSONA, *others)),
        ),
        Table(
            number=3,
            title="with persona; in brackets the gain over no persona",
            corner="system",
            columns=columns,
            rows=tuple(_with_persona(system) for system in (*WITH_PERSONA, *others)),
            with_gains=True,
        ),
        Table(
            number=4,
            title="ablations, persona self, original",
            corner="system",
            columns=("self, original",),
            rows=(
                Row("DIM", "dim", original[:1], dim),
                Row("DIM without persona", "dim", (no_persona,), (NO_PERSONA["imn"],)),
                Row("DIM without context", "dim", (no_context,), (Score(48.8, 60.9),)),
            ),
        ),
        Table(
            number=5,
            title="trained on one version of persona self, tested on another",
            corner="DIM",
            columns=("tested on original", "tested on revised"),
            rows=(
                Row("trained on original", "dim", original, (Score(78.8), Score(66.3))),
                Row("trained on revised", "dim", revised, (Score(77.6), Score(70.7))),
            ),
        ),
        Table(
            number=None,
            title="trained on original ones; columns: tested on",
            corner="system",
            columns=(*columns, "both", "none"),
            rows=tuple(_on_original(system) for system in (*registry.of_paper(), *others)),
        ),
    )


def _without_persona(system: str) -> Row:
    cell = TableCell(Setting(system, "none", "original"), "original")
    return Row(registry.find(system).title, system, (cell,), (NO_PERSONA.get(system),))


def _with_persona(system: str) -> Row:
    cells = tuple(TableCell(Setting(system, p, v), v) for p, v in PERSONA_COLUMNS)
    scores = WITH_PERSONA.get(system, (None,) * len(cells))
    return Row(registry.find(system).title, system, cells, scores)


def _on_original(system: str) -> Row:
    known = registry.find(system)
    tested = [*PERSONA_COLUMNS, ("both", "original")]
    cells = [TableCell(Setting(system, p, "original"), v) for p, v in tested]
    if not known.reads_persona:
        cells = [None] * len(cells)
    # Without persona a system with a base is that base, which has its own row.
    cells.append(None if known.base else TableCell(base(system), "original"))
    return Row(known.title, system, tuple(cells), (None,) * len(cells))
