"""The training of a run: updates, validations, checkpoints.

Everything that an update depends on follows from the run's settings and the number of the update:
which turns it sees, its dropout masks, its learning rate. With weights, Adam's slots and `State` in
the checkpoint, a run that was killed at any moment goes on as if nothing had happened; what it had
written since (best weights, rows of `metrics.jsonl`) is made again, and is the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DivergedError
from dim_tf.evaluation import model_card
from dim_tf.evaluation.evaluator import (
    Result,
    describe_sample,
    evaluate,
    sample_batches,
    sample_rows,
)
from dim_tf.evaluation.model_card import MODEL_CARD
from dim_tf.io import atomic
from dim_tf.runs.record import METRICS
from dim_tf.runs.run import BEST, LATEST, Run
from dim_tf.runtime.scorer import Scorer
from dim_tf.training import checkpoint
from dim_tf.training.negative_sampling import NegativeSampler
from dim_tf.training.state import State, epoch_order, total_updates, training_rows
from dim_tf.training.tensorboard import Board
from dim_tf.training.train_step import TrainingStep, adam, learning_rate

ROW_EVERY = 10


class Stopped(Exception):
    """Training was asked to stop and its state is saved."""


class Training:
    """Trains the model of a run until the end, or until it is asked to stop.

    Args:
        run: With a training config.
        data: The prepared folder of the run.
        model: The run's model with its initial weights.
        jit_compile: As for `TrainingStep`.
    """

    def __init__(self, run: Run, data: PreparedData, model: keras.Model, jit_compile: bool = False):
        self.run, self.config, self.data, self.model = run, run.training_config, data, model
        self.table = data.table("train", run.persona, run.version)
        self.valid_table = data.table("valid", run.persona, run.version)
        self.valid_rows = sample_rows(len(self.valid_table), self.config.valid_turns)
        self.rows = training_rows(self.table.dialogue, self.config)
        self.updates_per_epoch = -(-len(self.rows) // self.config.batch_size)
        self.updates = total_updates(self.config, len(self.rows))
        self.state = State()
        self._negatives = NegativeSampler(self.table, self.rows, self.config)
        self._optimizer = adam(self.config)
        self._step = TrainingStep(
            model, self._optimizer, self.config.seed, self._samples(), jit_compile
        )
        self._scorer = Scorer(
            model, sample_batches(data, self.valid_table, run.model_config, self.valid_rows)
        )
        self._unread: list[tuple[int, Any, Any]] = []  # losses that the device may still compute
        self._stop = False

    def save(self, folder: Path | None = None) -> None:
        """Writes the checkpoint into the run folder, or into `folder`.

        Raises:
            DivergedError: A loss or weight is not finite; the former checkpoint stays.
        """
        self._read_losses()
        state = dataclasses.asdict(self.state)
        path = (folder or self.run.path) / LATEST
        checkpoint.save(path, self.model, self._optimizer, state)

    def restore(self) -> None:
        """Goes back to the last checkpoint and drops the rows that were written after it.

        What TensorBoard shows of the updates since then stays, and so do weights that were best in
        a validation since then: the same updates come again, and their validation, to the bit where
        training is deterministic.

        Raises:
            CheckpointError: It is missing, damaged, or of another model.
            UsageError: Another process trains the run.
        """
        with self._lock_run():
            self._restore()

    def _restore(self) -> None:
        state = checkpoint.load(self.run.path / LATEST, self.model, self._optimizer)
        self.state = State(**state)
        for name in (BEST, LATEST, METRICS, MODEL_CARD):
            atomic.remove_temporaries(self.run.path / name)
        last = {"train": self.state.update, "valid": self.state.validated}
        rows = [row for row in self.run.metrics() if row["update"] <= last[row["kind"]]]
        atomic.write_lines(self.run.path / METRICS, map(json.dumps, rows))

    def train(self) -> None:
        """Trains to the end.

        Raises:
            Stopped: After Ctrl-C or SIGTERM; the state is saved.
            DivergedError: A loss, score or weight is not finite.
            UsageError: Another process trains the run.
        """
        turns, done = map(self._turns_after, (self.updates, self.state.update))
        with (
            self._lock_run(),
            self._stopping_on_signals(),
            contextlib.closing(Board(self.run.path / "tensorboard", self.model)) as self._board,
            Progress("training", turns, "turns", start=done) as self._progress,
            contextlib.closing(self._batches()) as batches,
        ):
            self._say_plan()
            while True:
                if self._validation_due():
                    self._validate()
                if self.finished:
                    return
                if self._stop:
                    self.save()
                    raise Stopped
                self._update(*next(batches))
                if self.state.update % self.config.save_every == 0 and not self._validation_due():
                    self.save()

    @property
    def finished(self) -> bool:
        """Whether all updates are made and validated, or patience is at its end."""
        return self.state.finished(self.config, self.updates)

    def _validation_due(self) -> bool:
        return self.state.validation_due(self.config, self.updates)

    def _batches(self) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """The batches from the next update on."""
        size = self.config.batch_size
        for update in itertools.count(self.state.update):
            epoch, position = divmod(update, self.updates_per_epoch)
            order = epoch_order(self.config.seed, epoch, len(self.rows))
            rows = self.rows[order[position * size :][:size]]
            yield self._batch(rows, update + 1)

    def _batch(self, rows: np.ndarray, update: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and targets of update number `update` (from 1) on these turns."""
        turns = self._negatives.draw(rows, update)
        return self.data.inputs(turns, np.arange(len(turns)), self.run.model_config)

    def _samples(self, count: int = 24) -> Iterator[dict[str, np.ndarray]]:
        """Inputs of some batches of each number of negatives, for fixed sizes to be fitted to."""
        rng, size = np.random.default_rng(self.config.seed), self.config.batch_size
        ends = [last or 0 for _, last in self.config.negatives_schedule[:-1]]
        for first in [1, *(end + 1 for end in ends)]:
            for _ in range(count if len(self.rows) >= size else 0):
                rows = self.rows[rng.choice(len(self.rows), size, replace=False)]
                yield self._batch(rows, first)[0]

    def _turns_after(self, update: int) -> int:
        """How many turns the first `update` updates see: the last of an epoch may see fewer."""
        epochs, updates = divmod(update, self.updates_per_epoch)
        return epochs * len(self.rows) + updates * self.config.batch_size

    def _update(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> None:
        state, began = self.state, time.monotonic()
        state.update += 1
        self._unread.append((state.update, *self._step.update(state.update, inputs, target)))
        write_row = state.update % ROW_EVERY == 0
        if write_row:
            self._read_losses()
        state.seconds += time.monotonic() - began
        state.window_seconds += time.monotonic() - began
        state.window_turns += len(target)
        note = f"loss {state.window[-1][0]:.3f}" if state.window else ""
        if write_row:
            self._write_row()
        self._progress.advance(len(target), note)

    def _read_losses(self) -> None:
        for update, loss, accuracy in self._unread:
            if not np.isfinite(float(loss)):
                raise DivergedError(
                    f"the loss of update {update} is {float(loss)}; the last good checkpoint of "
                    f"{self.run.path} is kept; train again with a lower --learning-rate"
                )
            self.state.window.append([float(loss), float(accuracy)])
        self._unread.clear()

    def _write_row(self) -> None:
        state = self.state
        loss, accuracy = np.mean(state.window, axis=0).tolist()
        row = {
            "kind": "train",
            "update": state.update,
            "epoch": self._epoch(),
            "loss": loss,
            "accuracy": accuracy,
            "learning_rate": learning_rate(self.config, state.update),
            "turns_per_s": state.window_turns / max(state.window_seconds, 1e-9),
            "time_s": state.seconds,
        }
        state.window, state.window_turns, state.window_seconds = [], 0, 0.0
        self._append(row)
        self._board.scalars(row)

    def _validate(self) -> None:
        """Ranks the validation turns, keeps the weights if they are the best, saves the state.

        The best weights are written before the checkpoint that counts them: killed in between,
        the run makes them again.
        """
        self._read_losses()
        began = time.monotonic()
        result = self._rank_validation_turns()
        seconds = time.monotonic() - began
        state = self.state
        state.seconds += seconds
        state.validated = state.update
        row = {
            "kind": "valid",
            "update": state.update,
            "epoch": self._epoch(),
            "turns": len(result.rows),
            "loss": result.loss,
            **result.summary(),
            "turns_per_s": len(result.rows) / max(seconds, 1e-9),
            "time_s": state.seconds,
        }
        better = state.best is None or row["MRR"] > state.best["MRR"]
        if better:
            state.best, state.without_gain = row, 0
            self.run.save_best(self.model)
        else:
            state.without_gain += 1
        self._append(row)
        self.save()
        model_card.write(self.run)
        self._progress.say(
            f"update {state.update:,}: validation loss {row['loss']:.4f}, hits@1 "
            f"{row['hits@1']:.4f}, MRR {row['MRR']:.4f}{', the best so far' if better else ''}"
        )
        self._board.validation(row, self.run.model_config, self.data, self.valid_table, result)

    def _rank_validation_turns(self) -> Result:
        def on_batch(turns: int) -> None:
            if self._stop:
                # Not validated yet: the resumed run begins with that.
                self.save()
                raise Stopped

        try:
            result = evaluate(
                self._scorer,
                self.data,
                self.valid_table,
                self.run.model_config,
                self.valid_rows,
                on_batch=on_batch,
            )
            _ = result.ranks
        except DivergedError as error:
            raise DivergedError(f"validation after update {self.state.update}: {error}") from None
        return result

    def _append(self, row: dict[str, Any]) -> None:
        atomic.append_line(self.run.path / METRICS, json.dumps(row))

    def _epoch(self) -> int:
        """The epoch, from 1, that the last update belongs to."""
        return -(-self.state.update // self.updates_per_epoch)

    def _say_plan(self) -> None:
        weights = sum(int(np.prod(v.shape)) for v in self.model.trainable_variables)
        sample = describe_sample(len(self.valid_table), self.config.valid_turns)
        for line in (
            f"{self.run.model} with {weights:,} weights on the {keras.backend.backend()} backend",
            f"{self.table.name}: {len(self.rows):,} turns, {self.updates_per_epoch:,} updates an "
            f"epoch, {self.updates:,} in all; done: {self.state.update:,}",
            f"{self.valid_table.name}: {sample}, every {self.config.eval_every:,} updates",
        ):
            self._progress.say(line)

    def _lock_run(self) -> contextlib.AbstractContextManager[None]:
        """Two processes in one run folder would undo each other's work."""
        path = self.run.path
        return atomic.locking(path, f"{path}: another process trains this run; wait for it")

    @contextlib.contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM let the update at hand be finished; a second Ctrl-C does not wait."""

        def ask(number, frame):
            if self._stop and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._stop = True
            # Straight to the file: the signal may have come in the midst of a print.
            os.write(2, b"stopping after this update; Ctrl-C again stops without saving\n")

        former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
