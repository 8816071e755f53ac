"""A run with random weights, small enough to be compiled in seconds, and its ranker."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.data.text import TextRules
from dim_tf.models.tf1 import load_tf1_variables, tf1_name
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.systems.registry import build_model

WORDS = ["<pad>", "<unk>", "i", "like", "dogs", "tea", "'", "m", "fine", ".", "you", "_eos_"]
WORDS += ["hello", "i'm"]
CHARACTERS = ["<pad>", *"adefghiklmnostuy'."]
CONFIG = ModelConfig(
    char_vocab_size=len(CHARACTERS),
    max_utterances=3,
    max_utterance_len=5,
    max_response_len=4,
    max_profiles=2,
    max_profile_len=4,
    max_word_len=6,
    word_dim=5,
    rnn_units=3,
)
# Changes that make a model still smaller, for tests that ask nothing of the numbers.
SHORT = {"max_utterance_len": 2, "max_response_len": 2, "max_profile_len": 2}


@functools.cache
def tf1_variables() -> Mapping[str, np.ndarray]:
    """Random values of DIM's 24 variables under the authors' names."""
    rng = np.random.default_rng(1)
    model = build_model("dim", CONFIG, np.zeros((1, CONFIG.word_dim), "float32"))
    values = {
        tf1_name(variable): rng.normal(0, 0.5, variable.shape).astype("float32")
        for variable in model.trainable_variables
    }
    return MappingProxyType(values)


def tiny_run(path: Path, persona: str = "self", **changes: object) -> Run:
    """An unsaved run."""
    return Run(
        path=path,
        model="dim",
        model_config=CONFIG.replace(use_persona=persona != "none", **changes),
        training_config=None,
        text=TextRules(),
        persona=persona,
        version="original",
        prepared={"fingerprint": "0" * 64, "name": "tiny", "licence": "", "word2vec": None},
        words=WORDS,
        characters=CHARACTERS,
        word_vectors=np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype("float32"),
    )


def saved(run: Run) -> Run:
    """Writes a run with fresh weights into its folder."""
    with run.creating() as unfinished:
        unfinished.save_best(run.build_model())
    return run


@functools.cache
def tiny_ranker() -> Ranker:
    """A ranker of `tiny_run` with the weights of `tf1_variables`; compiled once for all tests."""
    run = tiny_run(Path("tiny"))
    model = run.build_model()
    load_tf1_variables(model, tf1_variables())
    return Ranker(run, model)
