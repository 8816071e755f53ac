"""Made-up tested runs without a model, with what `dim_tf.report` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.data.text import TextRules
from dim_tf.evaluation import metrics
from dim_tf.io import atomic
from dim_tf.runs.ranks import TurnRanks, save as save_ranks
from dim_tf.runs.run import Run

FINGERPRINT = "a" * 64
TURNS = 40


def made_up_run(
    path: Path,
    ranks: list[int] | np.ndarray,
    model: str = "dim",
    persona: str = "self",
    version: str = "original",
    *,
    seed: int = 1,
    updates: int = 300,
    use_context: bool = True,
    tests: dict[str, list[int] | np.ndarray] | None = None,
    fingerprint: str = FINGERPRINT,
    sample_of: int | None = None,
    gold: int = 0,
    trained: bool = True,
    initial: str | None = None,
    training_turns: int = 1234,
    trained_on: str = FINGERPRINT,
    **settings,
) -> Path:
    """Makes a run folder with `ranks` as the test in its own setting.

    Args:
        updates: int. Number of updates in its metrics.
        tests: dict. Version -> ranks of a further test.
        fingerprint: str. Fingerprint of the tested texts.
        sample_of: int. Number of turns of the table; None if all were ranked.
        gold: int. The first row of the gold replies.
        trained: bool. False for weights from elsewhere.
        initial: str. The run whose weights it started from.
        training_turns: int. The number of turns that it was trained on.
        trained_on: str. Fingerprint of the data that it was trained on.
    """
    run = Run(
        path=path,
        model=model,
        model_config=ModelConfig(
            char_vocab_size=2,
            word_dim=3,
            use_persona=persona != "none",
            use_context=use_context,
            **{"rnn_units": 8, **settings},
        ),
        training_config=TrainingConfig(seed=seed, max_updates=updates) if trained else None,
        text=TextRules(),
        persona=persona,
        version=version,
        prepared={
            "fingerprint": trained_on if trained else "",
            "name": "small",
            "licence": "",
            "word2vec": None,
            **({"training_turns": training_turns} if trained else {}),
        },
        initial=initial and {"run": initial, "prepared": {}, "initial": None},
        words=["<pad>", "<unk>"],
        characters=["<pad>", "a"],
        word_vectors=np.zeros((2, 3), "float32"),
    )
    with run.creating() as unfinished:
        if trained:
            rest = {"kind": "valid", "turns": 9, **metrics.summarise(np.array([1]))}
            rows = [
                {**rest, "update": update, "hits@1": update / 999, "MRR": update / 500}
                for update in (updates // 2, updates)
            ]
            atomic.write_lines(unfinished.path / "metrics.jsonl", map(json.dumps, rows))
    results = {}
    for tested_on, values in {version: ranks, **(tests or {})}.items():
        values = np.asarray(values)
        turns, of = len(values), sample_of or len(values)
        key = f"test_{persona}_{tested_on}" + ("" if of == turns else f", {turns} turns")
        rows = np.arange(turns)
        save_ranks(run, key, TurnRanks(rows, values, rows + gold, fingerprint))
        update = updates if trained else None
        results[key] = {"turns": turns, "of": of, "update": update, **metrics.summarise(values)}
    atomic.write_json(path / "results.json", results)
    return path


def ranks_with(hits: int, turns: int = TURNS) -> np.ndarray:
    """Ranks of 1 for so many hits, then ranks of 2."""
    return np.where(np.arange(turns) < hits, 1, 2)
