"""Starspace against a slow NumPy version of its equations."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf.systems.registry import build_model
from dim_tf.training import losses, trainer
from tests import numpy_bags
from tests.random_model import CONFIG, random_inputs, word_table


@pytest.mark.backend
@pytest.mark.parametrize(("use_context", "use_persona"), numpy_bags.USES)
def test_equations(use_context, use_persona):
    numpy_bags.check_equations("starspace", numpy_bags.starspace, use_context, use_persona)


def test_words_without_vectors_stay_so():
    for without in ([0, 1], slice(None)):
        vectors = word_table()
        vectors[without] = 0
        model = build_model("starspace", CONFIG, vectors)
        model.adapt([random_inputs(np.random.default_rng(4), batch=6)], ["word"] * 9)
        assert not np.asarray(model.words.embeddings)[without].any()


def test_training_starts_from_whitened_unit_vectors_times_idf():
    inputs = random_inputs(np.random.default_rng(4), batch=6)
    model = build_model("starspace", CONFIG, word_table())
    halves = [
        {name: value[part] for name, value in inputs.items()} for part in (slice(2), slice(2, 6))
    ]
    model.adapt(halves, ["word"] * 9)
    sentences = []
    for turn in range(6):
        last = max(inputs["utterances_num"][turn] - 1, 0)
        sentences.append(set(numpy_bags.words(inputs, "utterances", (turn, last))))
        sentences.append(set(numpy_bags.words(inputs, "responses", (turn, 0))))
    total = sum(map(bool, sentences))
    pretrained = np.array([numpy_bags.unit(vector) for vector in word_table()])
    known = sorted(set().union(*sentences))
    mean = pretrained[known].mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(pretrained[known] - mean, rowvar=False))
    for word, vector in enumerate(np.asarray(model.words.embeddings)):
        found = sum(word in sentence for sentence in sentences)
        idf = np.log((total + 1) / (found + 1)) / np.log(total + 1)
        white = sum(
            direction * (direction @ (pretrained[word] - mean)) / np.sqrt(value + 1e-3 * values[-1])
            for value, direction in zip(values, directions.T, strict=True)
        )
        np.testing.assert_allclose(vector, idf * numpy_bags.unit(white), atol=1e-5)


def test_an_update_ranks_the_gold_replies_of_its_turns_by_the_margin(run_train, monkeypatch):
    taken, compared = [], []
    batch, step = trainer.Trainer._batch, trainer.TrainingStep

    def watched_batch(self, rows, update):
        inputs, target = batch(self, rows, update)
        gold = self.table.candidates[rows, self.table.target[rows]]
        compared.append(((inputs["responses_len"] > 0).sum(axis=1), [len(np.unique(gold))]))
        return inputs, target

    def watched_step(*arguments, loss, **options):
        taken.append((loss.func, loss.keywords))
        return step(*arguments, loss=loss, **options)

    monkeypatch.setattr(trainer.Trainer, "_batch", watched_batch)
    monkeypatch.setattr(trainer, "TrainingStep", watched_step)
    run_train("run", "--model=starspace", "--max-updates=2")
    assert taken == [(losses.margin_ranking, {"margin": 0.2})]
    assert compared and all(found == expected for found, expected in compared)
