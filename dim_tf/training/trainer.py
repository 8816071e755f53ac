"""The training of a run: updates, validations, checkpoints.

Everything that an update depends on follows from the settings of the run and the number of the
update: its turns, dropout masks and learning rate. The checkpoint has the weights, the optimizer
state (Adam's moments) and `State`. So a run that is killed at any moment resumes as if nothing had
happened: the updates after its last checkpoint are rerun, with the same result (on the backend and
with the options of compilation that it began with).
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
    SAMPLE_BATCHES,
    Result,
    describe_sample,
    evaluate,
    sample_batches,
    sample_rows,
)
from dim_tf.evaluation.model_card import MODEL_CARD
from dim_tf.io import atomic
from dim_tf.models.inputs import input_names
from dim_tf.runs.record import METRICS
from dim_tf.runs.run import BEST, LATEST, Run
from dim_tf.runtime.scorer import batch_scorer
from dim_tf.training import checkpoint, losses
from dim_tf.training.negative_sampling import NegativeSampler, gold_of_batch
from dim_tf.training.state import State, epoch_order, total_updates, training_rows
from dim_tf.training.tensorboard import TensorBoardLogger
from dim_tf.training.train_step import TrainingStep, adam, learning_rate

LOG_EVERY = 10


class Stopped(Exception):
    """Training was asked to stop; its state is saved."""


class Trainer:
    """Trains the model of a run to the end, or until it is asked to stop.

    Args:
        run: Run. It has a training config.
        data: PreparedData. The prepared folder of the run.
        model: keras.Model. The model of the run with its initial weights.
        jit_compile: bool. As for `TrainingStep`.
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
        self._names = input_names(model)
        self._optimizer = adam(self.config)
        self._step = TrainingStep(
            model,
            self._optimizer,
            self.config.seed,
            self._samples(),
            jit_compile,
            loss=losses.of(self.config),
        )
        self._scorer = batch_scorer(
            model, sample_batches(data, self.valid_table, run.model_config, self.valid_rows)
        )
        self._unread: list[tuple[int, Any, Any]] = []  # losses that the device may still compute
        self._note = ""  # the last loss that was read
        self._stop = False

    def save(self, folder: Path | None = None) -> None:
        """Writes the checkpoint into the run folder, or into `folder`.

        Raises:
            DivergedError: A loss or weight is not finite; the previous checkpoint is kept.
        """
        self._read_losses()
        path = (folder or self.run.path) / LATEST
        checkpoint.save(path, self.model, self._optimizer, dataclasses.asdict(self.state))

    def restore(self) -> None:
        """Restores the last checkpoint and deletes later metric rows.

        TensorBoard's curves and the best weights of later updates stay: these updates are rerun,
        with the same numbers where training is deterministic.

        Raises:
            CheckpointError: The checkpoint is missing, corrupt, or for a different model.
            UsageError: Another process is training the run.
        """
        with self._lock_run():
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
            UsageError: Another process is training the run.
        """
        turns, done = map(self._turns_after, (self.updates, self.state.update))
        with (
            self._lock_run(),
            self._stopping_on_signals(),
            contextlib.closing(
                TensorBoardLogger(self.run.path / "tensorboard", self.model)
            ) as self._board,
            Progress("training", turns, "turns", start=done) as self._progress,
            contextlib.closing(self._batches()) as batches,
        ):
            self._log_plan()
            while True:
                if self._validation_due():
                    self._validate()
                if self.finished:
                    return
                if self._stop:
                    self.save()
                    raise Stopped
                self._update(batches)
                if self.state.update % self.config.save_every == 0 and not self._validation_due():
                    self.save()

    @property
    def stop_asked(self) -> bool:
        """Whether Ctrl-C or SIGTERM came, even after the last update."""
        return self._stop

    @property
    def finished(self) -> bool:
        """Whether all updates are made and validated, or patience is exhausted."""
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
        """Inputs and targets of an update (from 1) on these turns."""
        turns, config = self._negatives.draw(rows, update), self.run.model_config
        every = np.arange(len(turns))
        if self.config.negatives_from != "batch":
            return self.data.inputs(turns, every, config, names=self._names)
        candidates, target = gold_of_batch(turns)
        names = [name for name in self._names if not name.startswith("responses")]
        inputs, _ = self.data.inputs(turns, every, config, names=names)
        return inputs | self.data.candidates(candidates, config, names=self._names), target

    def _samples(self) -> Iterator[dict[str, np.ndarray]]:
        """Inputs of sample batches with each number of negatives, to choose size buckets from."""
        rng, size = np.random.default_rng(self.config.seed), self.config.batch_size
        ends = [last for _, last in self.config.negatives_schedule if last is not None]
        for first in [1, *(end + 1 for end in ends)]:
            for _ in range(SAMPLE_BATCHES if len(self.rows) >= size else 0):
                rows = self.rows[rng.choice(len(self.rows), size, replace=False)]
                yield self._batch(rows, first)[0]

    def _turns_after(self, update: int) -> int:
        """Turns of the first `update` updates: the last update of an epoch may have fewer."""
        epochs, updates = divmod(update, self.updates_per_epoch)
        return epochs * len(self.rows) + updates * self.config.batch_size

    def _update(self, batches: Iterator[tuple[dict[str, np.ndarray], np.ndarray]]) -> None:
        state, began = self.state, time.monotonic()
        inputs, target = next(batches)
        state.update += 1
        self._unread.append((state.update, *self._step.update(state.update, inputs, target)))
        write_row = state.update % LOG_EVERY == 0
        if write_row:
            self._read_losses()
        state.seconds += time.monotonic() - began
        state.window_seconds += time.monotonic() - began
        state.window_turns += len(target)
        if write_row:
            self._write_row()
        self._progress.advance(len(target), self._note)

    def _read_losses(self) -> None:
        for update, loss, accuracy in self._unread:
            if not np.isfinite(float(loss)):
                raise DivergedError(
                    f"the loss of update {update} is {float(loss)}; the last good checkpoint of "
                    f"{self.run.path} is kept; start a new run with a lower --learning-rate"
                )
            self.state.window.append([float(loss), float(accuracy)])
            self._note = f"loss {float(loss):.3f}"
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

        The best weights are written before the checkpoint that counts them. A run that is killed
        in between validates again.
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
                # Not validated yet: the resumed run starts with the validation.
                self.save()
                raise Stopped

        turns = (self.valid_table, self.run.model_config, self.valid_rows)
        try:
            result = evaluate(self._scorer, self.data, *turns, on_batch=on_batch)
            _ = result.ranks
        except DivergedError as error:
            raise DivergedError(f"validation after update {self.state.update}: {error}") from None
        return result

    def _append(self, row: dict[str, Any]) -> None:
        atomic.append_line(self.run.path / METRICS, json.dumps(row))

    def _epoch(self) -> int:
        """The epoch of the last update, from 1."""
        return -(-self.state.update // self.updates_per_epoch)

    def _log_plan(self) -> None:
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
        """Keeps a second process from training in the same run folder."""
        message = f"{self.run.path}: another process is training this run; wait for it"
        return atomic.locking(self.run.path, message)

    @contextlib.contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM stop after the current update; a second Ctrl-C stops at once."""

        def ask(number, frame):
            if self._stop and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._stop = True
            # Not `print`: the signal may arrive while another print is running.
            with contextlib.suppress(OSError):  # Ctrl-C has also ended what reads a pipe
                os.write(2, b"stopping after this update; Ctrl-C again stops without saving\n")

        signals = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, ask) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, previous, strict=True):
                signal.signal(number, handler)
