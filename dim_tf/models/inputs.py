"""The eleven inputs that every model takes."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from dim_tf.config import ModelConfig
from dim_tf.packing.masks import length_mask

KINDS = ("utterances", "responses", "personas")


def model_inputs(config: ModelConfig) -> dict[str, keras.KerasTensor]:
    """Symbolic int32 inputs under the authors' placeholder names; any B, any C."""
    u, words, chars = config.max_utterances, config.max_utterance_len, config.max_word_len
    shapes = {
        "utterances": (u, words),
        "utterances_len": (u,),
        "utterances_num": (),
        "responses": (None, config.max_response_len),
        "responses_len": (None,),
        "personas": (config.max_profiles, config.max_profile_len),
        "personas_len": (config.max_profiles,),
        "personas_num": (),
        "utterances_char": (u, words, chars),
        "responses_char": (None, config.max_response_len, chars),
        "personas_char": (config.max_profiles, config.max_profile_len, chars),
    }
    return {
        name: keras.Input(shape=shape, dtype="int32", name=name) for name, shape in shapes.items()
    }


class PaddedPlan(keras.layers.Layer):
    """The batch of `dim_tf.packing.batch.pack` with nothing left out, made of the public inputs.

    Every place is a word of its own and every row is live at every step: what a traced program can
    do, which knows no lengths.
    """

    def __init__(self, kinds: Sequence[str], **kwargs):
        super().__init__(**kwargs)
        self.kinds = kinds

    def call(self, inputs):
        steps = max(inputs[kind].shape[-1] for kind in self.kinds)
        words, chars, places, starts, rows = [], [], [], [], 0
        count = 0
        for kind in self.kinds:
            batch, number, length = ops.shape(inputs[kind])
            words.append(ops.reshape(inputs[kind], (-1,)))
            characters = inputs[f"{kind}_char"]
            chars.append(ops.reshape(characters, (-1, characters.shape[-1])))
            place = _grid(batch * number, length) + count
            places.append(ops.pad(place, ((0, 0), (0, steps - length))))
            starts.append(rows)
            rows = rows + batch * number
            count = count + batch * number * length
        lengths = [ops.reshape(inputs[f"{kind}_len"], (-1,)) for kind in self.kinds]
        limits = [
            ops.full_like(length, inputs[kind].shape[-1])
            for kind, length in zip(self.kinds, lengths, strict=True)
        ]
        encoder = _all_rows(ops.concatenate(lengths), ops.concatenate(limits), steps)
        encoder["words"] = ops.reshape(ops.transpose(ops.concatenate(places)), (-1,))
        plans = {"encoder": encoder}
        for kind, start, length, limit in zip(self.kinds, starts, lengths, limits, strict=True):
            batch, number, size = ops.shape(inputs[kind])
            plan = _all_rows(length, limit, size)
            plan["ranks"] = ops.reshape(plan["ranks"], (batch, number))
            shape = (batch, number, size) if kind == "responses" else (batch, number * size)
            # Word t of row r was packed by the encoder at t * rows + r.
            row, step = ops.arange(batch * number, dtype="int32"), ops.arange(size, dtype="int32")
            grid = step * rows + ops.expand_dims(row + start, 1)
            plan["grid"] = ops.reshape(grid, shape)
            plan["inverse"] = ops.reshape(step * (batch * number) + ops.expand_dims(row, 1), shape)
            plan["mask"] = ops.reshape(length_mask(length, size), shape)
            plans[kind] = plan
        if "utterances" in self.kinds:
            count = inputs["utterances_num"]
            limit = inputs["utterances"].shape[1]
            plans["contexts"] = _all_rows(count, ops.full_like(count, limit), limit)
        return {
            "words": ops.concatenate(words),
            "words_char": ops.concatenate(chars),
            **plans,
            **{name: inputs[name] for name in ("responses_len", "personas_num")},
        }


def _grid(rows, columns):
    """0, 1, 2, ... as int32 [rows, columns]."""
    return ops.reshape(ops.arange(rows * columns, dtype="int32"), (rows, columns))


def _all_rows(lengths, limits, steps):
    """See `dim_tf.packing.packed_sequence.pack_rows`; every row at every step, in its own place."""
    rows = ops.shape(lengths)[0]
    row = ops.arange(rows, dtype="int32")
    there = ops.transpose(length_mask(lengths, steps))  # [T, N]
    return {
        "live": ops.full((steps,), rows, dtype="int32"),
        "places": ops.reshape(ops.transpose(_grid(rows, steps)), (-1,)),
        "there": ops.cast(ops.reshape(there, (-1,)), "int32"),
        "ranks": ops.where(lengths > 0, row, rows),
        "ends": ops.maximum(lengths - 1, 0) * rows + row,
        "padded": ops.cast(lengths < limits, "int32"),
    }
