"""Curves, sample rankings and attention pictures for TensorBoard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from dim_tf.ranking import heatmap
from dim_tf.ranking.attention import Attention, turn_heatmaps

if TYPE_CHECKING:
    from dim_tf.config import ModelConfig
    from dim_tf.data.dataset import PreparedData
    from dim_tf.data.prepared_folder import TurnTable
    from dim_tf.evaluation.evaluator import Result

RANKINGS = 4
NON_SCALARS = ("kind", "update", "epoch", "time_s", "turns")


class TensorBoardLogger:
    """Writes a TensorBoard folder; without TensorFlow it prints a notice and writes nothing.

    Args:
        folder: Path. Open it with `tensorboard --logdir FOLDER`.
        model: keras.Model. The model in training.
    """

    def __init__(self, folder: Path, model: keras.Model):
        self._attention = Attention(model)
        self._writer = self._tf = None
        try:
            import tensorflow as tf
        except ImportError:
            print("TensorBoard: left out, since TensorFlow is not installed", file=sys.stderr)
            return
        if keras.backend.backend() != "tensorflow":
            # TensorFlow only writes files here: leave the GPU's memory to the other backend.
            tf.config.set_visible_devices([], "GPU")
        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))

    def close(self) -> None:
        """Finishes the file."""
        if self._writer is not None:
            self._writer.close()

    def scalars(self, row: dict[str, Any]) -> None:
        """Adds a row of `metrics.jsonl` to the curves `train/...` or `valid/...`."""
        if self._writer is None:
            return
        with self._writer.as_default(step=row["update"]):
            for name, value in row.items():
                if name not in NON_SCALARS:
                    self._tf.summary.scalar(f"{row['kind']}/{name}", value)
        self._writer.flush()

    def validation(
        self,
        row: dict[str, Any],
        config: ModelConfig,
        data: PreparedData,
        table: TurnTable,
        result: Result,
    ) -> None:
        """Adds a validation: numbers, a few rankings, and the attention of one gold reply."""
        if self._writer is None:
            return
        self.scalars(row)
        maps = turn_heatmaps(self._attention, data, table, int(result.rows[0]), config)
        with self._writer.as_default(step=row["update"]):
            for number in range(min(RANKINGS, len(result.rows))):
                self._tf.summary.text(
                    f"ranking/{number}", ranking_text(data, table, result, number)
                )
            for name, shown in maps.items():
                pixels = _pixels(heatmap.figure([shown]))
                self._tf.summary.image(f"attention/{name}", pixels[None])
        self._writer.flush()


def ranking_text(data: PreparedData, table: TurnTable, result: Result, number: int) -> str:
    """The ranking of the `number`-th turn of a result, in Markdown; the gold reply is bold."""
    texts = data.texts(table, result.rows[number])
    lines = [f"    {profile}" for profile in texts["persona"]]
    lines += ["", *(f"> {utterance}\n" for utterance in texts["context"])]
    for rank, column in enumerate(result.order(number), start=1):
        reply = texts["candidates"][column]
        reply = f"**{reply}**" if column == texts["target"] else reply
        lines.append(f"{rank}. {result.probabilities[number, column]:.3f} {reply}")
    return "\n".join(lines)


def _pixels(figure: Any) -> np.ndarray:
    """uint8 [height, width, 4]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
