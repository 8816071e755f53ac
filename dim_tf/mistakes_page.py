"""The analysis of a run's mistakes as a page of HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from dim_tf.mistakes import Analysis, Group, Mistake


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
        _mistake(number, each) for number, each in enumerate(analysis.mistakes, start=1)
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


def _mistake(number: int, each: Mistake) -> str:
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
