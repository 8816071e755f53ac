"""Shows that training is unharmed: `python benchmarks/training.py --prepared DIR`.

Two comparisons of the packed model with the reference model:

losses    the same weights and batches, no dropout: how far the losses of the updates come apart;
          next to it how far those of the packed model do by rounding alone, when the turns of each
          batch are in the opposite order. The first updates of Adam have every weight step
          equally far, by the sign of its gradient, also where that is nothing but rounding; with
          --run they start from the state of a training, with --float64 all is computed in numbers
          whose rounding counts for nothing
study     whole trainings, with dropout unless --dropout is 0, from several seeds: the best
          validation MRR of each
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

from benchmarks.child import MODELS
from dim_tf.cli.flags import add_settings, given_settings
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.cli.progress import Progress
from dim_tf.config import TRAINING_FIELDS
from dim_tf.data.dataset import PreparedData
from dim_tf.io import atomic
from dim_tf.runs.run import LATEST, Run
from dim_tf.runtime import backend
from dim_tf.training.start import new_run, open_training

FIGURES = Path(__file__).absolute().with_suffix(".json")
PARTS = ("losses", "study")
MARKS = (10, 50)
CONTROL = "reversed"


def main(argv: Sequence[str]) -> None:
    """The command."""
    arguments = _parser().parse_args(argv)
    atomic.check_place(arguments.json)
    data, settings = PreparedData.load(arguments.prepared), given_settings(arguments)
    new_run("benchmark", data, settings)
    backend.load()
    figures: dict[str, Any] = {"turns": data.manifest["name"]}
    if "losses" in arguments.only:
        with _floats("float64" if arguments.float64 else "float32"):
            figures["losses"] = _losses(data, settings, arguments.updates, arguments.run)
        print(_differences(figures["losses"]))
    if "study" in arguments.only:
        figures["study"] = _study(data, settings, arguments.seeds)
        print(_table(figures["study"]))
    atomic.write_json(arguments.json, figures)
    print(f"figures: {arguments.json}")


def _parser() -> Parser:
    parser = Parser(prog="python benchmarks/training.py", description=__doc__)
    parser.add_argument("--prepared", required=True, help="prepared folder")
    parser.add_argument("--json", default=str(FIGURES), help="where the figures go")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="one of the two")
    parser.add_argument(
        "--updates", type=positive, default=MARKS[-1], help="of which losses are compared"
    )
    parser.add_argument(
        "--run", help="start the losses from the state of this training, at its sizes"
    )
    parser.add_argument(
        "--float64", action="store_true", help="compute the losses in float64 (TensorFlow)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="of the study")
    parser.add_argument(
        "--max-updates",
        type=positive,
        default=argparse.SUPPRESS,
        help="stop a training of the study after so many updates",
    )
    add_settings(parser)
    return parser


@contextlib.contextmanager
def _floats(dtype: str) -> Iterator[None]:
    """Has models that are built meanwhile compute in this dtype."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def _losses(
    data: PreparedData, settings: dict, updates: int, start: str | None
) -> dict[str, list[float]]:
    """The losses of the same updates by the packed model, the reference one, and the control.

    Args:
        data: The prepared folder.
        settings: Of the training, if they differ from its own or the default.
        updates: How many.
        start: The run folder whose state of training they start from; from fresh weights if None.
    """
    import keras

    from benchmarks.reference_weights import copy_slots, copy_weights
    from dim_tf.models.reference import build_reference
    from dim_tf.training import checkpoint
    from dim_tf.training.state import epoch_order
    from dim_tf.training.train_step import TrainingStep, adam

    run = Run.open(start) if start else new_run("benchmark", data, settings)
    run.check_prepared(data)
    run = dataclasses.replace(run, model_config=run.model_config.replace(dropout=0.0))
    changes = {name: value for name, value in settings.items() if name in TRAINING_FIELDS}
    config = run.training_config.replace(**changes)
    keras.utils.set_random_seed(config.seed)
    packed, control = run.build_model(), run.build_model()
    reference = build_reference(run.model_config, run.word_vectors)
    optimizers = {name: adam(config) for name in ("packed", "reference", CONTROL)}
    models = {"packed": packed, "reference": reference, CONTROL: control}
    steps = {
        name: TrainingStep(model, optimizers[name], config.seed) for name, model in models.items()
    }
    if start:
        checkpoint.load(run.path / LATEST, packed, optimizers["packed"])
        copy_slots(packed, optimizers["packed"], reference, optimizers["reference"])
    copy_weights(packed, reference)
    for one, other in ((packed, control), (optimizers["packed"], optimizers[CONTROL])):
        for source, variable in zip(one.variables, other.variables, strict=True):
            variable.assign(source.value)
    table = data.table("train", run.persona, run.version)
    order = np.resize(epoch_order(config.seed, 0, len(table)), updates * config.batch_size)
    losses: dict[str, list[float]] = {name: [] for name in models}
    with Progress("losses", updates, "updates") as progress:
        batches = data.batches(table, run.model_config, config.batch_size, order)
        for number, (inputs, target) in enumerate(batches, start=1):
            backwards = {name: value[::-1] for name, value in inputs.items()}
            for name, step in steps.items():
                batch = (backwards, target[::-1]) if name == CONTROL else (inputs, target)
                losses[name].append(float(step.update(number, *batch)[0]))
            progress.advance()
    return losses


def _differences(losses: dict[str, list[float]]) -> str:
    rows = [
        "| updates | packed and reference | packed and packed, turns reversed |",
        "| --- | ---: | ---: |",
    ]
    apart = {
        name: np.abs(np.subtract(losses["packed"], losses[name])) for name in ("reference", CONTROL)
    }
    total = len(losses["packed"])
    for mark in [*(mark for mark in MARKS if mark < total), total]:
        largest = " | ".join(f"{values[:mark].max():.1e}" for values in apart.values())
        rows.append(f"| the first {mark} | {largest} |")
    return "\n".join(["Largest difference of a loss, without dropout:", "", *rows])


def _study(data: PreparedData, settings: dict, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The best validation of each training."""
    from benchmarks.reference_weights import copy_weights
    from dim_tf.models.dim import DIM
    from dim_tf.models.reference import build_reference
    from dim_tf.systems import registry

    def reference_like_packed(config, word_vectors):
        packed, reference = DIM(config, word_vectors), build_reference(config, word_vectors)
        copy_weights(packed, reference)
        return reference

    registry.register(registry.System(name="reference", builder=reference_like_packed))
    try:
        return [_best(data, settings, name, seed) for seed in seeds for name in MODELS]
    finally:
        del registry.SYSTEMS["reference"]


def _best(data: PreparedData, settings: dict, name: str, seed: int) -> dict[str, Any]:
    """Trains one of the two models; the row of its best validation."""
    model = "dim" if name == "packed" else name
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        run = new_run(Path(folder, name), data, {**settings, "seed": seed}, model=model)
        training = open_training(run, data)
        training.train()
    best = training.state.best
    print(f"{name}, seed {seed}: best validation MRR {best['MRR']:.4f}", flush=True)
    return {"model": name, "seed": seed, **best}


def _table(rows: list[dict[str, Any]]) -> str:
    scores = {name: [row["MRR"] for row in rows if row["model"] == name] for name in MODELS}
    lines = ["| model | seeds | best validation MRR, mean | standard error |"]
    lines.append("| --- | ---: | ---: | ---: |")
    errors = []
    for name, found in scores.items():
        errors.append(stdev(found) / math.sqrt(len(found)) if len(found) > 1 else math.nan)
        lines.append(f"| {name} | {len(found)} | {mean(found):.4f} | {errors[-1]:.4f} |")
    apart = abs(mean(scores["packed"]) - mean(scores["reference"]))
    lines += ["", f"The means differ by {apart:.4f}; standard error {math.hypot(*errors):.4f}."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
