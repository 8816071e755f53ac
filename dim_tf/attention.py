"""What each word of a reply looked at: the attention weights of equation 9, and their picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from dim_tf.text import EOS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dim_tf.config import ModelConfig
    from dim_tf.dataset import PreparedData
    from dim_tf.prepared_folder import TurnTable

# What is shown -> the layer that computes it. An ablation lacks one, other systems lack both.
LAYERS = {"context": "utterances_attention", "persona": "personas_attention"}
INCH_A_WORD = 0.28


class AttentionReader:
    """Gives the attention weights of a model beside its logits.

    Args:
        model: Of `build_model`. Later changes of its weights count.
    """

    def __init__(self, model: keras.Model):
        layers = {layer.name: layer for layer in model.layers}
        self.names = [name for name, layer in LAYERS.items() if layer in layers]
        # Each layer's last output is the weights of the responses' words.
        outputs = {name: layers[LAYERS[name]].output[-1] for name in self.names}
        self._model = keras.Model(model.inputs, outputs) if outputs else None

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`context` [B, C, R, U*L] and `persona` [B, C, R, P*Q]; each row of words adds up to 1."""
        if self._model is None:
            return {}
        weights = self._model(inputs, training=False)
        return {name: np.asarray(array) for name, array in weights.items()}


def turn_figures(
    reader: AttentionReader, data: PreparedData, table: TurnTable, row: int, config: ModelConfig
) -> dict[str, Figure]:
    """Pictures of what the gold reply of a turn looked at; none for what the turn lacks."""
    inputs, target = data.inputs(table, [row], config)
    texts = data.texts(table, row)
    gold = int(target[0])
    reply = texts["candidates"][gold].split()[: inputs["responses_len"][0, gold]]
    columns = {
        "context": ([[*text.split(), EOS] for text in texts["context"]], inputs["utterances_len"]),
        "persona": ([text.split() for text in texts["persona"]], inputs["personas_len"]),
    }
    # The model keeps the last utterances and the first profiles.
    columns["context"] = (columns["context"][0][-config.max_utterances :], columns["context"][1])
    figures = {}
    for name, weights in reader(inputs).items():
        sentences, lengths = columns[name]
        words, places = real_words(sentences, lengths[0], weights.shape[-1])
        if words:
            shown = weights[0, gold][: len(reply)][:, places]
            figures[name] = draw(shown, reply, words, f"reply to {name}")
    return figures


def real_words(
    sentences: Sequence[Sequence[str]], lengths: np.ndarray, width: int
) -> tuple[list[str], list[int]]:
    """The words that are there, and their columns among the `width` padded ones.

    >>> real_words([["a", "b"], ["c"]], np.array([2, 1, 0]), 9)
    (['a', 'b', 'c'], [0, 1, 3])
    """
    padded = width // len(lengths)
    words, places = [], []
    for number, (sentence, length) in enumerate(zip(sentences, lengths, strict=False)):
        words += sentence[:length]
        places += range(number * padded, number * padded + int(length))
    return words, places


def draw(
    weights: np.ndarray, row_words: Sequence[str], column_words: Sequence[str], title: str
) -> Figure:
    """A picture of attention weights, darker for larger, with the words on both axes.

    Args:
        weights: [len(row_words), len(column_words)].
        row_words: The words that look.
        column_words: The words that are looked at.
        title: Stands above.
    """
    # Not pyplot: that keeps each figure alive, and would ask for a screen.
    from matplotlib.figure import Figure

    size = (2 + INCH_A_WORD * len(column_words), 2 + INCH_A_WORD * len(row_words))
    figure = Figure(figsize=size, dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(weights, cmap="Greys", vmin=0.0, aspect="auto")
    axes.set_xticks(range(len(column_words)), column_words, rotation=90)
    axes.set_yticks(range(len(row_words)), row_words)
    axes.set_title(title)
    return figure
