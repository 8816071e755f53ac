"""Attention weights of replies (equation 9), with the words they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dim_tf.data.text import EOS
from dim_tf.packing.layout import PackedBatch
from dim_tf.ranking.heatmap import Heatmap
from dim_tf.runtime.backend import check_process
from dim_tf.runtime.compile import Arrays, Executor, compile_forward
from dim_tf.runtime.scorer import CompileOnce

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.data.dataset import PreparedData
    from dim_tf.data.prepared_folder import TurnTable

# Source of attention -> the name of its inputs, and of one sentence of it.
SOURCES = {"context": ("utterances", "utterance"), "persona": ("personas", "profile")}


class Attention:
    """Computes the attention weights of replies to context and persona."""

    def __init__(self, model: keras.Model):
        self._model, self._executor = model, Executor(model)
        # Eager TensorFlow takes a second, but ten to compile. Eager JAX takes a minute, but seconds
        # to compile: it drops whatever follows the attention.
        self._program = self._weights
        if self._executor.fixed:
            forward = compile_forward(model, self._weights, self._executor.example)
            self._program = CompileOnce(forward)

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Computes the weights from the eleven inputs of the model.

        Returns:
            dict. `context` and `persona`, each [B, C, R, X]: X indexes the words of all utterances
            (or profiles) of a turn, without padding in between. The row of each reply word sums to
            1. A source that the model does not match word by word is left out.
        """
        if not self._executor.supports_packing:
            return {}
        check_process()
        weights = self._program(self._executor.pack(inputs))
        return {name: np.asarray(values) for name, values in weights.items()}

    def _weights(self, batch: PackedBatch) -> dict[str, Any]:
        attention = self._model.intermediates(batch)["attention"]
        return {
            name: attention[source].to_source
            for name, (source, _) in SOURCES.items()
            if source in attention
        }


def heatmaps(
    weights: Mapping[str, np.ndarray],
    inputs: Arrays,
    reply: Sequence[str],
    sentences: Mapping[str, Sequence[Sequence[str]]],
) -> dict[str, Heatmap]:
    """The heat maps of one reply, for each source that the model and the turn have.

    Args:
        weights: dict. The result of `Attention`.
        inputs: dict. The inputs of one turn with one candidate.
        reply: list of str. The words of the candidate; may be longer than the model reads.
        sentences: dict. The words of the `context`'s utterances and of the `persona`'s profiles,
            from the first one that the model reads.
    """
    shown = reply[: int(inputs["responses_len"][0, 0])]
    maps = {}
    for name, values in weights.items():
        kind, part = SOURCES[name]
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
    """The heat maps of a prepared turn, for the candidate in a column; None for the gold reply."""
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
    """The inputs with a single candidate.

    >>> only({"responses_len": np.array([[3, 4]]), "utterances_num": np.array([2])}, 1)
    {'responses_len': array([[4]]), 'utterances_num': array([2])}
    """
    one = slice(candidate, candidate + 1)
    return {n: v[:, one] if n.startswith("responses") else v for n, v in inputs.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The attention weights of a candidate, equation 9; the row of each of its words sums to 1.

    Attributes:
        candidate: str. The text.
        context: Heatmap. The weights to the words of the utterances; None if there are none, or if
            the model does not match words.
        persona: Heatmap. The weights to the words of the profiles; None likewise.
    """

    candidate: str
    context: Heatmap | None
    persona: Heatmap | None

    @property
    def maps(self) -> list[Heatmap]:
        """The heat maps that exist."""
        return [shown for shown in (self.context, self.persona) if shown is not None]

    def text(self, shown: int = 3) -> str:
        """The `shown` largest weights of each word of the candidate.

        >>> import numpy as np
        >>> weights = np.array([[0.25, 0.75], [0.9, 0.1]])
        >>> persona = Heatmap("reply to persona", ("my", "dogs"), (("dogs", "bark"),), (), weights)
        >>> print(Explanation("my dogs", None, persona).text())
        reply to persona
          my    bark 0.75  dogs 0.25
          dogs  dogs 0.90  bark 0.10
        """
        blocks = []
        for each in self.maps:
            words = [word for group in each.groups for word in group]
            width = max(map(len, each.rows), default=0)
            lines = [each.title]
            for word, row in zip(each.rows, each.weights, strict=True):
                # Stable: among equal weights the first word is shown.
                most = (-row).argsort(kind="stable")[:shown]
                seen = "  ".join(f"{words[index]} {row[index]:.2f}" for index in most)
                lines.append(f"  {word:{width}}  {seen}")
            blocks.append("\n".join(lines))
        return "\n".join(blocks)
