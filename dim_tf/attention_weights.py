"""What each word of a reply looked at: the weights of equation 9 and the words they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dim_tf.heatmap import Heatmap
from dim_tf.programs import Arrays, Form, compiled
from dim_tf.scoring import FirstAlone
from dim_tf.sizes import Sizes
from dim_tf.text import EOS

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.dataset import PreparedData
    from dim_tf.prepared_folder import TurnTable

# What is shown -> the inputs it consists of, and what one of them is called.
HALVES = {"context": ("utterances", "utterance"), "persona": ("personas", "profile")}


class Attention:
    """Computes the weights with which replies look at context and persona.

    Args:
        model: Of `build_model`.
    """

    def __init__(self, model: keras.Model):
        self._model, self._form = model, Form(model)
        # TensorFlow takes a second operation by operation, and ten to compile; JAX a minute, and a
        # few seconds to compile, since it leaves out what comes after the attention.
        self._program = self._weights
        if self._form.fixed:
            self._program = FirstAlone(compiled(model, self._weights, self._form.signature))

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """The weights.

        Args:
            inputs: The model's eleven inputs.

        Returns:
            `context` and `persona`, [B, C, R, X] each: the words of a turn's utterances (or
            profiles) stand side by side, without padding between them, and X is at least their
            number. Each row of a word that is there adds up to 1. A half that the model does not
            have, or does not match word by word, is left out.
        """
        if not self._form.packs:
            return {}
        weights = self._program(*self._form.pack(inputs))
        return {name: np.asarray(values) for name, values in weights.items()}

    def _weights(self, batch: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        tensors = self._model.tensors(batch, sizes)
        found = {name: tensors.get(f"responses_to_{kind}") for name, (kind, _) in HALVES.items()}
        return {name: weights for name, weights in found.items() if weights is not None}


def heatmaps(
    weights: Mapping[str, np.ndarray],
    inputs: Arrays,
    reply: Sequence[str],
    sentences: Mapping[str, Sequence[Sequence[str]]],
) -> dict[str, Heatmap]:
    """The weights of one reply; of no half that the model or the turn lacks.

    Args:
        weights: What `Attention` computed of the inputs.
        inputs: Of one turn with one candidate.
        reply: The candidate's words.
        sentences: The words of the `context`'s utterances and of the `persona`'s profiles, as the
            model reads them: from the same first one on. Both may be longer than it reads.
    """
    shown = reply[: int(inputs["responses_len"][0, 0])]
    maps = {}
    for name, values in weights.items():
        kind, part = HALVES[name]
        lengths = inputs[f"{kind}_len"][0]
        groups = [
            tuple(words[:length])
            for words, length in zip(sentences[name], lengths, strict=False)
            if length
        ]
        width = sum(map(len, groups))
        if width:
            maps[name] = Heatmap(
                title=f"reply to {name}",
                rows=tuple(shown),
                groups=tuple(groups),
                labels=tuple(f"{part} {number}" for number in range(1, len(groups) + 1)),
                weights=values[0, 0, : len(shown), :width].astype("float32"),
            )
    return maps


def turn_heatmaps(
    attention: Attention,
    data: PreparedData,
    table: TurnTable,
    row: int,
    config: ModelConfig,
    candidate: int | None = None,
) -> dict[str, Heatmap]:
    """The weights of a candidate of a prepared turn: the right reply if none is given.

    Args:
        attention: Of the model.
        data: A prepared folder.
        table: Of that folder.
        row: Of that table.
        config: The model's sizes.
        candidate: Its column; it must be there.
    """
    inputs, target = data.inputs(table, [row], config)
    column = int(target[0]) if candidate is None else candidate
    texts = data.texts(table, row)
    sentences = {
        # The model keeps the last utterances and the first profiles.
        "context": [[*text.split(), EOS] for text in texts["context"]][-config.max_utterances :],
        "persona": [text.split() for text in texts["persona"]],
    }
    reply, inputs = texts["candidates"][column].split(), only(inputs, column)
    return heatmaps(attention(inputs), inputs, reply, sentences)


def only(inputs: Arrays, candidate: int) -> dict[str, np.ndarray]:
    """The inputs with one of the candidates alone.

    >>> only({"responses_len": np.array([[3, 4]]), "utterances_num": np.array([2])}, 1)
    {'responses_len': array([[4]]), 'utterances_num': array([2])}
    """
    one = slice(candidate, candidate + 1)
    return {n: v[:, one] if n.startswith("responses") else v for n, v in inputs.items()}
