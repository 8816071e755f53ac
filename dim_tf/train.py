"""Trains a model on a prepared folder: `python -m dim_tf.train --prepared DIR --run RUN`.

The defaults are the paper's recipe. All that is asked for is checked before the run folder is made.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dim_tf import backend, cli, initial_weights, run_folder
from dim_tf.config import WITHOUT_PERSONA, ModelConfig, TrainingConfig, check_context
from dim_tf.dataset import PERSONAS, VERSIONS, PreparedData
from dim_tf.errors import DataError, UsageError
from dim_tf.run_folder import LATEST, Run
from dim_tf.settings import (
    MODEL_FIELDS,
    TRAINING_FIELDS,
    add_settings,
    given_settings,
)
from dim_tf.training_state import training_rows

if TYPE_CHECKING:
    from dim_tf.training import Training

DEFAULT_MODEL, DEFAULT_PERSONA = "dim", "self"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = build_parser().parse_args(argv)
    changes, chosen, resumed, initial = checked(arguments)
    data = PreparedData.load(arguments.prepared)
    if resumed:
        resumed.check_prepared(data)
    run = resumed or new_run(arguments.run, data, changes, **chosen)
    check_data(run, data)
    if initial:
        initial_weights.check(initial, run, data)
        run = dataclasses.replace(run, initial=initial_weights.described(initial))

    training = open_training(
        run,
        data,
        arguments.deterministic,
        arguments.jit_compile,
        resume=arguments.resume,
        initial=initial,
    )
    from dim_tf.training import Stopped

    try:
        training.train()
    except Stopped:
        options = ["--prepared", str(arguments.prepared), "--run", str(run.path)]
        options += ["--deterministic"] * arguments.deterministic
        options += [*["--jit-compile"] * arguments.jit_compile, "--resume"]
        again = shlex.join(["python", "-m", "dim_tf.train", *options])
        print(f"stopped after update {training.state.update:,}; to go on: {again}", file=sys.stderr)
        return 130
    best = training.state.best
    print(
        f"{run.path}: best validation hits@1 {best['hits@1']:.3f} MRR {best['MRR']:.3f} "
        f"after update {best['update']}"
    )


def checked(
    arguments: argparse.Namespace,
) -> tuple[dict[str, Any], dict[str, str], Run | None, Run | None]:
    """Refuses what can be refused before the data is read.

    Args:
        arguments: Of `build_parser`.

    Returns:
        The settings that are given; of model, persona and version those that are; the run that is
        to go on, or None; and the run whose weights are the first ones, or None.

    Raises:
        UsageError: Options that exclude each other; the run exists, or cannot go on like this.
        ConfigError: An unknown setting, or an impossible one.
        CheckpointError: A run that has to be there is missing or damaged.
    """
    changes = given_settings(arguments)
    chosen = {n: getattr(arguments, n) for n in ("model", "persona", "version") if n in arguments}
    if arguments.resume and arguments.init_from:
        raise UsageError("--resume and --init-from exclude each other: a run has one beginning")
    TrainingConfig.from_dict({n: v for n, v in changes.items() if n in TRAINING_FIELDS})
    resumed = Run.open(arguments.run) if arguments.resume else None
    if resumed:
        _check_same(resumed, {**chosen, **changes})
    else:
        run_folder.check_free(arguments.run, ", or go on with that run: --resume")
        model = chosen.get("model", DEFAULT_MODEL)
        if model in WITHOUT_PERSONA:
            chosen.setdefault("persona", "none")
        persona = chosen.get("persona", DEFAULT_PERSONA)
        _model_config(model, persona, changes, {"char_vocab_size": 1})
    initial = Run.open(arguments.init_from) if arguments.init_from else None
    if initial:
        if "input_scale" in arguments:
            raise UsageError("--input-scale scales fresh weights: leave it out with --init-from")
        changes["input_scale"] = 1.0  # also where a recipe says something else
    return changes, chosen, resumed, initial


def build_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = cli.Parser(prog="python -m dim_tf.train", description=__doc__)
    parser.add_argument("--prepared", required=True, help="folder made by python -m data_prep")
    parser.add_argument("--run", required=True, help="run folder, to be made")
    parser.add_argument("--resume", action="store_true", help="go on with that run")
    parser.add_argument("--init-from", metavar="RUN", help="start from the weights of another run")
    parser.add_argument(
        "--jit-compile", action="store_true", help="with XLA, on TensorFlow: compile updates"
    )
    # A setting that is not given must be told from one that is: a resumed run has its own.
    given = {"default": argparse.SUPPRESS}
    parser.add_argument("--model", help=f"which model (default: {DEFAULT_MODEL})", **given)
    parser.add_argument(
        "--persona",
        choices=PERSONAS,
        help=f"whose profile is read (default: {DEFAULT_PERSONA})",
        **given,
    )
    parser.add_argument(
        "--version", choices=VERSIONS, help="of the profile (default: original)", **given
    )
    parser.add_argument(
        "--no-context",
        action="store_const",
        const=False,
        dest="use_context",
        help="leave out the conversation, as in Table 4",
        **given,
    )
    parser.add_argument(
        "--max-updates", type=cli.positive, help="stop after so many updates", **given
    )
    seeded = f"of initial weights, order and dropout (default: {TrainingConfig.seed})"
    parser.add_argument("--seed", type=int, help=seeded, **given)
    add_settings(parser)
    return parser


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
    if model in WITHOUT_PERSONA and persona != "none":
        raise UsageError(f"--model {model} reads no persona: give --persona none, or leave it out")
    if "use_persona" in changes:
        raise UsageError("--set: use_persona follows from --persona; give --persona none")
    settings = {"use_persona": persona != "none", **sizes}
    settings.update((name, value) for name, value in changes.items() if name in MODEL_FIELDS)
    config = ModelConfig.from_dict(settings)
    check_context(model, config)
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
        from dim_tf import model_card

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
    from dim_tf.training import Training

    keras.utils.set_random_seed(run.training_config.seed)
    model = run.build_model()
    initial_weights.scale_encoder_inputs(model, run.training_config.input_scale)
    if initial:
        initial_weights.copy(initial, model)
    return Training(run, data, model, jit_compile)


def _check_same(run: Run, changes: Mapping[str, Any]) -> None:
    """A resumed run keeps its settings; giving them again is fine, others are refused."""
    if run.training_config is None or not (run.path / LATEST).is_file():
        raise UsageError(
            f"{run.path} has no state of training to go on from: it was converted, or is a small "
            f"copy; start a new run with --init-from {run.path}"
        )
    settings = {**run.model_config.to_dict(), **run.training_config.to_dict()}
    settings |= {name: getattr(run, name) for name in ("model", "persona", "version")}
    for name, value in changes.items():
        if value != settings[name]:
            raise UsageError(
                f"--resume: {name} {value} was asked for, but {run.path} was started with "
                f"{settings[name]}; leave it out, or start another run with --init-from {run.path}"
            )


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


if __name__ == "__main__":
    sys.exit(cli.run(main))
