"""Each update sees the gold and K wrong replies, drawn from (seed, update) alone."""

import numpy as np
import pytest

from dim_tf.config import TrainingConfig
from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.errors import ConfigError
from dim_tf.training.negative_sampling import NegativeSampler, gold_of_batch
from dim_tf.training.state import training_rows


def table(turns=40, candidates=20, dialogues=8):
    """Turn n has the gold reply n // 2; its first n % 20 wrong replies are there."""
    rng = np.random.default_rng(5)
    gold = np.arange(turns) // 2
    target = rng.integers(0, candidates, turns)
    columns = np.full((turns, candidates), ABSENT)
    for turn in range(turns):
        wrong = [column for column in range(candidates) if column != target[turn]]
        there = wrong[: turn % candidates]
        columns[turn, there] = 1000 + 100 * turn + np.arange(len(there))
        columns[turn, target[turn]] = gold[turn]
    nothing = np.zeros((turns, 1), int)
    return TurnTable(
        "train",
        "self",
        "original",
        context=nothing,
        candidates=columns,
        target=target,
        self_profiles=nothing,
        partner_profiles=nothing,
        dialogue=np.arange(turns) * dialogues // turns,
    )


def sampler(turns, **settings):
    config = TrainingConfig(**settings)
    return NegativeSampler(turns, training_rows(turns.dialogue, config), config)


def gold_of(turns):
    return turns.candidates[np.arange(len(turns)), turns.target]


def test_listed_negatives_are_those_with_the_smallest_numbers_drawn():
    turns, rows = table(), np.array([39, 0, 3, 18, 19])
    drawn = sampler(turns, negatives="4", seed=7).draw(rows, update=11)
    numbers = np.random.default_rng(np.random.SeedSequence([7, 11, 1])).random((5, 20))
    for place, row in enumerate(rows):
        wrong = [
            column
            for column in np.argsort(numbers[place])
            if turns.candidates[row, column] != ABSENT and column != turns.target[row]
        ]
        expected = {turns.target[row], *wrong[:4]}
        found = drawn.candidates[place][drawn.candidates[place] != ABSENT]
        assert found.tolist() == [turns.candidates[row, column] for column in sorted(expected)]
    assert drawn.candidates.shape == (5, 5)
    assert (gold_of(drawn) == turns.candidates[rows, turns.target[rows]]).all()
    assert (drawn.dialogue == turns.dialogue[rows]).all()


def test_all_negatives_are_drawn_over_time():
    turns = table()
    draws = sampler(turns, negatives="4")
    each = [draws.draw(np.array([19]), update).candidates[0] for update in range(1, 40)]
    assert {*np.concatenate(each)} == {*turns.candidates[19]}
    again = sampler(turns, negatives="4").draw(np.array([19]), 3).candidates[0]
    assert (again == each[2]).all() and (each[2] != each[3]).any()


def test_split_negatives_are_replies_of_other_dialogues_and_other_texts():
    turns, count = table(turns=60), 9
    draws = sampler(turns, negatives=str(count), negatives_from="split")
    everything = set(gold_of(turns))
    seen = set()
    for update in range(1, 60):
        drawn = draws.draw(np.array([7, 8, 59]), update)
        for row, candidates in zip([7, 8, 59], drawn.candidates, strict=True):
            own = set(gold_of(turns)[turns.dialogue == turns.dialogue[row]])
            assert candidates[0] == gold_of(turns)[row]
            assert len({*candidates}) == count + 1
            assert {*candidates[1:]} <= everything - own
            seen |= {*candidates[1:]} if row == 7 else set()
    assert seen == everything - set(gold_of(turns)[turns.dialogue == turns.dialogue[7]])


def test_split_with_fewer_replies_than_asked_for_gives_all_of_them():
    drawn = sampler(table(turns=8), negatives="9", negatives_from="split").draw(np.array([0]), 1)
    assert sorted(drawn.candidates[0]) == [*[ABSENT] * 6, 0, 1, 2, 3]


def test_a_schedule_counts_the_updates():
    draws = sampler(table(), negatives="4:2 9:5 19")
    assert [draws.negatives(update) for update in range(1, 8)] == [4, 4, 9, 9, 9, 19, 19]
    assert sampler(table()).negatives(1) is None
    assert draws.draw(np.array([1]), 6).candidates.shape == (1, 20)


@pytest.mark.parametrize(
    "text", ["", "0", "4:1000", "4 19", "4:1000 9:1000 19", "4:9:1", "-4", "4:1e3 19", "x"]
)
def test_a_bad_schedule_is_refused(text):
    with pytest.raises(ConfigError, match="negatives"):
        TrainingConfig(negatives=text)


def test_fractions_of_the_dialogues_are_nested_and_whole():
    dialogue = np.repeat(np.arange(50), 3)
    previous = set()
    for fraction in (0.01, 0.125, 0.25, 0.5, 1.0):
        rows = training_rows(dialogue, TrainingConfig(train_dialogues=fraction, seed=3))
        kept = set(dialogue[rows])
        assert previous <= kept and len(kept) == max(1, round(50 * fraction))
        assert len(rows) == 3 * len(kept)
        previous = kept
    assert (rows == np.arange(150)).all()
    half = TrainingConfig(train_dialogues=0.5, seed=3)
    one, other = (training_rows(dialogue, half.replace(seed=seed)) for seed in (3, 4))
    assert set(dialogue[one]) != set(dialogue[other])


def test_in_a_batch_every_turn_has_the_gold_replies_of_all():
    turns = table().take(np.array([3, 9, 2, 30]))  # turns 2 and 3 have the same reply
    candidates, target = gold_of_batch(turns)
    assert candidates.tolist() == [[1, 4, 15, ABSENT]]
    assert candidates[0, target].tolist() == gold_of(turns).tolist()
    with pytest.raises(ConfigError, match="negatives_from: batch takes all"):
        TrainingConfig(negatives="3", negatives_from="batch")
