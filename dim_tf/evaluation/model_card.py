"""MODEL_CARD.md of a run folder: data, sizes, recipe, results, calibration, use and limits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from dim_tf.errors import CheckpointError, DataError
from dim_tf.evaluation import significance
from dim_tf.evaluation.calibration import CALIBRATION, Calibration
from dim_tf.evaluation.metrics import HITS_AT
from dim_tf.io import atomic, templates
from dim_tf.runs import ranks
from dim_tf.runs.small_copy import LICENCES
from dim_tf.systems import registry

if TYPE_CHECKING:
    from dim_tf.runs.run import Run

MODEL_CARD = "MODEL_CARD.md"
COLUMNS = (*(f"hits@{k}" for k in HITS_AT), "MRR", "MAP")


def write(run: Run) -> None:
    """Writes the card from what the run folder holds."""
    atomic.write_text(run.path / MODEL_CARD, text(run))


def text(run: Run) -> str:
    """The card of a run, in Markdown."""
    config, system = run.model_config, registry.find(run.model)
    context = system.context_read or f"the last {config.max_utterances} utterances"
    rows, outdated = _results(run)
    calibration, problem = _calibration(run)
    return templates.render(
        __package__,
        "model_card.md.j2",
        run=run,
        system=system,
        rules=dataclasses.asdict(run.text),
        licences=(run.path / LICENCES).is_file(),
        initial_runs=_initial_runs(run.initial),
        columns=COLUMNS,
        rows=rows,
        outdated=outdated,
        calibration=calibration,
        problem=problem,
        splits=calibration.splits() if calibration else {},
        reads=[
            *[f"{context} of a context"] * config.use_context,
            *[f"the first {config.max_profiles} profiles"] * config.use_persona,
            f"the first {config.max_response_len} words of a candidate",
        ],
    )


def _initial_runs(initial: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The run whose weights a training started from, the one before it, and so on."""
    return [initial, *_initial_runs(initial["initial"])] if initial else []


def _results(run: Run) -> tuple[list[list[str]], list[str]]:
    """The rows of the results, and the names of those with outdated weights."""
    rows, outdated = [], []
    best = run.best()
    if best:
        name = f"validation, update {best['update']:,} (best)"
        rows.append([name, f"{best['turns']:,}", *(f"{best[column]:.3f}" for column in COLUMNS)])
    for name, result in sorted(run.results().items()):
        rows.append([name, f"{result['turns']:,}", *_measures(run, name, result)])
        if not run.is_current(result):
            outdated.append(name)
    return rows, outdated


def _measures(run: Run, name: str, result: dict[str, Any]) -> list[str]:
    """The measures of a test, with intervals where the ranks of its turns can be read."""
    cells = [f"{result[column]:.3f}" for column in COLUMNS]
    try:
        turn_ranks = ranks.load(run, name)
    except DataError:  # the means are still known
        return cells
    for column in ("hits@1", "MRR"):
        low, high = significance.interval(turn_ranks.measure(column))
        cells[COLUMNS.index(column)] += f" [{low:.3f}, {high:.3f}]"
    return cells


def _calibration(run: Run) -> tuple[Calibration | None, str | None]:
    """The current calibration, or the reason why there is none."""
    again = "`python -m dim_tf.calibrate`"
    try:
        found = Calibration.read(run.path)
    except CheckpointError as error:
        return None, f"Not readable: {error}."
    if found is None:
        return None, f"None yet: probabilities are the softmax of the scores. {again} makes one."
    if not found.is_current(run.path):
        return None, f"{CALIBRATION} belongs to other weights or to an older version; run {again}."
    return found, None
