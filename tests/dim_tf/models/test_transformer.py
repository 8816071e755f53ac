"""The transformer is its equations, one word at a time in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf.errors import UsageError
from dim_tf.models import transformer
from dim_tf.models.transformer import Transformer
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer
from tests.random_model import CONFIG, random_inputs

SIZE = 8


class NumpyTransformer:
    """The equations for one turn, with the weights of a model."""

    def __init__(self, model):
        self.words, self.positions = (
            np.asarray(variable, "float64")
            for variable in (model.words.embeddings, model.encoder.positions)
        )
        self.ages = np.asarray(model.utterances.embeddings, "float64")
        self.model = model

    def encode(self, ids, more=None):
        if not len(ids):
            return np.zeros(SIZE)
        rows = [self.words[word] + self.positions[place] for place, word in enumerate(ids)]
        rows = rows if more is None else added(rows, more)
        for block in self.model.encoder.blocks:
            inputs = [normalised(block.attention_norm, row) for row in rows]
            rows = added(rows, attended(block, inputs))
            inner = [dense(block.inner, normalised(block.dense_norm, row)) for row in rows]
            rows = added(rows, [dense(block.outer, np.maximum(row, 0)) for row in inner])
        return np.mean([normalised(self.model.encoder.norm, row) for row in rows], axis=0)

    def hop(self, context, personas):
        profiles = []
        for ids in personas:
            bag = sum(self.words[word] for word in ids) / np.sqrt(len(ids))
            profiles.append(dense(self.model.memory, bag))
        weights = softmax([context @ profile / np.sqrt(len(context)) for profile in profiles])
        return context + weights @ profiles

    def logits(self, inputs, turn):
        def sentences(kind):
            pairs = zip(inputs[kind][turn], inputs[f"{kind}_len"][turn], strict=True)
            return [row[:length] for row, length in pairs]

        said = sentences("utterances")[: inputs["utterances_num"][turn]][::-1]  # the last first
        context = [(word, age) for age, ids in enumerate(said) for word in ids[::-1]]
        context = context[: transformer.CONTEXT_WORDS]
        query = self.encode(
            [word for word, _ in context], [self.ages[min(age, 1)] for _, age in context]
        )
        personas = [ids for ids in sentences("personas") if len(ids)]
        if personas and self.model.config.use_persona:
            query = self.hop(query, personas)
        replies = [self.encode(ids) for ids in sentences("responses")]
        return [query @ reply / np.sqrt(len(query)) for reply in replies]


def attended(block, rows):
    """Each word looks at all words, once with each head."""
    queries, keys, values = (
        [np.split(dense(layer, row), transformer.HEADS) for row in rows]
        for layer in (block.query, block.key, block.value)
    )
    results = []
    for query in queries:
        heads = []
        for head, ours in enumerate(query):
            weights = softmax([ours @ key[head] / np.sqrt(len(ours)) for key in keys])
            heads.append(weights @ [value[head] for value in values])
        results.append(dense(block.attended, np.concatenate(heads)))
    return results


def added(rows, others):
    """The sums of pairs."""
    return [row + other for row, other in zip(rows, others, strict=True)]


def dense(layer, row):
    kernel, bias = weights_of(layer)
    return row @ kernel + bias


def normalised(layer, row):
    gamma, beta = weights_of(layer)
    return (row - row.mean()) / np.sqrt(row.var() + 1e-6) * gamma + beta


def softmax(scores):
    exponentials = np.exp(np.array(scores) - np.max(scores))
    return exponentials / exponentials.sum()


def weights_of(layer):
    return [np.asarray(weight, "float64") for weight in layer.get_weights()]


@pytest.mark.backend
@pytest.mark.parametrize("use_persona", [True, False])
def test_it_computes_its_equations(use_persona, monkeypatch):
    # Fewer than some contexts have; the longest reply has five words.
    monkeypatch.setattr(transformer, "CONTEXT_WORDS", 5)
    monkeypatch.setattr(transformer, "UTTERANCES", 2)
    rng = np.random.default_rng(3)
    config = CONFIG.replace(use_persona=use_persona, word_dim=SIZE)
    model = Transformer(config, rng.normal(0, 1, (9, SIZE)))
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    inputs = random_inputs(rng, batch=12)
    assert inputs["utterances_len"].sum(axis=1).max() > 5
    numpy = NumpyTransformer(model)
    expected = [numpy.logits(inputs, turn) for turn in range(len(inputs["utterances"]))]
    np.testing.assert_allclose(Scorer(model)(inputs), expected, rtol=1e-4, atol=1e-5)


def test_ft_pc_starts_from_a_transformer(run_train):
    options = ["--batch-size=50", "--max-updates=1", "--learning-rate=1e-9", "--rnn-units=4"]
    with pytest.raises(UsageError, match="transformer: give --init-from"):
        run_train("no_start", "--model=ft_pc", *options)
    first = run_train("first", "--model=transformer", *options)
    tuned = run_train("tuned", "--model=ft_pc", f"--init-from={first}", *options)
    ours, theirs = (Run.open(path).load_model().get_weights() for path in (tuned, first))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(Ranker.load(tuned).rank(["what do you like ?"], [], ["tea", "rain"])) == 2
