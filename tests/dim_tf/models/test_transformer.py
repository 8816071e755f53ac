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
from tests.numpy_bags import softmax, unit
from tests.random_model import CONFIG, random_inputs

SIZE = 8


class NumpyTransformer:
    """The equations for one turn, with the weights of a model."""

    def __init__(self, model):
        self.words, self.recency, self.scale = (
            np.asarray(variable, "float64")
            for variable in (model.words.embeddings, model.recency, model.scale)
        )
        self.model = model

    def encode(self, ids, weights):
        rows = [self.words[word] for word in ids]
        for block in self.model.encoder.blocks:
            places = np.asarray(block.positions, "float64")
            inputs = added([normalised(block.attention_norm, row) for row in rows], places)
            rows = added(rows, transformer.RESIDUAL * np.array(attended(block, inputs)))
            inner = [dense(block.inner, normalised(block.dense_norm, row)) for row in rows]
            outputs = [dense(block.outer, np.maximum(row, 0)) for row in inner]
            rows = added(rows, transformer.RESIDUAL * np.array(outputs))
        return unit(sum((w * row for w, row in zip(weights, rows, strict=True)), np.zeros(SIZE)))

    def hop(self, context, personas):
        profiles = [
            dense(self.model.memory, unit(sum(self.words[word] for word in ids)))
            for ids in personas
        ]
        return context + softmax([context @ profile for profile in profiles]) @ profiles

    def logits(self, inputs, turn):
        def sentences(kind):
            pairs = zip(inputs[kind][turn], inputs[f"{kind}_len"][turn], strict=True)
            return [row[:length] for row, length in pairs]

        said = sentences("utterances")[: inputs["utterances_num"][turn]][::-1]  # the last first
        context = [(word, age) for age, ids in enumerate(said) for word in ids[::-1]]
        context = context[: transformer.CONTEXT_WORDS]
        weights = [self.recency[min(age, transformer.UTTERANCES - 1)] for _, age in context]
        query = self.encode([word for word, _ in context], weights)
        personas = [ids for ids in sentences("personas") if len(ids)]
        if personas and self.model.config.use_persona:
            query = self.hop(query, personas)
        replies = [self.encode(ids, np.ones(len(ids))) for ids in sentences("responses")]
        return [self.scale * unit(query) @ reply for reply in replies]


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
    return [row + other for row, other in zip(rows, others, strict=False)]


def dense(layer, row):
    kernel, bias = weights_of(layer)
    return row @ kernel + bias


def normalised(layer, row):
    gamma, beta = weights_of(layer)
    return (row - row.mean()) / np.sqrt(row.var() + 1e-6) * gamma + beta


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


@pytest.mark.backend
def test_of_a_long_reply_the_first_words_are_read(monkeypatch):
    monkeypatch.setattr(transformer, "CONTEXT_WORDS", 3)
    rng = np.random.default_rng(4)
    model = Transformer(CONFIG.replace(word_dim=SIZE), rng.normal(0, 1, (9, SIZE)))
    words = rng.integers(2, 9, (1, 2, 5))
    found = model.encode_replies(words, np.array([[5, 2]]))
    expected = model.encode_replies(words[..., :3], np.array([[3, 2]]))
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-6)


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
