"""The paper's Tables 2 to 5, read from `published.toml`: scores, and what each cell trains."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from dim_tf.systems import registry

MEASURES = ("hits@1", "MRR")
Score = dict[str, float]  # measure -> percent; without MRR where the paper gives none


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

    @classmethod
    def of(cls, system: str, persona: str, version: str, use_context: bool = True) -> Setting:
        """The setting, in which the base of a system replaces the system without persona."""
        if persona == "none" and use_context:
            system = registry.find(system).base or system
        return cls(system, persona, version, use_context)


class TableCell(NamedTuple):
    """A cell of a table: a trained setting, and the version of the test split it is tested on."""

    setting: Setting
    tested_on: str

    @property
    def id(self) -> str:
        """Such as `dim_self_original, tested on revised`."""
        return f"{self.setting.name}, tested on {self.tested_on}"

    @property
    def base(self) -> TableCell:
        """The cell without persona from which the gains of this one are counted."""
        return TableCell(Setting.of(self.setting.system, "none", "original"), "original")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table."""

    name: str  # the first column
    system: str  # the system that is trained for it
    cells: list[TableCell | None]  # one per column; None where a system cannot have one
    scores: list[Score | None]  # the paper's, one per column; None where it gives none


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper, or a further one in its style."""

    number: int | None  # 2 to 5; None for a table that the paper lacks
    title: str
    corner: str  # what the rows are
    columns: list[str]
    rows: list[Row]  # in the paper's order
    with_gains: bool  # whether it shows gains over "no persona"

    @property
    def name(self) -> str:
        """Such as `Table 3`."""
        return f"Table {self.number}" if self.number else "Original personas"


def tables(others: tuple[str, ...] = ()) -> list[Table]:
    """Tables 2 to 5, and one of all runs that were trained on original personas.

    Args:
        others: tuple of str. Systems that the paper lacks; they get rows without scores.

    >>> [table.number for table in tables()]
    [2, 3, 4, 5, None]
    """
    return [_table(table, others) for table in _content()["tables"]]


def gain(system: str, score: Score | None) -> Score | None:
    """The paper's numbers in brackets: the points above the same system without persona.

    >>> gain("dim", {"hits@1": 78.8, "MRR": 86.7}), gain("ft_pc", {"hits@1": 60.7})
    ({'hits@1': 15.0, 'MRR': 10.9}, None)
    """
    base = Setting.of(system, "none", "original").system
    starts = [row.scores[0] for row in tables()[0].rows if row.system == base]
    if score is None or not starts:
        return None
    return {name: round(score[name] - starts[0][name], 1) for name in score if name in starts[0]}


@functools.cache
def _content() -> Mapping[str, Any]:
    file = importlib.resources.files(__package__) / "published.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _table(table: Mapping[str, Any], others: tuple[str, ...]) -> Table:
    number, rows = table.get("number"), list(table["rows"])
    if number is None:
        rows = [{"system": system} for system in registry.of_paper()]
    if table["corner"] == "system" and "name" not in rows[0]:
        rows += [{"system": system} for system in others]
    return Table(
        number=number,
        title=table["title"],
        corner=table["corner"],
        columns=[column["name"] for column in table["columns"]],
        rows=[_row(row, table["columns"]) for row in rows],
        with_gains=table.get("with_gains", False),
    )


def _row(row: Mapping[str, Any], columns: list[Mapping[str, Any]]) -> Row:
    system, cells = registry.find(row["system"]), []
    for fields in ({"use_context": True, **column, **row} for column in columns):
        setting = Setting.of(*(fields[name] for name in Setting._fields))
        ignored = fields["persona"] != "none" and not system.reads_persona
        # Without persona a system with a base is that base, which has its own row.
        absent = "name" not in row and (ignored or setting.system != system.name)
        cells.append(None if absent else TableCell(setting, fields["tested_on"]))
    percents = row.get("scores", [[]] * len(columns))
    scores = [dict(zip(MEASURES, each, strict=False)) or None for each in percents]
    return Row(row.get("name", system.title), system.name, cells, scores)
