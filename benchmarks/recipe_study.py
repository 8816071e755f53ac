"""Compare recipes by validation: `python benchmarks/recipe_study.py RECORDS --picture PNG`.

RECORDS is a folder of run folders or records. Print a table with every validation of each, and
draw hits@1 against the number of candidates ranked in training: the cost of an update grows with
its candidates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.config import TrainingConfig
from dim_tf.io import atomic
from dim_tf.paper import charts
from dim_tf.runs.record import Record

LISTED = 20  # candidates of a turn in PERSONA-CHAT
HEAD = """\
| record | settings | update | candidates | hits@1 | MRR | loss |
|---|---|--:|--:|--:|--:|--:|"""


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = Parser(prog="python benchmarks/recipe_study.py", description=__doc__)
    parser.add_argument("records", help="read this folder of records")
    parser.add_argument("--picture", metavar="PNG", help="draw the curves to PNG")
    arguments = parser.parse_args(argv)
    if arguments.picture:
        atomic.check_place(arguments.picture)
    paths = sorted(path.parent for path in Path(arguments.records).glob("*/config.json"))
    records = [Record.open(path) for path in paths]
    print(HEAD)
    seen = set()  # a run that goes on from a copy of another repeats its validations
    for record in records:
        for row in _validations(record):
            if (row["update"], row["loss"]) not in seen:
                print(_line(record, row))
            seen.add((row["update"], row["loss"]))
    if arguments.picture:
        _draw(records, arguments.picture)


def candidates_ranked(config: TrainingConfig, updates: int) -> int:
    """The candidates of the first updates, gold replies included.

    >>> candidates_ranked(TrainingConfig(negatives="4:100 19"), 300)
    72000
    >>> candidates_ranked(TrainingConfig(), 300)
    96000
    """
    total, done = 0, 0
    for count, last in config.negatives_schedule or [(LISTED - 1, None)]:
        end = updates if last is None else min(last, updates)
        total += (end - done) * config.batch_size * (count + 1)
        done = end
    return total


def _validations(record: Record) -> list[dict]:
    return [row for row in record.metrics() if row["kind"] == "valid"]


def _line(record: Record, row: dict) -> str:
    config = record.training_config
    settings = [record.model.upper(), f"scale {config.input_scale:g}", f"K {config.negatives}"]
    settings += ["split"] * (config.negatives_from == "split")
    settings += [f"rate {config.learning_rate:g}"] * (config.learning_rate != 0.001)
    if config.decay_steps < row["update"]:
        settings.append(f"rate × {config.decay_rate:g} after {config.decay_steps}")
    ranked = candidates_ranked(config, row["update"])
    scores = f"{row['hits@1']:.3f} | {row['MRR']:.3f} | {row['loss']:.3f}"
    cells = f"{record.name} | {', '.join(settings)} | {row['update']} | {ranked:,}"
    return f"| {cells} | {scores} |"


def _draw(records: Sequence[Record], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for record in records:
        rows = _validations(record)
        ranked = [candidates_ranked(record.training_config, row["update"]) for row in rows]
        style = "-" if record.model == "dim" else "--"
        axes.plot(ranked, [row["hits@1"] for row in rows], style, marker=".", label=record.name)
    axes.set(xlabel="candidates ranked in training", ylabel="validation hits@1")
    axes.grid(alpha=0.3)
    axes.legend()
    charts.save(figure, path)


if __name__ == "__main__":
    sys.exit(run_command(main))
