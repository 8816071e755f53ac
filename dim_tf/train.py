"""Trains a model on a prepared folder: `python -m dim_tf.train --prepared DIR --run RUN`.

The defaults are the paper's recipe. All that is asked for is checked before the run folder is made.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dim_tf.cli.flags import TRAINING_FIELDS, add_settings, given_settings
from dim_tf.cli.parser import Parser, positive
from dim_tf.cli.parser import run as run_command
from dim_tf.config import TrainingConfig
from dim_tf.data.dataset import PERSONAS, VERSIONS, PreparedData
from dim_tf.errors import UsageError
from dim_tf.runs.run import LATEST, Run, check_free
from dim_tf.systems import registry
from dim_tf.training import initial_weights
from dim_tf.training.start import (
    DEFAULT_MODEL,
    DEFAULT_PERSONA,
    _model_config,
    check_data,
    new_run,
    open_training,
)


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
    from dim_tf.training.trainer import Stopped

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
        check_free(arguments.run, ", or go on with that run: --resume")
        model = chosen.get("model", DEFAULT_MODEL)
        if not registry.get(model).reads_persona:
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
    parser = Parser(prog="python -m dim_tf.train", description=__doc__)
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
    parser.add_argument("--max-updates", type=positive, help="stop after so many updates", **given)
    seeded = f"of initial weights, order and dropout (default: {TrainingConfig.defaults()['seed']})"
    parser.add_argument("--seed", type=int, help=seeded, **given)
    add_settings(parser)
    return parser


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


if __name__ == "__main__":
    sys.exit(run_command(main))
