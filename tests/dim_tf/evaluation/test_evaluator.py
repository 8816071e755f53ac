import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation import evaluator
from tests.scored import scored


def test_order_puts_the_gold_reply_last_among_ties_and_leaves_out_absent_candidates():
    some = scored([[1, 3, 1, 1, 9]], [2], [[1, 1, 1, 1, 0]])
    assert some.order(0).tolist() == [1, 0, 3, 2]
    assert some.ranks.tolist() == [4]


def test_sample_is_fixed_sorted_and_without_repeats():
    rows = evaluator.sample_rows(7801, 500)
    assert len(set(rows.tolist())) == 500
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, evaluator.sample_rows(7801, 500))
    np.testing.assert_array_equal(evaluator.sample_rows(5, None), np.arange(5))


def test_evaluate_scores_each_turn_once_whatever_the_batch_size(prepared):
    data = PreparedData.load(prepared)
    table = data.table("test", "self", "original")
    config = ModelConfig(**data.sizes)
    rows = np.array([0, 3, 4, 9, 13])
    shapes, turns = set(), []

    def scorer(inputs):
        shapes.add(inputs["responses"].shape)
        return inputs["responses"].sum(axis=2).astype("float32")

    scorer.names = ("responses",)
    found = evaluator.evaluate(scorer, data, table, config, rows, 3, turns.append)
    assert turns == [3, 2]
    assert len(shapes) == 1
    inputs, target = data.inputs(table, rows, config)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.target, target)
    np.testing.assert_array_equal(found.logits, inputs["responses"].sum(axis=2))
    np.testing.assert_array_equal(found.present, inputs["responses_len"] > 0)
    whole = evaluator.evaluate(scorer, data, table, config)
    np.testing.assert_array_equal(whole.logits[rows], found.logits)
