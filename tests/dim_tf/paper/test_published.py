"""The numbers of the paper, written down a second time."""

from dim_tf.paper import published
from dim_tf.paper.published import Setting

# Self, original | self, revised | their, original | their, revised, with the gain in brackets.
TABLE_3 = """
IR baseline | 41.0 (+19.6) | 20.7 (-0.7) | 18.1 (-3.3) | 18.1 (-3.3)
Starspace | 48.1 (+16.3) | 32.2 (+0.4) | 24.5 (-7.3) | 26.1 (-5.7)
Profile Memory | 47.3 (+15.5) | 35.4 (+3.6) | 28.3 (-3.5) | 29.4 (-2.4)
KV Profile Memory | 51.1 (+16.2) | 35.1 (+0.2) | 29.1 (-5.8) | 28.9 (-6.0)
FT-PC | - | 60.7 (-) | - | -
IMN_ctx | 64.3 (+0.5) / 76.2 (+0.4) | 63.8 (+0.0) / 75.8 (+0.0) | 63.7 (-0.1) / 75.8 (+0.0) \
| 63.5 (-0.3) / 75.7 (-0.1)
IMN_utr | 66.7 (+2.9) / 78.1 (+2.3) | 64.0 (+0.2) / 76.0 (+0.2) | 63.9 (+0.1) / 75.9 (+0.1) \
| 63.7 (-0.1) / 75.7 (-0.1)
DIM | 78.8 (+15.0) / 86.7 (+10.9) | 70.7 (+6.9) / 81.2 (+5.4) | 64.0 (+0.2) / 76.1 (+0.3) \
| 63.9 (+0.1) / 76.0 (+0.2)
"""


def shown(system, score):
    """A score as above."""
    if score is None:
        return "-"
    gain = published.gain(system, score) or {}
    more = {name: format(points + 0.0, "+.1f") for name, points in gain.items()}
    return " / ".join(f"{value} ({more.get(name, '-')})" for name, value in score.items())


def scores(table):
    return {row.name: [list(score.values()) for score in row.scores] for row in table.rows}


def test_table_2():
    assert scores(published.tables()[0]) == {
        "IR baseline": [[21.4]],
        "Starspace": [[31.8]],
        "Profile Memory": [[31.8]],
        "KV Profile Memory": [[34.9]],
        "IMN": [[63.8, 75.8]],
    }


def test_table_3_and_its_gains():
    rows = published.tables()[1].rows
    found = [" | ".join([row.name, *(shown(row.system, s) for s in row.scores)]) for row in rows]
    assert found == TABLE_3.strip().splitlines()


def test_tables_4_and_5():
    _, _, four, five, _ = published.tables()
    assert list(scores(four).values()) == [[[78.8, 86.7]], [[63.8, 75.8]], [[48.8, 60.9]]]
    assert list(scores(five).values()) == [[[78.8], [66.3]], [[77.6], [70.7]]]


def test_a_system_that_the_paper_lacks_has_rows_without_scores():
    two, three, *_ = published.tables(("fire",))
    assert two.rows[-1].name == three.rows[-1].name == "fire"
    assert three.rows[-1].scores == [None] * 4
    assert three.rows[-1].cells[0].base.setting == Setting("fire", "none", "original")
    assert published.gain("fire", {"hits@1": 80.0}) is None
