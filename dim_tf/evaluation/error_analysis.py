"""Where a run goes wrong: its most confident mistakes, and hits@1 by kinds of turns."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.evaluation import significance
from dim_tf.evaluation.calibration import Calibration

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.data.dataset import PreparedData
    from dim_tf.evaluation.evaluator import Result

# The last word count of each group of replies; longer ones are a group of their own.
LENGTHS = (5, 10, 15, 20)
_WORD = re.compile(r"\w+")
# English words that say little by themselves, those of small talk, and what an apostrophe leaves.
_COMMON = """
a about after again all also always am an and another any are as at back be because been before
being both but by can could d did do does doing don done down each either else even ever every
for from get gets getting go goes going gonna good got great had has have having he hello her
here hers hey hi him his how i if in into is it its just kind know let like likes ll lot lots m
make makes many may maybe me might mine more most much must my name never no none nor not
nothing now of off oh ok okay on once one only or other our ours out over own please pretty
quite re really s same say see she should since so some someone something sometimes still such
sure t than thank thanks that the their theirs them then there these they thing things think
this those though through to too under until up us ve very want wants was we well were what when
where which while who whom whose why will with without would yea yeah yes yet you your yours
"""
COMMON_WORDS = frozenset(_COMMON.split())


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A turn whose best candidate is not the gold reply.

    Attributes:
        row: Of the turn in its table; `query_id` of the scores file.
        persona: The profiles that the model was shown.
        context: The utterances, oldest first; the last is the partner's.
        gold: The gold reply.
        choice: The candidate that the model put first.
        gold_probability: Of the gold reply.
        choice_probability: Of the choice.
        gold_rank: Of the gold reply, from 2.
        candidates: How many there were.
    """

    row: int
    persona: Sequence[str]
    context: Sequence[str]
    gold: str
    choice: str
    gold_probability: float
    choice_probability: float
    gold_rank: int
    candidates: int

    def spoken(self) -> list[tuple[str, str]]:
        """The utterances with who said them: "partner" or "self"."""
        last = len(self.context) - 1
        return [
            ("self" if (last - place) % 2 else "partner", text)
            for place, text in enumerate(self.context)
        ]


@dataclasses.dataclass(frozen=True)
class Group:
    """Turns that have something in common.

    Attributes:
        label: What.
        turns: How many there are.
        hits: Their hits@1.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
    """

    label: str
    turns: int
    hits: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What was found about the turns of a table.

    Attributes:
        table: Its name.
        turns: How many of its turns were ranked.
        wrong: How many of them wrongly.
        temperature: T of the probabilities; None if they are not calibrated.
        groupings: By what turns were grouped -> the groups.
        mistakes: The most confident ones, the surest first.
    """

    table: str
    turns: int
    wrong: int
    temperature: float | None
    groupings: Mapping[str, Sequence[Group]]
    mistakes: Sequence[Mistake]

    def facts(self) -> list[tuple[str, str]]:
        """Names and values to stand above all."""
        probabilities = "softmax of the scores; not calibrated (python -m dim_tf.calibrate)"
        if self.temperature is not None:
            probabilities = f"calibrated, temperature {self.temperature:.4f}"
        return [
            ("turns", f"{self.turns:,} of {self.table}"),
            ("mistakes", f"{self.wrong:,}, here the {len(self.mistakes):,} most confident"),
            ("hits@1", f"{1 - self.wrong / self.turns:.4f}"),
            ("probabilities", probabilities),
        ]


def analyse(
    result: Result,
    data: PreparedData,
    table: TurnTable,
    count: int,
    config: ModelConfig,
    calibration: Calibration | None = None,
) -> Analysis:
    """The `count` most confident mistakes among ranked turns, and hits@1 by kinds of turns.

    Confidence is the probability of the wrong choice. Ties count against the gold reply.

    Args:
        result: The ranked turns.
        data: Where they come from.
        table: Their table.
        count: How many mistakes.
        config: Of the model: how much of a turn it reads.
        calibration: Of the run, if there is one.
    """
    chances = result.probabilities
    if calibration is not None:
        chances = calibration.probabilities(result.logits, result.present)
    wrong = np.flatnonzero(result.ranks > 1)
    surest = wrong[np.argsort(-chances[wrong].max(axis=1, initial=0), kind="stable")][:count]
    return Analysis(
        table=table.name,
        turns=len(result.rows),
        wrong=len(wrong),
        temperature=calibration and calibration.temperature,
        groupings=_groupings(result, data, table, config),
        mistakes=[
            _mistake(result, _shown(data.texts(table, result.rows[n]), config), chances[n], n)
            for n in surest
        ],
    )


def _shown(texts: Mapping[str, Any], config: ModelConfig) -> dict[str, Any]:
    """The texts of a turn with those profiles that the model reads."""
    return {**texts, "persona": texts["persona"][: config.max_profiles * config.use_persona]}


def _mistake(result: Result, texts: Mapping[str, Any], chances: np.ndarray, number: int) -> Mistake:
    gold, choice = int(result.target[number]), int(result.order(number)[0])
    return Mistake(
        row=int(result.rows[number]),
        persona=texts["persona"],
        context=texts["context"],
        gold=texts["candidates"][gold],
        choice=texts["candidates"][choice],
        gold_probability=float(chances[gold]),
        choice_probability=float(chances[choice]),
        gold_rank=int(result.ranks[number]),
        candidates=int(result.present[number].sum()),
    )


def _groupings(
    result: Result, data: PreparedData, table: TurnTable, config: ModelConfig
) -> dict[str, list[Group]]:
    utterances = (table.context[result.rows] != ABSENT).sum(axis=1)
    contexts, lengths, sharing = [], [], []
    for row, said in zip(result.rows, utterances, strict=True):
        texts = _shown(data.texts(table, row), config)
        gold = texts["candidates"][texts["target"]]
        contexts.append(context_group(int(said), config.max_utterances))
        lengths.append(length_group(len(gold.split())))
        sharing.append(sharing_group(gold, texts["persona"]))
    hits = (result.ranks == 1).astype("float64")
    return {
        "utterances of context": _groups(contexts, hits),
        "words of the gold reply": _groups(lengths, hits),
        "content words of the gold reply": _groups(sharing, hits),
    }


def context_group(utterances: int, most: int) -> tuple[int, str]:
    """The group of contexts of so many utterances, of which a model reads the last `most`.

    >>> context_group(3, most=15), context_group(15, most=15)
    ((3, '3'), (15, '15 or more'))
    """
    return (utterances, str(utterances)) if utterances < most else (most, f"{most} or more")


def length_group(words: int) -> tuple[int, str]:
    """The group of replies of so many words: its place and its label.

    >>> length_group(1), length_group(10), length_group(21)
    ((0, '1 to 5'), (1, '6 to 10'), (4, '21 or more'))
    """
    place = int(np.searchsorted(LENGTHS, words))
    first = 1 if place == 0 else LENGTHS[place - 1] + 1
    return place, f"{first} or more" if place == len(LENGTHS) else f"{first} to {LENGTHS[place]}"


def sharing_group(gold: str, persona: Sequence[str]) -> tuple[int, str]:
    """Whether a reply shares content words with the profiles.

    >>> sharing_group("my dog's asleep", ["i like my two dogs ."])
    (0, 'shared with the persona')
    >>> sharing_group("i like my cat", ["i like my two dogs ."])
    (1, 'not in the persona')
    """
    if not persona:
        return 2, "no persona shown"
    known = set().union(*map(content_words, persona))
    if content_words(gold) & known:
        return 0, "shared with the persona"
    return 1, "not in the persona"


def content_words(text: str) -> set[str]:
    """The words of a text that are not in `COMMON_WORDS`, without a plural's s.

    That is a rough rule for English: "dogs" is "dog" and "glass" stays, but "ran" is not "run".

    >>> sorted(content_words("i've 2 Dogs and a glass of tea, what names!"))
    ['2', 'dog', 'glass', 'tea']
    """
    words = {word.lower() for word in _WORD.findall(text)} - COMMON_WORDS
    single = {
        word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word
        for word in words
    }
    return single - COMMON_WORDS


def _groups(labels: Sequence[tuple[int, str]], hits: np.ndarray) -> list[Group]:
    groups = []
    for label in sorted(set(labels)):
        chosen = hits[[each == label for each in labels]]
        interval = significance.interval(chosen)
        groups.append(Group(label[1], len(chosen), float(chosen.mean()), *interval))
    return groups


def text(analysis: Analysis) -> str:
    """The analysis as plain text."""
    lines = [f"{name}: {value}" for name, value in analysis.facts()]
    lines += ["", *table_lines(analysis)]
    for number, each in enumerate(analysis.mistakes, start=1):
        lines += [
            "",
            f"{number}. turn {each.row}: the gold reply has rank {each.gold_rank} of "
            f"{each.candidates}",
        ]
        lines += [f"   persona  {profile}" for profile in each.persona]
        lines += [f"   {speaker:9}{utterance}" for speaker, utterance in each.spoken()]
        lines += [f"   choice   {each.choice_probability:.4f}  {each.choice}"]
        lines += [f"   gold     {each.gold_probability:.4f}  {each.gold}"]
    return "\n".join(lines) + "\n"


def table_lines(analysis: Analysis) -> list[str]:
    """hits@1 of the groups, with 95 % intervals, as lines of text."""
    lines = []
    for name, groups in analysis.groupings.items():
        lines.append(f"{name:32}{'turns':>7}  hits@1")
        lines += [
            f"  {group.label:30}{group.turns:>7,}  {group.hits:.3f} "
            f"[{group.low:.3f}, {group.high:.3f}]"
            for group in groups
        ]
    return lines


# The analysis of a run's mistakes as a page of HTML.


def page(analysis: Analysis, heading: str) -> str:
    """One HTML file that needs no other, for light and dark colour schemes.

    Args:
        analysis: What to show.
        heading: Of the page.
    """
    facts = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>\n"
        for name, value in analysis.facts()
    )
    tables = "".join(_table(name, groups) for name, groups in analysis.groupings.items())
    mistakes = "".join(
        _article(number, each) for number, each in enumerate(analysis.mistakes, start=1)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(heading)}</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{html.escape(heading)}</h1>\n<dl>\n{facts}</dl>\n"
        f'<h2>hits@1 by kinds of turns</h2>\n<div class="tables">\n{tables}</div>\n'
        f"<h2>Most confident mistakes</h2>\n{mistakes or '<p>None.</p>'}\n</html>\n"
    )


def _table(name: str, groups: Sequence[Group]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(group.label)}</th><td>{group.turns:,}</td>'
        f"<td>{group.hits:.3f}</td><td>{group.low:.3f} to {group.high:.3f}</td></tr>\n"
        for group in groups
    )
    return (
        f'<table>\n<tr><th scope="col">{html.escape(name)}</th><th scope="col">turns</th>'
        f'<th scope="col">hits@1</th><th scope="col">95 % interval</th></tr>\n{rows}</table>\n'
    )


def _article(number: int, each: Mistake) -> str:
    persona = "".join(f"<li>{html.escape(profile)}</li>\n" for profile in each.persona)
    context = "".join(
        f'<p class="{speaker}"><b>{speaker}</b> {html.escape(text)}</p>\n'
        for speaker, text in each.spoken()
    )
    shown = f'<ul class="persona">\n{persona}</ul>\n' if persona else ""
    return (
        f"<article>\n<h3>{number}. Turn {each.row}</h3>\n{shown}{context}"
        f"{_reply('choice', each.choice, each.choice_probability)}"
        f"{_reply('gold', each.gold, each.gold_probability)}"
        f"<p><small>The gold reply has rank {each.gold_rank} of {each.candidates}.</small></p>\n"
        "</article>\n"
    )


def _reply(kind: str, text: str, probability: float) -> str:
    return (
        f'<p class="{kind}"><b>{kind}</b> <meter value="{probability:.4f}"></meter> '
        f"{probability:.4f} {html.escape(text)}</p>\n"
    )


_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --text: #1c2430; --line: #d5dae3;
        --good: #1d6b3a; --bad: #a3322a }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181f; --text: #e2e6ee; --line: #38404e; --good: #7fd49b; --bad: #ff9d94 }
}
body { background: var(--paper); color: var(--text); font: 15px/1.4 system-ui, sans-serif;
       margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
dl { display: grid; grid-template-columns: max-content auto; gap: .2rem 1rem }
dt { font-weight: 600 }
dd { margin: 0 }
.tables { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: start }
table { border-collapse: collapse; font-size: 13px }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .6rem; text-align: right }
th:first-child { text-align: left }
th[scope=row] { font-weight: 400 }
article { border-top: 1px solid var(--line); padding: .5rem 0 }
article p { margin: .2rem 0; overflow-wrap: anywhere }
article b { display: inline-block; min-width: 4.5rem; font-weight: 400; opacity: .7 }
.persona { margin: .2rem 0 .5rem; opacity: .85 }
.gold, .gold b { color: var(--good) }
.choice, .choice b { color: var(--bad) }
"""
