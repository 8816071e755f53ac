"""From what the processes measured to the figures of a benchmark, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.child import MODELS, Task
from benchmarks.flops import TRAINING_FACTOR, forward_flops
from dim_tf.config import ModelConfig

# Two idle cores reach more. Below it something else held the reference model up, and the ratios say
# little.
SLOW_GFLOPS = 100
Results = Sequence[tuple[Task, dict[str, Any]]]
STEPS = {"train": "training step", "eval": "evaluation"}


def line(task: Task, figures: dict[str, Any]) -> str:
    """One measurement, for the log."""
    what = task.part
    if task.part in (*STEPS, "rank"):
        what += f", {task.model}"
    if task.part in STEPS:
        seconds = median(figures["seconds"])
        what += f", {task.batch_size} turns: {seconds:.2f} s, the first {figures['first']:.1f} s"
    if task.part == "product":
        what += f": {figures['gflops']:.0f} GFLOP/s"
    if task.part == "rank":
        what += (
            f", {task.candidates[0]} candidates: {median(figures['counts'][0]['seconds']):.3f} s"
        )
    return f"{what}; peak {_megabytes(figures['peak'])} MB"


def summarise(results: Results, config: ModelConfig) -> dict[str, Any]:
    """All figures of a benchmark.

    Ratios are packed/reference: of turns per second, above 1 where the packed model is faster; of
    memory, below 1 where it needs less. `train_ratio`, `eval_ratio` and `memory_ratio` (of the
    training step) are those of the first batch size; None where they were not measured.

    Args:
        results: Tasks and what they gave; the first ones are "idle" and "product".
        config: Sizes of the model.
    """
    idle, product = results[0][1], results[1][1]
    flops = forward_flops(config)
    figures: dict[str, Any] = {
        **{name: idle[name] for name in ("device", "backend", "cores", "versions")},
        "product_gflops": product["gflops"],
        "gflop_per_turn": {part: count / 1e9 for part, count in flops.items()},
    }
    for part in STEPS:
        figures[part] = [
            _steps(part, size, found, idle, sum(flops.values()))
            for size, found in _by_size(results, part)
        ]
    figures["input"] = [_input(size, found) for size, found in _by_size(results, "input")]
    figures["rank"] = _rank([r for r in results if r[0].part == "rank"], idle)
    for name, part, ratio in (
        ("train_ratio", "train", "ratio"),
        ("eval_ratio", "eval", "ratio"),
        ("memory_ratio", "train", "memory_ratio"),
    ):
        figures[name] = figures[part][0][ratio] if figures[part] else None
    return figures


def _by_size(results: Results, part: str) -> list[tuple[int, Results]]:
    found = [result for result in results if result[0].part == part]
    sizes = dict.fromkeys(task.batch_size for task, _ in found)
    return [(size, [r for r in found if r[0].batch_size == size]) for size in sizes]


def _steps(part: str, size: int, found: Results, idle: dict, flops: int) -> dict[str, Any]:
    row: dict[str, Any] = {"batch_size": size}
    for model in MODELS:
        measured = [figures for task, figures in found if task.model == model]
        seconds = [second for figures in measured for second in figures["seconds"]]
        row[model] = {
            "turns_per_second": size / median(seconds),
            "step_seconds": seconds,
            "first_step_seconds": [figures["first"] for figures in measured],
            "peak_bytes": median(_memory(figures, idle) for figures in measured),
        }
    factor = TRAINING_FACTOR if part == "train" else 1
    row["reference"]["gflops"] = factor * flops / 1e9 * row["reference"]["turns_per_second"]
    row["ratio"] = _ratio(row, "turns_per_second")
    row["memory_ratio"] = _ratio(row, "peak_bytes")
    if part == "eval":
        packed, reference = (
            next(np.array(f["logits"]) for task, f in found if task.model == model)
            for model in MODELS
        )
        row["largest_logit_difference"] = float(np.abs(packed - reference).max())
    return row


def _input(size: int, found: Results) -> dict[str, Any]:
    times = {
        name: [second for _, figures in found for second in figures[name]]
        for name in ("batches", "packing")
    }
    times["together"] = [sum(pair) for pair in zip(*times.values(), strict=True)]
    rates = {f"{name}_turns_per_second": size / median(times[name]) for name in times}
    return {"batch_size": size, **rates}


def _rank(found: Results, idle: dict) -> list[dict[str, Any]]:
    rows = []
    for index in range(len(found[0][1]["counts"]) if found else 0):
        row: dict[str, Any] = {}
        for model in MODELS:
            counts = [f["counts"][index:] for task, f in found if task.model == model]
            measured = [count[0] for count in counts if count]
            seconds = [second for figures in measured for second in figures["seconds"]]
            row["candidates"] = measured[0]["candidates"]
            p50, p95 = np.percentile(seconds, [50, 95]).tolist()
            row[model] = {
                "p50_seconds": p50,
                "p95_seconds": p95,
                "calls": len(seconds),
                "seconds_per_candidate": p50 / row["candidates"],
                "peak_bytes": median(_memory(figures, idle) for figures in measured),
            }
        row["ratio"] = row["reference"]["p50_seconds"] / row["packed"]["p50_seconds"]
        rows.append(row)
    return rows


def _memory(figures: dict, idle: dict) -> int:
    """Memory of the accelerator, if any; else of the process beyond an idle one."""
    if figures["device_peak"] is not None:
        return figures["device_peak"]
    return max(figures["peak"] - idle["peak"], 0)


def _ratio(row: dict, name: str) -> float | None:
    packed, reference = (row[model][name] for model in MODELS)
    return packed / reference if reference else None


def markdown(figures: dict[str, Any]) -> str:
    """The tables that are printed."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    blocks = [
        f"{figures['device']}, {figures['cores']} cores, {versions}; turns: {figures['turns']}"
    ]
    rows = [
        (
            f"{what}, {row['batch_size']} turns",
            *(f"{row[model]['turns_per_second']:.2f}" for model in MODELS),
            f"{row['ratio']:.2f}",
            *(f"{median(row[model]['first_step_seconds']):.1f}" for model in MODELS),
            *(_megabytes(row[model]["peak_bytes"]) for model in MODELS),
            "" if row["memory_ratio"] is None else f"{row['memory_ratio']:.2f}",
            f"{row['reference']['gflops']:.0f}",
        )
        for part, what in STEPS.items()
        for row in figures[part]
    ]
    if rows:
        heads = ["", "packed, turns/s", "reference, turns/s", "speed, packed/reference"]
        heads += ["packed, first step (s)", "reference, first step (s)"]
        heads += ["packed, memory (MB)", "reference, memory (MB)", "memory, packed/reference"]
        blocks.append(_table([*heads, "reference, GFLOP/s"], rows))
    slow = [row["reference"]["gflops"] for part in STEPS for row in figures[part]]
    product = f"a large float32 matrix product {figures['product_gflops']:.0f}"
    if slow and min(slow) < SLOW_GFLOPS:
        blocks.append(
            f"NOTE: the reference model reached only {min(slow):.0f} GFLOP/s, {product}. Below "
            f"{SLOW_GFLOPS} the machine is slow, or busy with something else: do not rely on these "
            "ratios."
        )
    elif slow:
        blocks.append(f"The reference model reached {min(slow):.0f} GFLOP/s or more, {product}.")
    for row in figures["eval"]:
        difference = row["largest_logit_difference"]
        blocks.append(f"Largest difference of a logit, {row['batch_size']} turns: {difference:.1e}")
    if figures["input"]:
        names = ("batches", "packing", "together")
        rows = [
            (row["batch_size"], *(f"{row[f'{name}_turns_per_second']:,.0f}" for name in names))
            for row in figures["input"]
        ]
        heads = ["turns", "batches, turns/s", "packing, turns/s", "together, turns/s"]
        blocks.append(_table(["input pipeline: " + heads[0], *heads[1:]], rows))
    rows = [
        (
            row["candidates"],
            *(cell for model in MODELS for cell in _percentiles(row[model])),
            f"{row['ratio']:.2f}",
            *(f"{1000 * row[model]['seconds_per_candidate']:.1f}" for model in MODELS),
            *(_megabytes(row[model]["peak_bytes"]) for model in MODELS),
        )
        for row in figures["rank"]
    ]
    if rows:
        heads = ["candidates ranked", "packed, p50 (ms)", "p95", "reference, p50 (ms)", "p95"]
        heads += ["speed, packed/reference", "packed, ms a candidate", "reference, ms a candidate"]
        blocks.append(_table([*heads, "packed, memory (MB)", "reference, memory (MB)"], rows))
    return "\n\n".join(blocks)


def _percentiles(figures: dict) -> tuple[str, str]:
    """p50 and p95 in ms; a single call has but itself."""
    p50, p95 = (f"{1000 * figures[name]:.0f}" for name in ("p50_seconds", "p95_seconds"))
    return p50, p95 if figures["calls"] > 1 else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f}"
