"""Counts what each idea saves: `python benchmarks/arithmetic.py --prepared DIR`.

Operations of the matrix products of forward passes over real training turns: those of the reference
model, then with one idea after the other, down to those of the packed model.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

from benchmarks.flops import forward_flops, lstm_flops, word_flops
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.config import PROJECTION_UNITS, ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.packing.batch import pack
from dim_tf.packing.layout import SOURCES
from dim_tf.training.start import new_run
from dim_tf.training.state import epoch_order

KINDS = ("utterances", "responses", "personas")


@dataclasses.dataclass(frozen=True)
class Work:
    """How much of a batch is computed.

    Args:
        turns: B.
        words: Words of each kind that go through the encoder.
        width: Cells for the words of a turn's context and of its persona.
        utterances: Utterances that are aggregated, of all turns.
        distinct: Words whose characters are looked at.
    """

    turns: int
    words: Mapping[str, int]
    width: Mapping[str, int]
    utterances: int
    distinct: int


def cut_flops(config: ModelConfig, work: Work) -> dict[str, int]:
    """Operations where the enhanced representation is cut into four, see `Matcher`.

    Args:
        config: Sizes of a whole DIM; its `max_candidates` is the number of candidates.
        work: What is computed.

    Returns:
        By the parts of `forward_flops`.
    """
    candidates, units = config.max_candidates, config.rnn_units
    width, gates, sources = 2 * units, 8 * units, len(SOURCES)
    encoded = sum(work.words.values())
    responses = work.turns * candidates * config.max_response_len
    pairs = responses * (work.width["utterances"] + work.width["personas"])
    matched = (
        candidates * (work.words["utterances"] + work.words["personas"])
        + sources * work.words["responses"]
    )
    per_distinct, embedded = word_flops(config)
    return {
        "characters": work.distinct * per_distinct,
        "encoder": encoded * lstm_flops(embedded, units),
        # Similarity; what each side saw, and what that puts into the gates.
        "attention": 2 * pairs * (width + 2 * (width + gates)),
        # The own and the seen part of each encoded word; the product of both; the states.
        "matcher": 2 * encoded * 2 * width * gates + matched * lstm_flops(width, units),
        "aggregator": candidates * work.utterances * lstm_flops(2 * width, units),
        "prediction": work.turns
        * candidates
        * 2
        * (PROJECTION_UNITS * (4 * width * sources + 1) + config.max_profiles * 2 * width),
    }


def ideas(config: ModelConfig, inputs: Mapping[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """The operations of a batch after each idea, each on top of those before it."""
    turns, candidates = inputs["responses_len"].shape
    config = config.replace(max_candidates=candidates)
    positions = {kind: inputs[f"{kind}_len"].size * inputs[kind].shape[2] for kind in KINDS}
    rows = {kind: int((inputs[f"{kind}_len"] > 0).sum()) * inputs[kind].shape[2] for kind in KINDS}
    words = {kind: int(inputs[f"{kind}_len"].sum()) for kind in KINDS}
    batch = pack(inputs)
    whole = {source: positions[source] // turns for source in SOURCES}
    packed = {source: getattr(batch, source).grid.shape[1] for source in SOURCES}
    utterances = int(inputs["utterances_num"].sum())
    padded = Work(turns, positions, whole, turns * config.max_utterances, sum(positions.values()))
    without_rows = dataclasses.replace(padded, words=rows, utterances=utterances)
    without_words = dataclasses.replace(without_rows, words=words, width=packed)
    distinct = dataclasses.replace(without_words, distinct=len(batch.sentences.words))
    reference = {part: turns * count for part, count in forward_flops(config).items()}
    return {
        "the reference model": reference,
        "the matching kernel cut into four blocks": cut_flops(config, padded),
        "no empty rows": cut_flops(config, without_rows),
        "no padding": cut_flops(config, without_words),
        "characters of distinct words": cut_flops(config, distinct),
    }


def main(argv: Sequence[str]) -> None:
    """The command."""
    arguments = _parser().parse_args(argv)
    data = PreparedData.load(arguments.prepared)
    run = new_run("benchmark", data, {})
    table = data.table("train", run.persona, run.version)
    count = arguments.batches * arguments.batch_size
    order = np.resize(epoch_order(run.training_config.seed, 0, len(table)), count)
    found = [
        ideas(run.model_config, inputs)
        for inputs, _ in data.batches(table, run.model_config, arguments.batch_size, order)
    ]
    parts = list(found[0]["the reference model"])
    print(f"GFLOP forward, {arguments.batch_size} turns of {table.name} ({data.manifest['name']}):")
    print()
    print(f"| | {' | '.join(parts)} | together |")
    print(f"| --- |{' ---: |' * (len(parts) + 1)}")
    for idea in found[0]:
        means = [np.mean([one[idea][part] for one in found]) / 1e9 for part in parts]
        print(f"| {idea} | {' | '.join(f'{mean:.1f}' for mean in [*means, sum(means)])} |")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python benchmarks/arithmetic.py", description=__doc__)
    parser.add_argument("--prepared", required=True, help="prepared folder")
    parser.add_argument("--batch-size", type=positive, default=16, help="turns of a batch")
    parser.add_argument("--batches", type=positive, default=20, help="batches to count")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
