"""The paper's Tables 2 to 5: their numbers, and what has to be trained and tested for each of them.

Gu et al., EMNLP 2019: hits@1 and MRR in percent on the test split, 20 candidates a turn. The
systems before IMN are copied there from Zhang et al. (2018) and Mazare et al. (2018), without MRR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dim_tf.systems import registry

MEASURES = ("hits@1", "MRR")


class Score(NamedTuple):
    """hits@1 and MRR in percent; None where the paper gives none."""

    hits: float
    mrr: float | None = None


class Setting(NamedTuple):
    """What is trained: a system, the personas it reads, and whether it reads the context.

    DIM without persona is IMN: it is the setting of the system "imn".

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


class Place(NamedTuple):
    """A cell of a table: a trained setting, and the version of the test split it is tested on."""

    setting: Setting
    tested_on: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        name: What the first column says.
        system: Which system has to be there for it.
        places: For each column its cell; None where the paper has none.
        scores: For each column the paper's score; None where it gives none.
    """

    name: str
    system: str
    places: tuple[Place | None, ...]
    scores: tuple[Score | None, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper, or one that the paper could have.

    Args:
        number: 2 to 5; None for one that is not the paper's.
        title: What it compares.
        corner: What the rows are.
        columns: Their names.
        rows: Its rows, in the paper's order.
        with_gains: Whether it shows gains over "no persona".
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


NO_PERSONA: Mapping[str, Score] = MappingProxyType(
    {
        "ir": Score(21.4),
        "starspace": Score(31.8),
        "profile": Score(31.8),
        "kv_profile": Score(34.9),
        "imn": Score(63.8, 75.8),
    }
)
# Self original, self revised, their original, their revised.
WITH_PERSONA: Mapping[str, tuple[Score | None, ...]] = MappingProxyType(
    {
        "ir": (Score(41.0), Score(20.7), Score(18.1), Score(18.1)),
        "starspace": (Score(48.1), Score(32.2), Score(24.5), Score(26.1)),
        "profile": (Score(47.3), Score(35.4), Score(28.3), Score(29.4)),
        "kv_profile": (Score(51.1), Score(35.1), Score(29.1), Score(28.9)),
        "ft_pc": (None, Score(60.7), None, None),
        "imn_ctx": (Score(64.3, 76.2), Score(63.8, 75.8), Score(63.7, 75.8), Score(63.5, 75.7)),
        "imn_utr": (Score(66.7, 78.1), Score(64.0, 76.0), Score(63.9, 75.9), Score(63.7, 75.7)),
        "dim": (Score(78.8, 86.7), Score(70.7, 81.2), Score(64.0, 76.1), Score(63.9, 76.0)),
    }
)
TRAINED_ON_ORIGINAL = "trained on original ones; columns: tested on"
PERSONA_COLUMNS = tuple((p, v) for p in ("self", "their") for v in ("original", "revised"))

DIM = Setting("dim", "self", "original")
DIM_REVISED = Setting("dim", "self", "revised")
DIM_WITHOUT_CONTEXT = Setting("dim", "self", "original", use_context=False)
IMN = Setting("imn", "none", "original")


def base(system: str) -> Setting:
    """The setting without persona from which the gains of a system are counted.

    >>> base("dim"), base("ir").name
    (Setting(system='imn', persona='none', version='original', use_context=True),
     'ir_none_original')
    """
    return Setting(registry.find(system).base or system, "none", "original")


def gain(system: str, score: Score | None) -> Score | None:
    """What the paper shows in brackets: the points above the same without persona.

    >>> gain("dim", Score(78.8, 86.7)), gain("ft_pc", Score(60.7))
    (Score(hits=15.0, mrr=10.9), None)
    """
    start = NO_PERSONA.get(base(system).system)
    if score is None or start is None:
        return None
    mrr = None if score.mrr is None or start.mrr is None else round(score.mrr - start.mrr, 1)
    return Score(round(score.hits - start.hits, 1), mrr)


def tables(others: tuple[str, ...] = ()) -> tuple[Table, ...]:
    """Tables 2 to 5, with a row more in Tables 2 and 3 for each system that the paper lacks.

    One more table has what was trained on original personas, whatever it was tested on.

    >>> [table.number for table in tables()]
    [2, 3, 4, 5, None]
    >>> tables()[1].rows[-1].places[1].setting
    Setting(system='dim', persona='self', version='revised', use_context=True)
    """
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
            columns=tuple(f"{persona}, {version}" for persona, version in PERSONA_COLUMNS),
            rows=tuple(_with_persona(system) for system in (*WITH_PERSONA, *others)),
            with_gains=True,
        ),
        Table(
            number=4,
            title="ablations, persona self, original",
            corner="system",
            columns=("self, original",),
            rows=(
                Row("DIM", "dim", (Place(DIM, "original"),), (Score(78.8, 86.7),)),
                Row("DIM without persona", "dim", (Place(IMN, "original"),), (Score(63.8, 75.8),)),
                Row(
                    "DIM without context",
                    "dim",
                    (Place(DIM_WITHOUT_CONTEXT, "original"),),
                    (Score(48.8, 60.9),),
                ),
            ),
        ),
        Table(
            number=5,
            title="trained on one version of persona self, tested on another",
            corner="DIM",
            columns=("tested on original", "tested on revised"),
            rows=(
                _transferred(DIM, (Score(78.8), Score(66.3))),
                _transferred(DIM_REVISED, (Score(77.6), Score(70.7))),
            ),
        ),
        Table(
            number=None,
            title=TRAINED_ON_ORIGINAL,
            corner="system",
            columns=(*(f"{p}, {v}" for p, v in PERSONA_COLUMNS), "both", "none"),
            rows=tuple(_on_original(system) for system in (*registry.of_paper(), *others)),
        ),
    )


def _without_persona(system: str) -> Row:
    place = Place(Setting(system, "none", "original"), "original")
    return Row(registry.find(system).title, system, (place,), (NO_PERSONA.get(system),))


def _with_persona(system: str) -> Row:
    places = tuple(Place(Setting(system, p, v), v) for p, v in PERSONA_COLUMNS)
    scores = WITH_PERSONA.get(system, (None,) * len(places))
    return Row(registry.find(system).title, system, places, scores)


def _on_original(system: str) -> Row:
    places = [Place(Setting(system, p, "original"), v) for p, v in PERSONA_COLUMNS]
    places.append(Place(Setting(system, "both", "original"), "original"))
    if not registry.find(system).reads_persona:
        places = [None] * len(places)
    # Without persona a system with a base is that one, which has a row of its own.
    places.append(None if registry.find(system).base else Place(base(system), "original"))
    return Row(registry.find(system).title, system, tuple(places), (None,) * len(places))


def _transferred(setting: Setting, scores: tuple[Score, Score]) -> Row:
    places = tuple(Place(setting, version) for version in ("original", "revised"))
    return Row(f"trained on {setting.version}", setting.system, places, scores)
