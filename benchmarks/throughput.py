"""Measures DIM against the reference model: `python benchmarks/throughput.py`.

Training, evaluation, input pipeline and ranking, by the packed model and by the reference model of
stock Keras layers in turns, each time in a fresh process. Prints tables in Markdown and writes all
figures as JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

from benchmarks import report
from benchmarks.child import CHILD, MODELS, Task, in_a_child, measure
from benchmarks.turns import write_turns
from dim_tf.cli.flags import given_settings
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.cli.progress import Progress
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.training.start import new_run

FIGURES = Path(__file__).absolute().with_suffix(".json")
PARTS = ("train", "eval", "input", "rank")
WORD_DIM = 400
LEAST_TURNS = 512


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    if argv[:1] == [CHILD]:
        task = json.loads(argv[1])
        atomic.write_json(argv[2], measure(Task(**task)))
        return None
    arguments = _parser().parse_args(argv)
    atomic.check_place(arguments.json)
    if Path(arguments.json).is_dir():
        raise UsageError(f"--json: {arguments.json} is a folder, expected the name of a file")
    if arguments.prepared and arguments.dimensions:
        raise UsageError("--word-dim is of the random turns, --prepared brings its own vectors")
    settings = given_settings(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = Path(temporary)
        prepared = arguments.prepared
        if prepared is None:
            prepared = folder / "prepared"
            prepared.mkdir()
            largest = max(*arguments.train_batch, *arguments.eval_batch) * arguments.steps
            write_turns(prepared, max(LEAST_TURNS, largest), arguments.dimensions or WORD_DIM)
        # Whatever is wrong with folder and settings is found here.
        data = PreparedData.load(prepared)
        config = new_run("benchmark", data, settings).model_config
        data.inputs(data.table("train", "self", "original"), [0], config)

        tasks = list(_tasks(arguments, str(prepared), settings))
        results = []
        with Progress("benchmark", len(tasks), "measurements") as progress:
            for number, task in enumerate(tasks):
                what = dataclasses.asdict(task)
                figures = in_a_child(__file__, what, folder / f"{number}.json", arguments.debug)
                results.append((task, figures))
                progress.say(report.line(task, figures))
                progress.advance()
    figures = report.summarise(results, config)
    figures["turns"] = data.manifest["name"]
    figures["settings"] = config.to_dict()
    print(report.markdown(figures))
    atomic.write_json(arguments.json, figures)
    print(f"figures: {arguments.json}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python benchmarks/throughput.py", description=__doc__)
    parser.add_argument("--prepared", help="prepared folder; random turns if not given")
    parser.add_argument("--json", default=str(FIGURES), help="where the figures go")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=positive, default=2, help="how often A, B")
    parser.add_argument("--steps", type=positive, default=2, help="steps timed in a round")
    parser.add_argument(
        "--warm-up",
        type=positive,
        help="steps before these (default: 1; on JAX, which compiles for sizes, --steps)",
    )
    parser.add_argument(
        "--batch-size",
        dest="train_batch",
        type=_numbers,
        default=(16,),
        help="turns of a training step, such as 16,64,256",
    )
    parser.add_argument(
        "--eval-batch-size",
        dest="eval_batch",
        type=_numbers,
        default=(32,),
        help="turns of a forward pass",
    )
    parser.add_argument(
        "--candidates", type=_numbers, default=(20, 100, 1000), help="candidates ranked at once"
    )
    parser.add_argument(
        "--calls",
        type=positive,
        default=10,
        help="rankings of the first number of candidates, in a round",
    )
    parser.add_argument(
        "--word-dim",
        dest="dimensions",
        type=positive,
        help=f"dimensions of the random turns' vectors (default: {WORD_DIM})",
    )
    parser.add_argument(
        "--rnn-units",
        type=positive,
        default=argparse.SUPPRESS,
        help="units of each LSTM direction (default: 200)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of the model",
    )
    return parser


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"found {part!r}, expected some of {','.join(PARTS)}")
    return parts


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def _tasks(arguments: argparse.Namespace, prepared: str, settings: dict) -> Iterator[Task]:
    """All measurements in their order."""
    compiles_often = os.environ.get("KERAS_BACKEND") == "jax"
    warm_up = arguments.warm_up or (arguments.steps if compiles_often else 1)

    def task(part, **options):
        options = {"steps": arguments.steps, "warm_up": warm_up, **options}
        return Task(part, prepared, settings, **options)

    largest = max(*arguments.train_batch, *arguments.eval_batch)
    yield task("idle", batch_size=largest)
    yield task("product")
    for part, sizes in (("train", arguments.train_batch), ("eval", arguments.eval_batch)):
        if part in arguments.only:
            for size in sizes:
                for _ in range(arguments.rounds):
                    for model in MODELS:
                        yield task(part, model=model, batch_size=size)
    if "input" in arguments.only:
        for size in arguments.train_batch:
            yield task("input", batch_size=size, steps=max(arguments.steps, 20))
    if "rank" in arguments.only:
        for number in range(arguments.rounds):
            # Many candidates take long, and are an average already.
            candidates = arguments.candidates[: None if number == 0 else 1]
            for model in MODELS:
                yield task("rank", model=model, candidates=candidates, calls=arguments.calls)


if __name__ == "__main__":
    sys.exit(run_command(main))
