"""Slow NumPy versions of the systems on bags of words."""

from __future__ import annotations

from collections import Counter

import numpy as np

from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests.random_model import CONFIG, random_inputs, word_table

# What a query reads: context, persona.
USES = [(True, True), (True, False), (False, True)]


def words(inputs, kind, place):
    """The word ids of a sentence."""
    return inputs[kind][place][: inputs[f"{kind}_len"][place]]


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-12)


def cosine(a, b):
    return unit(a) @ unit(b)


def softmax(scores):
    powers = np.exp(scores - np.max(scores))
    return powers / powers.sum()


def context(table, inputs, turn):
    number = inputs["utterances_num"][turn]
    sums = [table[words(inputs, "utterances", (turn, row))].sum(axis=0) for row in range(number)]
    return sum((0.5 ** (number - 1 - row) * each for row, each in enumerate(sums)), 0 * table[0])


def profiles(table, inputs, turn):
    """The sums of the profiles of a turn."""
    number = inputs["personas_num"][turn]
    return [table[words(inputs, "personas", (turn, row))].sum(axis=0) for row in range(number)]


def reply(table, inputs, turn, candidate):
    return table[words(inputs, "responses", (turn, candidate))].sum(axis=0)


def starspace(table, inputs, turn, use_context, use_persona):
    """The query."""
    parts = [context(table, inputs, turn)] * use_context
    return sum([*parts, *profiles(table, inputs, turn) * use_persona], 0 * table[0])


def profile_memory(table, inputs, turn, use_context, use_persona):
    """The query."""
    query = use_context * unit(context(table, inputs, turn))
    memory = [unit(profile) for profile in profiles(table, inputs, turn)]
    if not (memory and use_persona):
        return query
    weights = softmax([query @ profile for profile in memory])
    return query + 2 * sum(w * profile for w, profile in zip(weights, memory, strict=True))


def logits(query_of, table, inputs, **uses):
    """The cosines of a query with the replies, [B, C]."""
    shape = inputs["responses_len"].shape
    return np.array(
        [
            cosine(query_of(table, inputs, turn, **uses), reply(table, inputs, turn, candidate))
            for turn, candidate in np.ndindex(shape)
        ]
    ).reshape(shape)


def tf_idf(stems, idf, sentences):
    """The tf-idf vector of some sentences, as a dict."""
    counts = Counter(stems[word] for sentence in sentences for word in sentence)
    weight = dict(zip(stems, idf, strict=True))
    return {stem: count * weight[stem] for stem, count in counts.items()}


def dict_cosine(a, b):
    norm = np.sqrt(sum(x * x for x in a.values()) * sum(x * x for x in b.values()))
    return sum(x * b.get(stem, 0) for stem, x in a.items()) / max(norm, 1e-12)


def check_equations(name, query_of, use_context, use_persona):
    """Asserts that a model's logits are the cosines of these queries with the replies."""
    uses = {"use_context": use_context, "use_persona": use_persona}
    inputs = random_inputs(np.random.default_rng(3))
    found = Scorer(build_model(name, CONFIG.replace(**uses), word_table()))(inputs)
    expected = logits(query_of, word_table(), inputs, **uses)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
