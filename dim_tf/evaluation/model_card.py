"""MODEL_CARD.md: what a run is, for people who find its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dim_tf.errors import CheckpointError, DataError
from dim_tf.evaluation import significance
from dim_tf.evaluation.calibration import CALIBRATION, Calibration
from dim_tf.io import atomic
from dim_tf.runs.ranks import load as load_ranks

if TYPE_CHECKING:
    from dim_tf.runs.run import Run

MODEL_CARD = "MODEL_CARD.md"
COLUMNS = ("hits@1", "hits@2", "hits@5", "hits@10", "MRR", "MAP")
# Those that are shown with their interval.
WITH_INTERVAL = ("hits@1", "MRR")
FIGURES = {
    "turns": "turns with two candidates or more",
    "loss_before": "cross-entropy, T = 1",
    "loss_after": "cross-entropy",
    "ece_before": "expected calibration error, T = 1",
    "ece_after": "expected calibration error",
    "without_gold": "turns whose gold reply was taken away",
    "precision": "precision of “no candidate fits”",
    "recall": "recall",
    "f1": "F1",
}


def write(run: Run) -> None:
    """Writes the card anew from all that the run folder says."""
    atomic.write_text(run.path / MODEL_CARD, text(run))


def text(run: Run) -> str:
    """The card of a run, in Markdown."""
    turns = run.prepared.get("training_turns")
    sections = {
        "Data": [
            f"* Trained on: {run.prepared['name']}, persona {run.persona}, {run.version}",
            *_beginnings(run.initial),
            f"* Training turns: {'not known' if turns is None else f'{turns:,}'}",
            f"* Licence of the data: {run.prepared.get('licence') or 'not known'}",
            f"* Prepared folder: fingerprint {run.prepared['fingerprint'] or 'not known'}",
            f"* Vocabulary: {len(run.words):,} words, {len(run.characters):,} characters",
            f"* Text: {_pairs(run.text)}",
        ],
        "Sizes": _list(run.model_config.to_dict()),
        "Recipe": [
            *_list(run.training_config.to_dict() if run.training_config else {}),
            f"* software: {_pairs(run.versions)}",
        ],
        **_precision(run),
        "Results": _results(run),
        "Calibration": _calibration(run),
        "Intended use": [
            "Ranking a given list of candidate replies, in research and in dialogue systems that",
            "choose their replies from a pool which people have read before.",
        ],
        "Limits": _limits(run),
    }
    head = [
        f"# {run.model}: reply ranking with {_persona(run)}",
        "",
        "Ranks candidate replies of a conversation by how well they fit the context and the",
        "persona (Gu et al., EMNLP 2019). Open it with `dim_tf.Ranker.load(FOLDER)` or",
        "`python -m dim_tf.predict --run FOLDER`.",
    ]
    body = [line for name, lines in sections.items() for line in ["", f"## {name}", "", *lines]]
    return "\n".join([*head, *body, ""])


def _beginnings(initial: dict[str, Any] | None) -> list[str]:
    """Of whose weights a training started, and that one in turn."""
    lines = []
    while initial:
        data = initial["prepared"]
        lines.append(
            f"* Started from the weights of {initial['run']}, trained on {data['name']} "
            f"(licence: {data.get('licence') or 'not known'})"
        )
        initial = initial["initial"]
    return lines


def _precision(run: Run) -> dict[str, list[str]]:
    if run.stored == "float32":
        return {}
    lines = [
        f"Weights and word vectors are stored as {run.stored}. Results and calibration that came",
        "along are those of the run that this folder was made from, before they were rounded.",
    ]
    return {"Precision": lines}


def _persona(run: Run) -> str:
    return "no persona" if run.persona == "none" else f"persona {run.persona}"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _list(values: dict[str, Any]) -> list[str]:
    return [f"* {name}: {value}" for name, value in values.items()]


def _results(run: Run) -> list[str]:
    rows, former = [], []
    best = run.best()
    if best:
        cells = [f"{best[column]:.3f}" for column in COLUMNS]
        rows.append([f"validation, update {best['update']:,} (best)", f"{best['turns']:,}", *cells])
    for name, result in sorted(run.results().items()):
        rows.append([name, f"{result['turns']:,}", *_cells(run, name, result)])
        if result.get("update") != (best and best["update"]):
            former.append(name)
    if not rows:
        return ["None yet."]
    lines = [*_table(["turns ranked", "number", *COLUMNS], rows), ""]
    if former:
        lines += [
            f"Tested with other weights than the best ones of now: {'; '.join(former)}. Test again",
            "with `python -m dim_tf.evaluate`.",
            "",
        ]
    return [
        *lines,
        "In brackets: 95 % bootstrap intervals over the test turns. Ties count against the gold",
        "reply. The validation turns have chosen the weights, so that their figures flatter.",
    ]


def _cells(run: Run, name: str, result: dict[str, Any]) -> list[str]:
    """The measures of a test, with intervals where the ranks of its turns are there."""
    try:
        ranks = load_ranks(run, name)
    except DataError:  # the means are still known
        return [f"{result[column]:.3f}" for column in COLUMNS]
    cells = []
    for column in COLUMNS:
        cell = f"{result[column]:.3f}"
        if column in WITH_INTERVAL:
            low, high = significance.interval(ranks.measure(column))
            cell += f" [{low:.3f}, {high:.3f}]"
        cells.append(cell)
    return cells


def _calibration(run: Run) -> list[str]:
    again = "`python -m dim_tf.calibrate`"
    try:
        found = Calibration.read(run.path)
    except CheckpointError as error:
        return [f"Not readable: {error}."]
    if found is None:
        return [f"None yet: probabilities are the softmax of the scores. {again} makes one."]
    if not found.is_current(run.path):
        return [f"{CALIBRATION} belongs to other weights than the best ones of now; run {again}."]
    splits = {"validation": found.valid, **({"test": found.test} if found.test else {})}
    rows = [
        [label, *(_figure(getattr(figures, name)) for figures in splits.values())]
        for name, label in FIGURES.items()
    ]
    return [
        f"* Probabilities: softmax of the scores / {found.temperature:.4f}",
        f"* No candidate fits if the best {found.compared} is below {found.threshold:.4f}",
        f"* Found on: persona {found.persona}, {found.version}",
        f"* Gold replies taken away by: {_seeds(splits)}",
        "",
        *_table(["", *splits], rows),
        "",
        "Rejecting every turn would have an F1 of "
        f"{found.valid.f1_of_rejecting_all:.3f} on the validation split.",
        *found.notes(),
    ]


def _seeds(splits: dict[str, Any]) -> str:
    return ", ".join(f"seed {figures.seed} ({split})" for split, figures in splits.items())


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _limits(run: Run) -> list[str]:
    config = run.model_config
    reads = [f"the last {config.max_utterances} utterances of a context"] * config.use_context
    reads += [f"the first {config.max_profiles} profiles"] * config.use_persona
    reads += [f"the first {config.max_response_len} words of a candidate"]
    lines = [
        "* It chooses among the replies that it is given. The scores order replies of one turn;",
        "  they say nothing about whether any of them is true, kind or safe to send.",
        f"* It reads {', '.join(reads)}, and no more.",
        "* Words that are not in its vocabulary are known by their characters alone, and texts",
        "  unlike those it was trained on, such as another language, are ranked by chance.",
        "* The figures are for the candidates of its data. Among many more candidates, or among",
        "  replies that nearly fit, it is wrong more often.",
        "* It repeats what its training texts prefer; nobody has measured how it treats groups of",
        "  people.",
    ]
    if run.prepared["name"] == "sample":
        lines.append("* The sample's texts are made by a grammar: its figures tell nothing of real")
        lines.append("  conversations.")
    return lines
