"""The start of a training: what was asked for is checked, then run, model and trainer are made."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.cli.flags import given_settings
from dim_tf.config import MODEL_FIELDS, RECIPES, TRAINING_FIELDS, ModelConfig, TrainingConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import ConfigError, UsageError
from dim_tf.runs.run import LATEST, Run, check_free
from dim_tf.runtime import backend
from dim_tf.systems import registry
from dim_tf.training import initial_weights
from dim_tf.training.state import training_rows

if TYPE_CHECKING:
    import keras

    from dim_tf.training.trainer import Trainer

DEFAULT_MODEL, DEFAULT_PERSONA = "dim", "self"
ADAPT_BATCH = 1000  # turns


@dataclasses.dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    settings: dict[str, Any]  # the given ones, by the names of their config fields
    chosen: dict[str, str]  # those of model, persona and version that are given
    resumed: Run | None  # the run to resume
    initial: Run | None  # the run whose weights are the initial ones


def check_request(arguments: argparse.Namespace) -> Request:
    """Checks the options of `dim_tf.train` as far as possible before the data is read.

    Raises:
        UsageError: Options that exclude each other; the run exists, or cannot be resumed like this.
        ConfigError: An unknown setting or an impossible value.
        CheckpointError: A run to start from is missing or damaged.
    """
    settings = given_settings(arguments)
    chosen = {n: getattr(arguments, n) for n in ("model", "persona", "version") if n in arguments}
    if arguments.resume and arguments.init_from:
        raise UsageError("--resume and --init-from exclude each other: give one of them")
    resumed = Run.open(arguments.run) if arguments.resume else None
    if arguments.init_from and "input_scale" in settings:
        raise UsageError("--input-scale scales fresh weights: leave it out with --init-from")
    if arguments.init_from or (resumed and resumed.initial):
        settings.setdefault("input_scale", 1.0)  # also where a recipe sets another
    if resumed:
        if not registry.find(resumed.model).trained:
            settings.pop("max_updates", None)  # whatever it is, there are none
        _check_same(resumed, {**chosen, **settings})
    else:
        check_free(arguments.run, ", or resume that run with --resume")
        model = chosen.get("model", DEFAULT_MODEL)
        if not registry.get(model).reads_persona:
            chosen.setdefault("persona", "none")
        persona = chosen.get("persona", DEFAULT_PERSONA)
        _model_config(model, persona, settings, {"char_vocab_size": 1})
        base, trained = registry.get(model).starts_from, registry.get(model).trained
        if base and not arguments.init_from:
            raise UsageError(f"--model {model} starts from a run of {base}: give --init-from RUN")
        if arguments.init_from and not (base or trained):
            raise UsageError(f"--model {model} has no weights to start from: leave out --init-from")
    initial = Run.open(arguments.init_from) if arguments.init_from else None
    return Request(settings, chosen, resumed, initial)


def start_training(arguments: argparse.Namespace) -> Trainer:
    """Checks the options of `dim_tf.train` and opens the training that they ask for."""
    request = check_request(arguments)
    data = PreparedData.load(arguments.prepared)
    if request.resumed:
        request.resumed.check_prepared(data)
    run = request.resumed or new_run(arguments.run, data, request.settings, **request.chosen)
    check_data(run, data)
    if request.initial:
        initial_weights.check(request.initial, run, data)
        run = dataclasses.replace(run, initial=initial_weights.description(request.initial))
    return open_training(
        run,
        data,
        arguments.deterministic,
        arguments.jit_compile,
        resume=arguments.resume,
        initial=request.initial,
    )


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
        path: str. The run folder.
        data: PreparedData. The prepared folder to train on.
        changes: dict. Settings that are not the defaults, by the names of their config fields.
        model: str. Name of the system.
        persona: str. none, self, their or both.
        version: str. original or revised.

    Raises:
        ConfigError: An impossible setting.
        UsageError: A persona for a model that reads none.
        DataError: The folder has no training turns of that persona and version.
    """
    table = data.table("train", persona, version)
    sizes = {**data.sizes, "max_candidates": table.candidates.shape[1]}
    if persona == "both":
        sizes["max_profiles"] *= 2
    config = _model_config(model, persona, changes, sizes)
    if persona == "both" and config.use_persona and config.max_profiles < sizes["max_profiles"]:
        found = f"found {config.max_profiles}, expected {sizes['max_profiles']} or more"
        raise ConfigError(f"max_profiles: {found}: of both personas the partner's comes last")
    training_config = _training_config(model, changes)
    return Run(
        path=Path(path),
        model=model,
        model_config=config,
        training_config=training_config,
        text=data.rules,
        persona=persona,
        version=version,
        prepared={
            "fingerprint": data.fingerprint,
            "text_fingerprint": data.text_fingerprint,
            **{name: data.manifest.get(name) or "" for name in ("name", "licence")},
            "word2vec": data.manifest.get("word2vec"),
            "word2vec_dim": data.word2vec_dim,
            "training_turns": len(training_rows(table.dialogue, training_config)),
        },
        words=data.words,
        characters=data.characters,
        word_vectors=data.word_vectors,
    )


def check_data(run: Run, data: PreparedData) -> None:
    """Refuses a prepared folder that cannot train `run`.

    Raises:
        DataError: It lacks the turns to train or to validate on.
        ConfigError: A size of the run is larger than the prepared one.
    """
    for split in ("train", "valid"):
        table = data.table(split, run.persona, run.version)
        data.inputs(table, [0], run.model_config)


def open_training(
    run: Run,
    data: PreparedData,
    deterministic: bool = False,
    jit_compile: bool = False,
    *,
    resume: bool = False,
    initial: Run | None = None,
) -> Trainer:
    """The trainer of a run: new, with a new run folder, or resumed from the last checkpoint.

    Args:
        run: Run. The run.
        data: PreparedData. Its prepared folder.
        deterministic: bool. Whether results are repeatable to the bit on a GPU too; slower there.
        jit_compile: bool. Whether TensorFlow compiles the updates with XLA.
        resume: bool. Whether the run folder exists and is resumed.
        initial: Run. The run whose weights are the initial ones, or None.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
        UsageError: `jit_compile` on another backend than TensorFlow.
    """
    _make_deterministic(deterministic)
    import keras

    if jit_compile and keras.backend.backend() != "tensorflow":
        raise UsageError("--jit-compile is for TensorFlow: JAX always compiles; leave it out")
    from dim_tf.evaluation import model_card
    from dim_tf.training.trainer import Trainer

    model = initial_model(run, initial, None if resume else data)
    trainer = Trainer(run, data, model, jit_compile)
    if resume:
        trainer.restore()
        if not (registry.find(run.model).trained or trainer.finished):
            _adapt(model, run, data)  # the checkpoint has the weights alone
    else:
        with run.creating() as unfinished:
            model_card.write(unfinished)
            trainer.save(unfinished.path)
    return trainer


def initial_model(
    run: Run, initial: Run | None = None, data: PreparedData | None = None
) -> keras.Model:
    """The model of a run before its first update.

    Args:
        run: Run. The run.
        initial: Run. The run whose weights it takes, or None.
        data: PreparedData. What a model with a method `adapt` adapts to; None leaves that out.
    """
    backend.load()
    import keras

    keras.utils.set_random_seed(run.training_config.seed)
    model = run.build_model()
    initial_weights.scale_encoder_inputs(model, run.training_config.input_scale)
    trained = registry.find(run.model).trained
    if data and trained:  # first: `copy` needs the adapted vectors of words that `initial` lacks
        _adapt(model, run, data)
    if initial:
        initial_weights.copy(initial, run, model)
    if data and not trained:
        _adapt(model, run, data)
    return model


def _adapt(model: keras.Model, run: Run, data: PreparedData) -> None:
    """Adapts a model to the training turns, if it has a method `adapt`."""
    from dim_tf.models.inputs import input_names

    if not hasattr(model, "adapt"):
        return
    table, config = data.table("train", run.persona, run.version), run.model_config
    rows = training_rows(table.dialogue, run.training_config)
    names = input_names(model)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for first in range(0, len(rows), ADAPT_BATCH):
            turns = table.take(rows[first : first + ADAPT_BATCH])
            turns = dataclasses.replace(turns, candidates=turns.gold[:, None])
            yield data.inputs(turns, np.arange(len(turns)), config, names=names)[0]

    model.adapt(batches(), run.words)


def _model_config(
    model: str, persona: str, changes: Mapping[str, Any], sizes: Mapping[str, int]
) -> ModelConfig:
    """The settings of a model: `changes`, and the sizes of the data for what they leave open."""
    system = registry.get(model)
    if not system.reads_persona and persona != "none":
        raise UsageError(f"--model {model} reads no persona: give --persona none, or leave it out")
    if "use_persona" in changes:
        raise UsageError("--set: use_persona follows from --persona; give --persona none")
    settings = {"use_persona": persona != "none", **sizes}
    for name in MODEL_FIELDS & system.defaults.keys():
        settings[name] = min(system.defaults[name], sizes.get(name, system.defaults[name]))
    settings.update((name, value) for name, value in changes.items() if name in MODEL_FIELDS)
    config = ModelConfig.from_dict(settings)
    system.check(config, _training_config(model, changes))
    return config


def _training_config(model: str, changes: Mapping[str, Any]) -> TrainingConfig:
    """The settings of a training: `changes`, those of their recipe, the system's defaults."""
    system, recipe = registry.get(model), changes.get("recipe")
    named = RECIPES.get(str(recipe), {})  # an unknown one is refused below
    settings = {**system.defaults, **named, **changes}
    settings = {name: value for name, value in settings.items() if name in TRAINING_FIELDS}
    if settings.get("negatives") is not None and "negatives_from" not in changes:
        settings.pop("negatives_from", None)  # "batch", a system's default, takes no number
    if not system.trained:
        settings["max_updates"] = 0
    return TrainingConfig.from_dict(settings)


def _check_same(run: Run, changes: Mapping[str, Any]) -> None:
    """A resumed run keeps its settings: the same may be given again, others are refused."""
    if run.training_config is None or not (run.path / LATEST).is_file():
        raise UsageError(
            f"{run.path} has no training checkpoint to resume from: it was converted, or is a "
            f"small copy; start a new run with --init-from {run.path}"
        )
    settings = {**run.model_config.to_dict(), **run.training_config.to_dict()}
    settings |= {name: getattr(run, name) for name in ("model", "persona", "version")}
    for name, value in changes.items():
        if value != settings[name]:
            raise UsageError(
                f"--resume: {name} {value} was given, but {run.path} was started with "
                f"{settings[name]}; leave it out, or start another run with --init-from {run.path}"
            )


def _make_deterministic(wanted: bool) -> None:
    """Makes results repeatable to the bit: always on a CPU; on a GPU, at a cost, if `wanted`."""
    flag, flags = "--xla_gpu_deterministic_ops=true", os.environ.get("XLA_FLAGS", "")
    if wanted and flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
    backend.load()
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if wanted or not tf.config.list_physical_devices("GPU"):
            keras.utils.set_random_seed(0)
            tf.config.experimental.enable_op_determinism()
