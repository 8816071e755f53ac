"""KV Profile Memory against a slow NumPy version of its second hop."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf import train
from dim_tf.errors import UsageError
from dim_tf.models import kv_profile_memory
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests import numpy_bags
from tests.random_model import CONFIG, random_inputs, word_table
from tests.run_content import content


@pytest.mark.backend
def test_the_second_hop(monkeypatch, tmp_path):
    monkeypatch.setattr(kv_profile_memory, "BLOCK", 3)  # several blocks, the last one shorter
    model, table = build_model("kv_profile_memory", CONFIG, word_table()), word_table()
    pairs, inputs = (random_inputs(np.random.default_rng(seed), batch=8) for seed in (5, 6))
    model.adapt([{n: v[part] for n, v in pairs.items()} for part in (slice(5), slice(5, 8))], [])

    def query_of(table, inputs, turn):
        query = numpy_bags.unit(numpy_bags.profile_memory(table, inputs, turn, True, True))
        turns = range(8)
        keys = [numpy_bags.unit(numpy_bags.context(table, pairs, turn)) for turn in turns]
        values = [numpy_bags.unit(numpy_bags.reply(table, pairs, turn, 0)) for turn in turns]
        weights = numpy_bags.softmax([kv_profile_memory.SHARPNESS * query @ key for key in keys])
        hop = sum(w * value for w, value in zip(weights, values, strict=True))
        return query + kv_profile_memory.GAIN * hop

    expected = numpy_bags.logits(query_of, table, inputs)
    np.testing.assert_allclose(Scorer(model)(inputs), expected, rtol=0, atol=1e-5)
    model.save_weights(tmp_path / "best.weights.h5")
    loaded = build_model("kv_profile_memory", CONFIG, word_table())
    without = Scorer(loaded)(inputs)
    loaded.load_weights(tmp_path / "best.weights.h5")
    assert not np.allclose(without, expected, atol=1e-3)
    np.testing.assert_allclose(Scorer(loaded)(inputs), expected, rtol=0, atol=1e-5)


def test_a_run_starts_from_one_of_profile_memory(run_train, prepared, tmp_path):
    with pytest.raises(UsageError, match="starts from a run of profile_memory: give --init-from"):
        run_train("kv", "--model=kv_profile_memory")
    base = run_train("base", "--model=profile_memory", "--max-updates=5")
    options = [f"--prepared={prepared}", f"--run={tmp_path / 'kv'}"]
    start = ["--model=kv_profile_memory", f"--init-from={base}", "--rnn-units=4"]
    with pytest.raises(UsageError, match=r"the persona \(self instead of their"):
        train.main([*options, *start, "--persona=their"])
    train.main([*options, *start])
    run = Run.open(tmp_path / "kv")
    model, trained = run.load_model(), Run.open(base).load_model()
    np.testing.assert_array_equal(
        np.asarray(model.words.embeddings), np.asarray(trained.words.embeddings)
    )
    assert model.memory.keys.shape == model.memory.values.shape == (50, 6)
    before = content(run.path)
    train.main([*options, "--resume"])
    assert content(run.path) == before
    rows = Ranker.load(run.path).rank(["what do you like ?"], ["i love cats ."], ["cats", "tea"])
    assert len(rows) == 2
