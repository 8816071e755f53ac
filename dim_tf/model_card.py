"""MODEL_CARD.md: what a run is, for people who find its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dim_tf import files

if TYPE_CHECKING:
    from dim_tf.run_folder import Run

COLUMNS = ("hits@1", "hits@2", "hits@5", "hits@10", "MRR", "MAP")


def write(run: Run) -> None:
    """Writes the card anew from the run's config, `metrics.jsonl` and `results.json`."""
    files.write_text(run.path / "MODEL_CARD.md", text(run))


def text(run: Run) -> str:
    """The card of a run, in Markdown."""
    return "\n".join(
        [
            f"# {run.model}: reply ranking with {_persona(run)}",
            "",
            "Ranks candidate replies of a conversation by how well they fit the context and the",
            "persona (Gu et al., EMNLP 2019). Open it with `dim_tf.Ranker.load(FOLDER)` or",
            "`python -m dim_tf.predict --run FOLDER`.",
            "",
            "## Data",
            "",
            f"* Trained on: {run.prepared['name']}, persona {run.persona}, {run.version}",
            f"* Licence of the data: {run.prepared.get('licence') or 'not known'}",
            f"* Prepared folder: fingerprint {run.prepared['fingerprint']}",
            f"* Vocabulary: {len(run.words):,} words, {len(run.characters):,} characters",
            f"* Text: {_pairs(run.text)}",
            "",
            "## Sizes",
            "",
            *_list(run.model_config.to_dict()),
            "",
            "## Recipe",
            "",
            *_list(run.training_config.to_dict() if run.training_config else {}),
            f"* software: {_pairs(run.versions)}",
            "",
            "## Results",
            "",
            *_results(run),
            "",
            "Ties count against the gold reply. The scores order replies of one turn; they say",
            "nothing about whether any of them is true, kind or safe to send.",
            "",
        ]
    )


def _persona(run: Run) -> str:
    return "no persona" if run.persona == "none" else f"persona {run.persona}"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _list(values: dict[str, Any]) -> list[str]:
    return [f"* {name}: {value}" for name, value in values.items()]


def _results(run: Run) -> list[str]:
    rows = []
    best = run.best()
    if best:
        rows.append((f"validation, update {best['update']:,} (best)", best["turns"], best))
    for name, result in sorted(run.results().items()):
        rows.append((name, result["turns"], result))
    if not rows:
        return ["None yet."]
    header = ["turns ranked", "number", *COLUMNS]
    lines = [f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
    for name, turns, result in rows:
        values = [f"{result[column]:.3f}" for column in COLUMNS]
        lines.append(f"| {name} | {turns:,} | {' | '.join(values)} |")
    return lines
