"""The sample as a test of the idea: DIM solves it; without persona or context it does not.

Three trainings by the command of `run_train.sh`; minutes each.
"""

import dataclasses
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from dim_tf.data.dataset import PreparedData
from dim_tf.runs.run import Run

pytestmark = pytest.mark.slow

PIPELINE = Path(__file__).resolve().parent.parent / "scripts/pipeline.py"
# `run_train.sh` has five minutes, and two cores to itself.
CPU_SECONDS = 5 * 60 * 2


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Gives a function that prepares, trains and tests; it returns (hits@1, CPU seconds)."""
    folder = tmp_path_factory.mktemp("study")
    done = {}

    def train(name, *options):
        if name not in done:
            folders = ["--out", folder / "sample", "--run", folder / name]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            output = subprocess.run(
                [sys.executable, PIPELINE, "train", *folders, *options],
                env={**os.environ, "KERAS_BACKEND": "tensorflow"},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            last = output.splitlines()[-1]
            result = re.fullmatch(r"test hits@1 ([01]\.\d{3}) MRR [01]\.\d{3}", last)
            done[name] = float(result[1]), seconds
        return done[name]

    train.folder = folder
    return train


def test_dim_finds_the_reply_in_time(study):
    hits_at_1, cpu_seconds = study("dim")
    assert hits_at_1 >= 0.90
    assert cpu_seconds <= CPU_SECONDS


@pytest.mark.parametrize("options", [("--persona", "none"), ("--no-context",)])
def test_without_the_persona_or_the_context_it_does_not(study, options):
    hits_at_1, _ = study(options[0].strip("-"), *options)
    assert hits_at_1 <= 0.30


def test_with_the_persona_of_another_dialogue_it_does_not(study):
    from dim_tf.evaluation.evaluator import evaluate
    from dim_tf.runtime.scorer import Scorer

    hits_at_1, _ = study("dim")
    run, data = Run.open(study.folder / "dim"), PreparedData.load(study.folder / "sample")
    table = data.table("test", "self", "original")
    _, first = np.unique(table.dialogue, return_index=True)
    following = np.roll(first, -1)[table.dialogue]
    assert not (table.self_profiles == table.self_profiles[following]).all(axis=1).any()
    foreign = dataclasses.replace(table, self_profiles=table.self_profiles[following])
    scorer = Scorer(run.load_model())
    summary = evaluate(scorer, data, table, run.model_config).summary()
    assert summary["hits@1"] == pytest.approx(hits_at_1, abs=6e-4)
    assert evaluate(scorer, data, foreign, run.model_config).summary()["hits@1"] <= 0.30


def test_tf_idf_with_the_persona_does_not(study):
    study("dim")
    data = PreparedData.load(study.folder / "sample")
    tables = {split: data.table(split, "self", "original") for split in ("train", "test")}
    texts = {
        split: [data.texts(table, row) for row in range(len(table))]
        for split, table in tables.items()
    }
    tf_idf = TfidfVectorizer(token_pattern=r"\S+")
    tf_idf.fit([text for turn in texts["train"] for text in turn["candidates"]])
    hits = []
    for turn in texts["test"]:
        query = tf_idf.transform([" ".join(turn["context"] + turn["persona"])])
        cosines = (tf_idf.transform(turn["candidates"]) @ query.T).toarray()[:, 0]
        gold = cosines[turn["target"]]
        hits.append((cosines >= gold).sum() == 1)
    assert np.mean(hits) <= 0.50
