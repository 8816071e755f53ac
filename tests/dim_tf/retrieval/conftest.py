"""A pool in a file, with the run that encodes it and the run that ranks."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval import build
from dim_tf.runs.run import Run
from tests.dim_tf.retrieval.turns import LINES
from tests.tiny_run import saved, tiny_ranker, tiny_run


def starspace(path, seed) -> Run:
    run = tiny_run(path)
    vectors = np.random.default_rng(seed).normal(size=run.word_vectors.shape).astype("float32")
    return dataclasses.replace(run, model="starspace", word_vectors=vectors)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The run that encodes."""
    return saved(starspace(tmp_path_factory.mktemp("runs") / "starspace", 1)).path


@pytest.fixture(scope="session")
def encoder(run) -> Ranker:
    return Ranker.load(run)


@pytest.fixture(scope="session")
def ranker() -> Ranker:
    """The ranker of "RUN": a small one, which compiles fast."""
    run = starspace(Path("RUN"), 2)
    return Ranker(run, run.build_model())


@pytest.fixture(autouse=True)
def loaded(monkeypatch, run, encoder, ranker) -> None:
    """No run is loaded twice."""
    known = {str(run): encoder, "RUN": ranker}
    monkeypatch.setattr(
        Ranker, "load", lambda path, precision=None: known.get(path) or tiny_ranker()
    )


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "replies.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


@pytest.fixture(scope="session")
def made(run, source, encoder, tmp_path_factory) -> Path:
    """A complete pool; not to be changed."""
    path = tmp_path_factory.mktemp("pools") / "pool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "load", lambda path: encoder)
        build.build(str(source), path, str(run))
    return path


@pytest.fixture
def pool(made, tmp_path) -> Path:
    """A pool that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "pool"))
