"""Models of random weights, and inputs of random lengths for them."""

from __future__ import annotations

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.models.tf1 import load_tf1_variables, tf1_name
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import BucketShape, largest_shape
from dim_tf.packing.layout import SOURCES
from dim_tf.systems.registry import build_model

KINDS = ("utterances", "responses", "personas")
# The systems that match word by word.
MATCHING = ("imn", "imn_ctx", "imn_utr", "dim")
CONFIG = ModelConfig(
    char_vocab_size=11,
    max_utterances=3,
    max_utterance_len=4,
    max_candidates=3,
    max_response_len=5,
    max_profiles=3,
    max_profile_len=4,
    max_word_len=6,
    word_dim=7,
    rnn_units=4,
)


def random_inputs(rng, config=CONFIG, batch=4):
    """Random lengths with empty rows; random ids everywhere, past the lengths too."""
    c = config

    def rows(count, words, least=0):
        return {
            "": rng.integers(0, 9, (batch, count, words)),
            "_char": rng.integers(0, c.char_vocab_size, (batch, count, words, c.max_word_len)),
            "_len": rng.integers(least, words + 1, (batch, count)),
        }

    inputs = {}
    for name, count, words in (
        ("utterances", c.max_utterances, c.max_utterance_len),
        ("responses", c.max_candidates, c.max_response_len),
        ("personas", c.max_profiles, c.max_profile_len),
    ):
        inputs |= {f"{name}{key}": value for key, value in rows(count, words).items()}
    for name, count in (("utterances", c.max_utterances), ("personas", c.max_profiles)):
        num = rng.integers(0, count + 1, batch)
        num[0], num[1] = count, 0  # a full and an empty one are always there
        inputs[f"{name}_len"] *= np.arange(count) < num[:, None]
        inputs[f"{name}_num"] = num
    inputs["responses_len"][:2, 0] = 0, c.max_response_len  # an absent and a full candidate
    return {name: value.astype("int32") for name, value in inputs.items()}


def random_variables(rng, model, scale=0.4):
    """Values of its weights, under the authors' names."""
    return {
        tf1_name(v): rng.normal(0, scale, v.shape).astype("float32")
        for v in model.trainable_variables
    }


def word_table():
    """Vectors of nine words."""
    return np.random.default_rng(0).normal(0, 1, (9, CONFIG.word_dim)).astype("float32")


def built(name, **changes):
    """A model with random weights, and these by the authors' names."""
    model = build_model(name, CONFIG.replace(**changes), word_table())
    variables = random_variables(np.random.default_rng(2), model)
    load_tf1_variables(model, variables)
    return model, variables


def room_for(inputs, sources=SOURCES) -> BucketShape:
    """Larger than the batch needs, but nowhere larger than it can be."""
    needed = BucketShape.of(pack(inputs, sources))
    whole = largest_shape({name: value.shape for name, value in inputs.items()}, sources)
    values = {}
    for name, value in vars(needed).items():
        if isinstance(value, tuple):
            values[name] = (min(value[0] + 1, getattr(whole, name)[0]), *value[:-1])
        elif value is not None:
            values[name] = min(value + 3, getattr(whole, name))
    return BucketShape(**values)
