import re

import pytest

from dim_tf.paper import published
from dim_tf.paper.published import Setting


def rows_of(text, table):
    """The first column and the cells of a table of the reference file."""
    lines = text.split(f"**Table {table}")[1].split("**Table")[0].splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def shown(system, score):
    """A score as the reference file writes it, with the gain in brackets."""
    if score is None:
        return "-"
    gain = published.gain(system, score) or {}
    more = {name: format(points + 0.0, "+.1f") for name, points in gain.items()}
    return " / ".join(f"{value} ({more.get(name, '-')})" for name, value in score.items())


@pytest.fixture
def text(shared):
    tables = (shared / "paper_tables.md").read_text(encoding="utf-8")
    return re.sub(r"\bProfile\b(?! Memory)", "Profile Memory", tables)  # shortened there


def test_table_2_is_the_papers(text):
    line = next(line for line in text.splitlines() if line.startswith("**Table 2"))
    found = re.findall(r"([A-Z][A-Za-z ]+) (\d+\.\d)(?: / (\d+\.\d))?[,.]", line)
    (table, *_) = published.tables()
    expected = [(row.name, *row.scores[0].values()) for row in table.rows]
    assert [(name, *map(float, filter(None, each))) for name, *each in found] == expected


def test_table_3_is_the_papers_with_its_gains(text):
    table = published.tables()[1]
    found = {row.name: [shown(row.system, score) for score in row.scores] for row in table.rows}
    expected = rows_of(text, 3)
    assert {n: [c.replace("-0.0", "+0.0") for c in cells] for n, cells in expected.items()} == found


def test_tables_4_and_5_are_the_papers(text):
    _, _, four, five, _ = published.tables()
    numbers = [float(n) for n in re.findall(r"\d+\.\d", text.split("**Table 4")[1])]
    of_four = [value for row in four.rows for value in row.scores[0].values()]
    of_five = [score["hits@1"] for row in five.rows for score in row.scores]
    assert numbers[: len(of_four) + len(of_five)] == of_four + of_five


def test_a_system_that_the_paper_lacks_has_rows_without_scores():
    two, three, *_ = published.tables(("fire",))
    assert two.rows[-1].name == three.rows[-1].name == "fire"
    assert three.rows[-1].scores == [None] * 4
    assert three.rows[-1].cells[0].base.setting == Setting("fire", "none", "original")
    assert published.gain("fire", {"hits@1": 80.0}) is None
