"""Trains, tests and reports on the runs of a plan."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import DivergedError
from dim_tf.evaluation import results
from dim_tf.paper import comparison, render
from dim_tf.paper.plan import Plan, PlannedRun
from dim_tf.paper.tested_runs import open_runs
from dim_tf.runs.run import Run
from dim_tf.training import start


def reproduce(
    plan: Plan, data: PreparedData, out: Path, turns: int | None, deterministic: bool
) -> None:
    """Does what is left of a plan, and prints and writes the comparison with the paper to `out`.

    Tests on whole splits or on a sample of `turns`.

    Raises:
        Stopped: Training was stopped by a signal.
        DivergedError: Some runs diverged; the others are done and reported.
    """
    for number, planned in enumerate(plan.runs, start=1):
        if planned.finished:
            continue
        print(f"=== {number} of {len(plan.runs)}: {planned.name} ===", flush=True)
        try:
            if not planned.trained:
                _check_base(planned, plan)
                _train(planned, data, deterministic)
            _test(planned, data, turns)
        except DivergedError as error:
            planned.diverged = True
            print(f"error: {error}", file=sys.stderr)
    if finished := open_runs(planned.run.path for planned in plan.runs if planned.finished):
        found = comparison.compare(finished)
        render.write(out, found, finished)
        print(render.markdown(found), end="")
    if diverged := ", ".join(planned.name for planned in plan.runs if planned.diverged):
        raise DivergedError(
            f"not in the report, since they or what they start from diverged: {diverged}"
        )


def _check_base(planned: PlannedRun, plan: Plan) -> None:
    """Raises `DivergedError` if the run that a run starts from diverged."""
    base = planned.run.initial and planned.run.initial["run"]
    if base in [each.run.path.name for each in plan.runs if each.diverged]:
        raise DivergedError(f"{base}, which it starts from, diverged")


def _train(planned: PlannedRun, data: PreparedData, deterministic: bool) -> None:
    import keras

    from dim_tf.training.trainer import Stopped

    # As in a process of its own: nothing of the previous runs is left, not even names of layers.
    keras.utils.clear_session()
    gc.collect()
    resume = planned.run.path.exists()
    initial = None
    if planned.run.initial and not resume:
        initial = Run.open(planned.run.path.with_name(planned.run.initial["run"]))
    training = start.open_training(planned.run, data, deterministic, resume=resume, initial=initial)
    try:
        training.train()
    finally:
        planned.done = training.state.update
    planned.trained = True
    if training.stop_asked:
        raise Stopped


def _test(planned: PlannedRun, data: PreparedData, turns: int | None) -> None:
    persona = planned.setting.persona
    tables = [data.table("test", persona, version) for version in planned.tested_on]
    for ranked in results.rank_tables(planned.run, data, tables, turns):
        ranked.keep()
        found = ranked.result.summary()
        measures = f"hits@1 {found['hits@1']:.3f} MRR {found['MRR']:.3f}"
        print(f"{planned.name}, {ranked.table.name}: {measures}", flush=True)
    planned.tested = True
