import dataclasses
import re

import numpy as np
import pytest
from markupsafe import escape

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation import error_analysis
from dim_tf.evaluation.error_analysis import Analysis, Mistake, Slice
from dim_tf.evaluation.evaluator import Result
from tests.tiny_calibration import calibration

CONFIG = ModelConfig(char_vocab_size=9)


@pytest.fixture(scope="module")
def data(prepared):
    return PreparedData.load(prepared)


@pytest.fixture(scope="module")
def table(data):
    return data.table("test", "self", "original")


def ranked(table, rows, right, confidence):
    """Turns answered rightly or wrongly, in which the best candidate leads by `confidence`."""
    target = table.target[rows]
    logits = np.zeros((len(rows), table.candidates.shape[1]), "float32")
    for number, gold in enumerate(target):
        best = gold if right[number] else (gold + 1) % logits.shape[1]
        logits[number, best] = confidence[number]
    return Result(np.array(rows), logits, target, np.ones(logits.shape, bool))


def test_the_most_confident_mistakes_come_first_and_right_answers_never(data, table):
    rows = [2, 3, 5, 7, 11]
    result = ranked(table, rows, [0, 1, 0, 0, 1], [1.0, 9.0, 3.0, 2.0, 9.0])
    found = error_analysis.analyse(result, data, table, 2, CONFIG)
    assert [each.row for each in found.most_confident] == [5, 7]
    assert (found.turns, found.wrong) == (5, 3)
    first, texts = found.most_confident[0], data.texts(table, 5)
    assert first.gold == texts["candidates"][texts["target"]]
    assert first.choice == texts["candidates"][(texts["target"] + 1) % 6]
    assert first.persona == texts["persona"]
    assert [text for _, text in first.utterances] == texts["context"]
    # e^3 against five scores of 0; the gold ties with all the others and comes last.
    assert first.choice_probability == pytest.approx(np.exp(3) / (np.exp(3) + 5))
    assert first.gold_probability == pytest.approx(1 / (np.exp(3) + 5))
    assert (first.gold_rank, first.candidates) == (6, 6)


def test_calibrated_probabilities_where_there_is_a_calibration(data, table):
    result = ranked(table, [0], [0], [3.0])
    found = error_analysis.analyse(result, data, table, 1, CONFIG, calibration(temperature=3.0))
    expected = np.exp(1) / (np.exp(1) + 5)
    assert found.most_confident[0].choice_probability == pytest.approx(expected)
    assert "\nprobabilities: calibrated, temperature 3.0000\n\n" in found.text()
    plain = error_analysis.analyse(result, data, table, 1, CONFIG)
    assert "not calibrated" in plain.text() and "not calibrated" in plain.page("Mistakes")


def test_slices_hold_every_turn_once_and_their_mean_is_the_whole(data, table):
    rows = list(range(len(table)))
    right = [number % 3 == 0 for number in rows]
    found = error_analysis.analyse(
        ranked(table, rows, right, [1.0] * len(rows)), data, table, 0, CONFIG
    )
    assert len(found.slices) == 3
    for slices in found.slices.values():
        assert sum(each.turns for each in slices) == len(rows)
        hits = sum(each.turns * each.hits for each in slices)
        assert hits == pytest.approx(sum(right))
        assert all(each.low <= each.hits <= each.high for each in slices)
    # Each dialogue has two turns, and the context of the second one holds the first.
    contexts = found.slices["utterances of context"]
    assert [(each.label, each.turns) for each in contexts] == [("1", 7), ("3", 7)]
    (length,) = found.slices["tokens of the gold reply"]
    assert length.label == "1 to 5"
    (sharing,) = found.slices["content words of the gold reply"]
    assert sharing.label == "shared with the persona"


@pytest.mark.parametrize(
    ("changes", "profiles", "shared"),
    [
        ({"max_profiles": 1, "max_utterances": 2}, 1, "shared with the persona"),
        ({"use_persona": False, "max_utterances": 2}, 0, "no persona shown"),
        ({"use_context": False, "max_utterances": 2}, 2, "shared with the persona"),
    ],
)
def test_persona_and_context_are_as_long_as_the_model_reads(data, table, changes, profiles, shared):
    result = ranked(table, [0, 1], [1, 0], [1.0, 1.0])
    config = CONFIG.replace(**changes)
    (mistake,) = error_analysis.analyse(result, data, table, 1, config).most_confident
    assert len(mistake.persona) == profiles
    context = data.texts(table, 1)["context"]
    assert [text for _, text in mistake.utterances] == context[-2:] * config.use_context
    found = error_analysis.analyse(result, data, table, 1, config)
    labels = [each.label for slices in found.slices.values() for each in slices]
    assert labels[:2] == ["1", "2 or more"] and shared in labels


@pytest.mark.parametrize(
    ("gold", "persona", "shared"),
    [
        ("I hiked!", ["hiking is fun ."], True),
        ("ça va", ["ÇA"], True),
        ("i am the one with you", ["i am the one with you ."], False),
        ("i'm glad", ["i'm a nurse ."], False),
        ("", ["dogs"], False),
    ],
)
def test_sharing_is_of_content_words(gold, persona, shared):
    label = error_analysis.overlap_slice(gold, persona, error_analysis.content_words())[1]
    assert label == ("shared with the persona" if shared else "not in the persona")


def test_text_shows_each_mistake_and_who_spoke(data, table):
    result = ranked(table, [1], [0], [3.0])
    shown = error_analysis.analyse(result, data, table, 4, CONFIG).text()
    texts = data.texts(table, 1)
    lines = [line.strip() for line in shown.splitlines()]
    assert "mistakes: 1; the 1 most confident follow" in lines
    assert not shown.startswith("\n") and "\n\n\n" not in shown and shown.endswith("\n")
    assert "1. turn 1: the gold reply has rank 6 of 6" in lines
    speakers = [line.split()[0] for line in lines if line.startswith(("self ", "partner "))]
    assert speakers == ["partner", "self", "partner"]
    assert f"persona  {texts['persona'][0]}" in lines
    assert f"gold     0.0399  {texts['candidates'][texts['target']]}" in lines


EVIL = "<script>alert('&')</script>"
MISTAKE = Mistake(
    row=7,
    persona=[EVIL],
    utterances=[("self", "hello"), ("partner", EVIL)],
    gold=EVIL,
    choice="no",
    gold_probability=0.25,
    choice_probability=0.625,
    gold_rank=3,
    candidates=20,
)


def page(*mistakes):
    slices = {EVIL: [Slice(EVIL, 4, 0.75, 0.5, 1.0)]}
    return Analysis(EVIL, 4, len(mistakes), None, slices, mistakes).page(EVIL)


def test_page_shows_every_text_escaped_and_loads_no_other_file():
    shown = page(MISTAKE)
    # Title, heading, table of the facts, name and label of the slices, and three of the mistake.
    assert EVIL not in shown and shown.count(escape(EVIL)) == 8
    assert 'value="0.6250"' in shown and 'value="0.2500"' in shown
    assert "The gold reply has rank 3 of 20." in shown
    assert not re.search(r"<(link|img)|href=|src=|url\(", shown)
    assert "prefers-color-scheme: dark" in shown


def test_page_without_mistakes_or_persona():
    assert "None." in page()
    assert "<ul" not in page(dataclasses.replace(MISTAKE, persona=[], utterances=[]))
