"""A model that compiles in a second, and commands that can be killed at an exact moment.

`python -m tests.tiny train --model tiny ...` is `python -m dim_tf.train ...` with that model. With
DIE=MOMENT:N:SIGNAL in the environment the process sends itself that signal (after SIGKILL nothing
is cleaned up or flushed) when it comes to that moment for the N-th time; with BLOCK=a,b these
packages cannot be imported.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys

import numpy as np

from dim_tf.systems import registry


def build_tiny(config, word_vectors):
    """Mean word vectors, dense layers with dropout, and their dot product."""
    import keras
    from keras import ops

    from dim_tf.models.inputs import model_inputs
    from dim_tf.models.layers import WordEmbedding
    from dim_tf.packing.masks import length_mask

    inputs = model_inputs(config)
    words = WordEmbedding(word_vectors, name="words")

    def mean(name, axes):
        mask = length_mask(inputs[f"{name}_len"], inputs[name].shape[-1])
        return ops.mean(words(inputs[name]) * ops.expand_dims(mask, -1), axis=axes)

    context = ops.concatenate([mean("utterances", (1, 2)), mean("personas", (1, 2))], axis=-1)
    hidden = keras.layers.Dense(config.rnn_units, activation="tanh", name="hidden")(context)
    hidden = keras.layers.Dropout(config.dropout, name="dropout_hidden")(hidden)
    replies = keras.layers.Dense(config.rnn_units, use_bias=False, name="replies")(
        mean("responses", 2)
    )
    replies = keras.layers.Dropout(config.dropout, name="dropout_replies")(replies)
    return keras.Model(inputs, ops.einsum("bh,bch->bc", hidden, replies), name="tiny")


SYSTEM = registry.System("tiny", builder=build_tiny, matches_words=True)


def _die_at(moment: str, times: int, number: signal.Signals) -> None:
    """Replaces the function that `moment` names by one that signals in its midst."""
    from dim_tf.runs import run
    from dim_tf.training import trainer

    def dying(function, last_words):
        calls = 0

        def replaced(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == times:
                last_words(function, *arguments, **options)
                os.kill(os.getpid(), number)
            return function(*arguments, **options)

        return replaced

    def half_a_checkpoint(function, handle, **arrays):
        whole = io.BytesIO()
        function(whole, **arrays)
        handle.write(whole.getvalue()[: whole.tell() // 2])
        handle.flush()

    def half_a_row(function, self, row):
        with (self.run.path / "metrics.jsonl").open("a") as handle:
            handle.write('{"kind": "valid", "upd')

    def half_the_weights(function, self, model):
        folder = self.path / ".best.weights.h5.tmp-0123abcd"
        folder.mkdir()
        (folder / "best.weights.h5").write_bytes(b"half")

    def all_of_it(function, *arguments, **options):
        function(*arguments, **options)

    def nothing(function, *arguments, **options):
        pass

    place, name, last_words = {
        "checkpoint": (np, "savez", half_a_checkpoint),
        "row": (trainer.Trainer, "_append", half_a_row),
        "weights": (run.Run, "save_best", half_the_weights),
        "best": (run.Run, "save_best", all_of_it),
        "update": (trainer.Trainer, "_update", nothing),
        "validation": (trainer.Trainer, "_rank_validation_turns", nothing),
    }[moment]
    setattr(place, name, dying(getattr(place, name), last_words))


class _Blocker:
    """Makes packages look as if they were not installed."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)


if __name__ == "__main__":
    if "BLOCK" in os.environ:
        sys.meta_path.insert(0, _Blocker(os.environ["BLOCK"].split(",")))
    from dim_tf.cli import parser

    registry.register(SYSTEM)
    if "DIE" in os.environ:
        moment, times, name = os.environ["DIE"].split(":")
        _die_at(moment, int(times), signal.Signals[name])
    command = importlib.import_module(f"dim_tf.{sys.argv[1]}")
    sys.exit(parser.run(command.main, sys.argv[2:]))
