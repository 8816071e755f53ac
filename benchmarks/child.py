"""What is measured: each measurement runs in a process of its own, see `benchmarks.throughput`.

Times are in seconds, memory is in bytes. A step has ended when its last result is on the host.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DimError
from dim_tf.evaluation.evaluator import SAMPLE_BATCHES
from dim_tf.io import atomic
from dim_tf.runtime import backend
from dim_tf.training.start import new_run

if TYPE_CHECKING:
    import keras

    from dim_tf.data.dataset import Inputs
    from dim_tf.runs.run import Run

MODELS = ("packed", "reference")
SEED = 1
PRODUCT_SIZE = 2048
CHILD = "child"  # the first argument of a benchmark that is to measure in this process


@dataclasses.dataclass(frozen=True)
class Task:
    """One measurement.

    Args:
        part: What is measured, one of `PARTS`.
        prepared: The prepared folder whose table `train_self_original` gives the turns.
        settings: Settings of the model other than the defaults.
        model: "packed" or "reference".
        batch_size: Turns of a step.
        steps: Steps that are timed; so many batches are made.
        warm_up: Steps before these.
        candidates: How many candidates are ranked at once, one number after the other; each time
            one call goes before those that are timed.
        calls: How often the first number of candidates is ranked; the others once.
    """

    part: str
    prepared: str
    settings: Mapping[str, Any]
    model: str = "packed"
    batch_size: int = 1
    steps: int = 1
    warm_up: int = 1
    candidates: tuple[int, ...] = ()
    calls: int = 1


def measure(task: Task) -> dict[str, Any]:
    """Measures, and adds `peak`, the peak memory of this process, and what it ran on."""
    data = PreparedData.load(task.prepared)
    run = new_run("benchmark", data, task.settings)
    backend.load()
    # All parts import the same, so that their memory can be compared.
    import dim_tf.models
    import dim_tf.models.reference
    import dim_tf.ranking.ranker
    import dim_tf.training.train_step  # noqa: F401

    figures = PARTS[task.part](task, run, data)
    return {**figures, **_peaks(), **platform_figures()}


def _idle(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    """Nothing but imports and data: the memory that is not the model's."""
    _batches(task, run, data)
    return {}


def _product(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    return {"gflops": product()}


def product() -> float:
    """What a large float32 matrix product reaches here, in GFLOP/s: no model can be faster."""
    from keras import ops

    matrix = ops.ones((PRODUCT_SIZE, PRODUCT_SIZE))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        ops.convert_to_numpy(ops.matmul(matrix, matrix)[0, 0])
        seconds.append(time.perf_counter() - began)
    return 2 * PRODUCT_SIZE**3 / min(seconds) / 1e9


def _train(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    """Times of training steps."""
    from dim_tf.config import TrainingConfig
    from dim_tf.training.train_step import TrainingStep, adam

    model = _model(task, run)
    step = TrainingStep(model, adam(TrainingConfig()), SEED, _samples(task, run, data))
    numbers = itertools.count(1)

    def update(inputs: Inputs, target: np.ndarray) -> None:
        loss, _ = step.update(next(numbers), inputs, target)
        float(loss)  # waits for it
        # The loss may be ready before the new weights are.
        np.asarray(model.trainable_variables[-1].value)

    return _times(task, update, _batches(task, run, data))


def _eval(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    """Times of forward passes, and the logits of the first batch."""
    from dim_tf.runtime.scorer import Scorer

    scorer = Scorer(_model(task, run), _samples(task, run, data))
    logits = []

    def score(inputs: Inputs, target: np.ndarray) -> None:
        logits.append(scorer(inputs))

    return {**_times(task, score, _batches(task, run, data)), "logits": logits[0].tolist()}


def _input(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    """Times of making batches of a prepared folder, and of bringing them into the model's form."""
    from dim_tf.runtime.scorer import Scorer

    executor = Scorer(_model(task, run), _samples(task, run, data)).executor
    table = data.table("train", run.persona, run.version)
    made, packed = [], []
    began = time.perf_counter()
    for inputs, _ in data.batches(table, run.model_config, task.batch_size, _order(task, table)):
        ready = time.perf_counter()
        executor.pack(inputs)
        made.append(ready - began)
        began = time.perf_counter()
        packed.append(began - ready)
    return {"batches": made[task.warm_up :], "packing": packed[task.warm_up :]}


def _rank(task: Task, run: Run, data: PreparedData) -> dict[str, Any]:
    """Times of `Ranker.rank` and the peak memory after each number of candidates."""
    from dim_tf.ranking.ranker import Ranker

    ranker = Ranker(run, _model(task, run))
    table = data.table("train", run.persona, run.version)
    turns = [data.texts(table, row) for row in range(min(len(table), 200))]
    replies = list(dict.fromkeys(text for turn in turns for text in turn["candidates"] if text))

    def rank(call: int, count: int) -> float:
        turn = turns[call % len(turns)]
        first = call * count % max(len(replies) - count, 1)
        began = time.perf_counter()
        ranker.rank(turn["context"], turn["persona"], replies[first : first + count])
        return time.perf_counter() - began

    first, counts = [], []
    for index, count in enumerate(task.candidates):
        first.append(rank(0, count))
        calls = range(1, 1 + (task.calls if index == 0 else 1))
        seconds = [rank(call, count) for call in calls]
        counts.append({"candidates": min(count, len(replies)), "seconds": seconds, **_peaks()})
    return {"first": first, "counts": counts}


PARTS = {
    "idle": _idle,
    "product": _product,
    "train": _train,
    "eval": _eval,
    "input": _input,
    "rank": _rank,
}


def _model(task: Task, run: Run) -> keras.Model:
    """The packed model with random weights, or the reference one with the same."""
    import keras

    from benchmarks.reference_weights import copy_weights
    from dim_tf.models.reference import build_reference

    keras.utils.set_random_seed(SEED)
    packed = run.build_model()
    if task.model == "packed":
        return packed
    reference = build_reference(run.model_config, run.word_vectors)
    copy_weights(packed, reference)
    return reference


def _order(task: Task, table) -> np.ndarray:
    """The turns of all batches, drawn from all over the table."""
    count = task.batch_size * (task.steps + task.warm_up * (task.part == "input"))
    return np.resize(np.random.default_rng(SEED).permutation(len(table)), count)


def _batches(task: Task, run: Run, data: PreparedData) -> list[tuple[Inputs, np.ndarray]]:
    table = data.table("train", run.persona, run.version)
    order = _order(task, table)
    return list(data.batches(table, run.model_config, task.batch_size, order))


def _samples(task: Task, run: Run, data: PreparedData) -> Iterator[Inputs]:
    """As in a training: where sizes are fixed, they are not those of the batches measured."""
    table = data.table("train", run.persona, run.version)
    rng = np.random.default_rng(SEED + 1)
    for _ in range(SAMPLE_BATCHES if len(table) >= task.batch_size else 0):
        rows = rng.choice(len(table), task.batch_size, replace=False)
        yield data.inputs(table, rows, run.model_config)[0]


def _times(task: Task, step: Callable[..., None], batches: list) -> dict[str, Any]:
    """`first`, the time of the first step, which compiles; and `seconds` of those that count."""
    times = []
    for number in range(task.warm_up + task.steps):
        # After the warm-up from the first batch on: warmed up with all, no size is new.
        index = number if number < task.warm_up else number - task.warm_up
        began = time.perf_counter()
        step(*batches[index % len(batches)])
        times.append(time.perf_counter() - began)
    return {"first": times[0], "seconds": times[task.warm_up :]}


def _peaks() -> dict[str, int | None]:
    """Peak memory of this process so far, and of its accelerator, if any."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak": peak, "device_peak": _device()[1]}


def platform_figures() -> dict[str, Any]:
    """What is computed on, and with what."""
    import keras

    return {
        "device": _device()[0],
        "backend": keras.backend.backend(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            keras.backend.backend(): _backend_module().__version__,
        },
    }


def _backend_module():
    import importlib

    import keras

    return importlib.import_module(keras.backend.backend())


def _device() -> tuple[str, int | None]:
    """The name of what computes, and an accelerator's peak memory so far."""
    module = _backend_module()
    if module.__name__ == "jax":
        device = module.devices()[0]
        if device.platform != "cpu":
            return device.device_kind, (device.memory_stats() or {}).get("peak_bytes_in_use")
    elif gpus := module.config.list_physical_devices("GPU"):
        details = module.config.experimental.get_device_details(gpus[0])
        peak = module.config.experimental.get_memory_info("GPU:0")["peak"]
        return details.get("device_name", "GPU"), peak
    return _processor(), None


def _processor() -> str:
    """The name of the processor, as well as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def in_a_child(script: str, task: Mapping[str, Any], path: Path, debug: bool) -> dict[str, Any]:
    """The figures that a fresh process of a benchmark writes to `path`: `SCRIPT child TASK PATH`.

    Raises:
        DimError: It failed; the message is the last line that it wrote.
    """
    command = [sys.executable, str(Path(script).absolute()), CHILD, json.dumps(task), str(path)]
    done = subprocess.run(command, stderr=None if debug else subprocess.PIPE, check=False)
    if done.returncode == 0:
        return atomic.read_json(path)
    lines = (done.stderr or b"").decode("utf-8", "replace").strip().splitlines()
    reason = lines[-1].removeprefix("error: ") if lines else f"exit status {done.returncode}"
    if done.returncode < 0:
        reason = f"it was killed by signal {-done.returncode}; is there enough memory?"
    raise DimError(f"measuring {json.dumps(task)} failed: {reason}")
