"""What each word of a reply looked at: the weights of equation 9 and the words they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dim_tf.data.text import EOS
from dim_tf.packing.layout import PackedBatch
from dim_tf.ranking.heatmap import Heatmap
from dim_tf.runtime.compile import Arrays, Executor, compile_forward
from dim_tf.runtime.scorer import CompileOnce

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.data.dataset import PreparedData
    from dim_tf.data.prepared_folder import TurnTable

# What is shown -> the inputs it consists of, and what one of them is called.
HALVES = {"context": ("utterances", "utterance"), "persona": ("personas", "profile")}


class Attention:
    """Computes the weights with which replies look at context and persona.

    Args:
        model: Of `build_model`.
    """

    def __init__(self, model: keras.Model):
        self._model, self._executor = model, Executor(model)
        # TensorFlow takes a second operation by operation, and ten to compile; JAX a minute, and a
        # few seconds to compile, since it leaves out what comes after the attention.
        self._program = self._weights
        if self._executor.fixed:
            forward = compile_forward(model, self._weights, self._executor.example)
            self._program = CompileOnce(forward)

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
        if not self._executor.supports_packing:
            return {}
        weights = self._program(self._executor.pack(inputs))
        return {name: np.asarray(values) for name, values in weights.items()}

    def _weights(self, batch: PackedBatch) -> dict[str, Any]:
        attention = self._model.forward(batch, return_intermediates=True)["attention"]
        return {
            name: attention[source].to_source
            for name, (source, _) in HALVES.items()
            if source in attention
        }


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


# What a candidate looked at, for programs and for a terminal.


SHOWN = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The attention weights of a candidate, equation 9, with their words.

    Each row of weights says how one word of the candidate spreads its attention; it adds up to 1.

    Attributes:
        candidate: The text.
        context: What its words look at among those of the utterances that the model reads; None if
            there are none, or if the model does not match words with them.
        persona: The same of the profiles.
    """

    candidate: str
    context: Heatmap | None
    persona: Heatmap | None

    @property
    def maps(self) -> list[Heatmap]:
        """Those of the two that there are."""
        return [shown for shown in (self.context, self.persona) if shown is not None]

    def text(self, shown: int = SHOWN) -> str:
        """The words that each word of the candidate looks at most, with their weights.

        Args:
            shown: How many.

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
                # A stable order, so that among equal weights the first word is shown.
                most = (-row).argsort(kind="stable")[:shown]
                seen = "  ".join(f"{words[place]} {row[place]:.2f}" for place in most)
                lines.append(f"  {word:{width}}  {seen}")
            blocks.append("\n".join(lines))
        return "\n".join(blocks)
