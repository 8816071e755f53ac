import numpy as np
import pytest

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation import error_analysis
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


def test_the_surest_mistakes_come_first_and_right_answers_never(data, table):
    rows = [2, 3, 5, 7, 11]
    result = ranked(table, rows, [0, 1, 0, 0, 1], [1.0, 9.0, 3.0, 2.0, 9.0])
    found = error_analysis.analyse(result, data, table, 2, CONFIG)
    assert [each.row for each in found.mistakes] == [5, 7]
    assert (found.turns, found.wrong) == (5, 3)
    first, texts = found.mistakes[0], data.texts(table, 5)
    assert first.gold == texts["candidates"][texts["target"]]
    assert first.choice == texts["candidates"][(texts["target"] + 1) % 6]
    assert first.persona == texts["persona"]
    assert first.context == texts["context"]
    # e^3 against five scores of 0; the gold ties with all the others and comes last.
    assert first.choice_probability == pytest.approx(np.exp(3) / (np.exp(3) + 5))
    assert first.gold_probability == pytest.approx(1 / (np.exp(3) + 5))
    assert (first.gold_rank, first.candidates) == (6, 6)


def test_a_tie_is_a_mistake_whose_choice_is_not_the_gold_reply(data, table):
    result = ranked(table, [0], [1], [0.0])
    found = error_analysis.analyse(result, data, table, 5, CONFIG)
    assert [each.gold_rank for each in found.mistakes] == [6]
    assert found.mistakes[0].choice != found.mistakes[0].gold


def test_calibrated_probabilities_where_there_is_a_calibration(data, table):
    result = ranked(table, [0], [0], [3.0])
    found = error_analysis.analyse(result, data, table, 1, CONFIG, calibration(temperature=3.0))
    expected = np.exp(1) / (np.exp(1) + 5)
    assert found.mistakes[0].choice_probability == pytest.approx(expected)
    assert dict(found.facts())["probabilities"] == "calibrated, temperature 3.0000"
    plain = error_analysis.analyse(result, data, table, 1, CONFIG)
    assert "not calibrated" in dict(plain.facts())["probabilities"]


def test_groups_hold_every_turn_once_and_their_mean_is_the_whole(data, table):
    rows = list(range(len(table)))
    right = [number % 3 == 0 for number in rows]
    found = error_analysis.analyse(
        ranked(table, rows, right, [1.0] * len(rows)), data, table, 0, CONFIG
    )
    assert len(found.groupings) == 3
    for groups in found.groupings.values():
        assert sum(group.turns for group in groups) == len(rows)
        hits = sum(group.turns * group.hits for group in groups)
        assert hits == pytest.approx(sum(right))
        assert all(group.low <= group.hits <= group.high for group in groups)
    # Each dialogue has two turns, and the context of the second one holds the first.
    contexts = found.groupings["utterances of context"]
    assert [(group.label, group.turns) for group in contexts] == [("1", 7), ("3", 7)]
    (length,) = found.groupings["words of the gold reply"]
    assert length.label == "1 to 5"
    (sharing,) = found.groupings["content words of the gold reply"]
    assert sharing.label == "shared with the persona"


def test_a_context_is_as_long_as_the_model_reads(data, table):
    rows = list(range(len(table)))
    result = ranked(table, rows, [True] * len(rows), [1.0] * len(rows))
    found = error_analysis.analyse(result, data, table, 0, CONFIG.replace(max_utterances=2))
    labels = [group.label for group in found.groupings["utterances of context"]]
    assert labels == ["1", "2 or more"]


@pytest.mark.parametrize(
    ("changes", "profiles"), [({"max_profiles": 1}, 1), ({"use_persona": False}, 0)]
)
def test_the_persona_is_as_long_as_the_model_reads(data, table, changes, profiles):
    result = ranked(table, [0], [0], [1.0])
    assert len(data.texts(table, 0)["persona"]) > 1
    found = error_analysis.analyse(result, data, table, 1, CONFIG.replace(**changes))
    assert len(found.mistakes[0].persona) == profiles


def test_without_a_persona_there_is_nothing_to_share(data):
    table = data.table("test", "none", "original")
    found = error_analysis.analyse(
        ranked(table, [0, 1], [1, 0], [1.0, 1.0]), data, table, 1, CONFIG
    )
    (group,) = found.groupings["content words of the gold reply"]
    assert (group.label, group.turns) == ("no persona shown", 2)
    assert found.mistakes[0].persona == []


@pytest.mark.parametrize(
    ("gold", "persona", "label"),
    [
        ("I love Hiking!", ["hiking is fun ."], "shared with the persona"),
        ("i am the one with you", ["i am the one with you ."], "not in the persona"),
        ("i'm glad", ["i'm a nurse ."], "not in the persona"),
        ("what names", ["my names"], "not in the persona"),
        ("my class", ["clas"], "not in the persona"),
        ("the bus", ["buses"], "not in the persona"),
        ("", ["dogs"], "not in the persona"),
        ("ça va", ["ÇA"], "shared with the persona"),
    ],
)
def test_sharing_is_of_content_words(gold, persona, label):
    assert error_analysis.sharing_group(gold, persona)[1] == label


def test_text_shows_each_mistake_and_who_spoke(data, table):
    result = ranked(table, [1], [0], [3.0])
    shown = error_analysis.text(error_analysis.analyse(result, data, table, 4, CONFIG))
    texts = data.texts(table, 1)
    lines = [line.strip() for line in shown.splitlines()]
    assert "mistakes: 1, here the 1 most confident" in lines
    assert "1. turn 1: the gold reply has rank 6 of 6" in lines
    speakers = [line.split()[0] for line in lines if line.startswith(("self ", "partner "))]
    assert speakers == ["partner", "self", "partner"]
    assert f"persona  {texts['persona'][0]}" in lines
    assert f"gold     0.0399  {texts['candidates'][texts['target']]}" in lines
