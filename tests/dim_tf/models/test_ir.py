"""The IR baseline against a slow version of its equations, and as a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dim_tf import evaluate, train
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from dim_tf.training.trainer import Trainer
from tests import numpy_bags
from tests.random_model import CONFIG, random_inputs, word_table
from tests.run_content import content


@pytest.mark.backend
@pytest.mark.parametrize(("use_context", "use_persona"), numpy_bags.USES)
def test_equations(use_context, use_persona):
    rng = np.random.default_rng(3)
    inputs, stems = random_inputs(rng), np.array([0, 1, 2, 3, 2, 3, 4, 5, 6])
    idf = rng.uniform(0, 9, 7).astype("float32")[stems]
    config = CONFIG.replace(use_context=use_context, use_persona=use_persona)
    model = build_model("ir", config, word_table())
    model.stems.assign(stems)
    model.idf.assign(idf)
    found = Scorer(model)(inputs)
    for turn, candidate in np.ndindex(found.shape):
        number = inputs["utterances_num"][turn]
        query = [numpy_bags.words(inputs, "utterances", (turn, number - 1))] if number else []
        query = query * use_context + [
            numpy_bags.words(inputs, "personas", (turn, row))
            for row in range(CONFIG.max_profiles * use_persona)
        ]
        reply = [numpy_bags.words(inputs, "responses", (turn, candidate))]
        vectors = [numpy_bags.tf_idf(stems, idf, sentences) for sentences in (query, reply)]
        assert found[turn, candidate] == pytest.approx(numpy_bags.dict_cosine(*vectors), abs=1e-5)


def test_a_run_counts_the_stems_of_the_training_turns(run_train, prepared, capsys):
    path = run_train("ir", "--model=ir", "--max-updates=40")
    run = Run.open(path)
    (row,) = run.metrics()
    assert (row["kind"], row["update"], run.training_config.max_updates) == ("valid", 0, 0)
    model = run.load_model()
    weights = dict(zip(run.words, np.asarray(model.idf), strict=True))
    # All 25 dialogues of two turns: "i like X a lot" twice, and a question with "i like Y" twice.
    assert weights["like"] == 0.0
    assert weights["a"] == pytest.approx(1.0)  # of every second sentence
    assert weights["adore"] == pytest.approx(math.log2(100))  # of no training sentence
    before = content(path)
    train.main(["--prepared", str(prepared), "--run", str(path), "--resume"])
    assert content(path) == before
    evaluate.main(["--prepared", str(prepared), "--run", str(path)])
    assert "hits@1" in capsys.readouterr().out
    rows = Ranker.load(path).rank(["hello"], ["i love cats ."], ["a dog", "you love", "tea"])
    assert rows[0]["candidate"] == "you love" and rows[1]["score"] == 0.0


def test_a_run_stopped_before_its_validation_counts_again(run_train, monkeypatch):
    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_rank_validation_turns", stop)
        run_train("stopped", "--model=ir")
    resumed = run_train("stopped", "--model=ir", "--resume")
    assert content(resumed) == content(run_train("ir", "--model=ir"))
