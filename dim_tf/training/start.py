"""The start of a training: a new run of a prepared folder, and what trains it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dim_tf.cli.flags import MODEL_FIELDS, TRAINING_FIELDS
from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DataError, UsageError
from dim_tf.runs.run import Run
from dim_tf.runtime import backend
from dim_tf.systems import registry
from dim_tf.training import initial_weights
from dim_tf.training.state import training_rows

if TYPE_CHECKING:
    from dim_tf.training.trainer import Training


DEFAULT_MODEL, DEFAULT_PERSONA = "dim", "self"


def new_run(
    path: str | os.PathLike,
    data: PreparedData,
    changes: Mapping[str, Any],
    model: str = DEFAULT_MODEL,
    persona: str = DEFAULT_PERSONA,
    version: str = "original",
) -> Run:
    """A run that is not on disk yet.

    Args:
        path: Where it will be.
        data: The prepared folder to train on.
        changes: Settings other than the defaults, by the names of their config fields.
        model: Name of the model.
        persona: none, self, their or both.
        version: original or revised.

    Raises:
        ConfigError: An impossible setting.
        UsageError: A persona for a model that reads none.
        DataError: The folder has no training turns of that persona and version.
    """
    table = data.table("train", persona, version)
    sizes = {**data.sizes, "max_candidates": table.candidates.shape[1]}
    if persona == "both":
        sizes["max_profiles"] *= 2
    training = {name: value for name, value in changes.items() if name in TRAINING_FIELDS}
    config = _model_config(model, persona, changes, sizes)
    training_config = TrainingConfig.from_dict(training)
    return Run(
        path=Path(path),
        model=model,
        model_config=config,
        training_config=training_config,
        text=dataclasses.asdict(data.rules),
        persona=persona,
        version=version,
        prepared={
            "fingerprint": data.fingerprint,
            "text_fingerprint": data.text_fingerprint,
            **{name: data.manifest.get(name) for name in ("name", "licence", "word2vec")},
            "word2vec_dim": data.word2vec_dim,
            "training_turns": len(training_rows(table.dialogue, training_config)),
        },
        words=data.words,
        characters=data.characters,
        word_vectors=data.word_vectors,
    )


def _model_config(
    model: str, persona: str, changes: Mapping[str, Any], sizes: Mapping[str, int]
) -> ModelConfig:
    """The settings of a model: the sizes of its data, where `changes` says nothing else."""
    system = registry.get(model)
    if not system.reads_persona and persona != "none":
        raise UsageError(f"--model {model} reads no persona: give --persona none, or leave it out")
    if "use_persona" in changes:
        raise UsageError("--set: use_persona follows from --persona; give --persona none")
    settings = {"use_persona": persona != "none", **sizes}
    settings.update((name, value) for name, value in changes.items() if name in MODEL_FIELDS)
    config = ModelConfig.from_dict(settings)
    system.check_context(config)
    return config


def check_data(run: Run, data: PreparedData) -> None:
    """Refuses a prepared folder that cannot train `run`: one without turns, or with other sizes.

    Raises:
        DataError: It has no turns to train on, or none to validate on.
        ConfigError: A size of the run is larger than the prepared one.
    """
    for split in ("train", "valid"):
        table = data.table(split, run.persona, run.version)
        if not len(table):
            raise DataError(f"{table.name} holds no turns", path=data.path)
        data.inputs(table, [0], run.model_config)


def open_training(
    run: Run,
    data: PreparedData,
    deterministic: bool = False,
    jit_compile: bool = False,
    *,
    resume: bool = False,
    initial: Run | None = None,
) -> Training:
    """The training of a run: at its start, with a run folder made for it, or where it was stopped.

    Args:
        run: The run.
        data: Its prepared folder.
        deterministic: Repeatable to the bit on a GPU too, if slower.
        jit_compile: Have TensorFlow compile the updates with XLA.
        resume: Go on with the folder that is there.
        initial: Start with the weights of this run.

    Raises:
        CheckpointError: The state to go on from is missing or damaged.
        UsageError: `jit_compile` on another backend than TensorFlow.
    """
    training = fresh_training(run, data, deterministic, jit_compile, initial=initial)
    if resume:
        training.restore()
    else:
        from dim_tf.evaluation import model_card

        with run.creating() as unfinished:
            model_card.write(unfinished)
            training.save(unfinished.path)
    return training


def fresh_training(
    run: Run,
    data: PreparedData,
    deterministic: bool = False,
    jit_compile: bool = False,
    *,
    initial: Run | None = None,
) -> Training:
    """As `open_training` at the start, but nothing is written."""
    _make_deterministic(deterministic)
    import keras

    if jit_compile and keras.backend.backend() != "tensorflow":
        raise UsageError("--jit-compile is for TensorFlow: JAX always compiles; leave it out")
    from dim_tf.training.trainer import Training

    keras.utils.set_random_seed(run.training_config.seed)
    model = run.build_model()
    initial_weights.scale_encoder_inputs(model, run.training_config.input_scale)
    if initial:
        initial_weights.copy(initial, model)
    return Training(run, data, model, jit_compile)


def _make_deterministic(wanted: bool) -> None:
    """To the bit on a CPU, always; on a GPU, where that costs speed, if it is wanted."""
    if wanted:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"
        os.environ["XLA_FLAGS"] = flags.strip()
    backend.load()
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if wanted or not tf.config.list_physical_devices("GPU"):
            keras.utils.set_random_seed(0)
            tf.config.experimental.enable_op_determinism()
