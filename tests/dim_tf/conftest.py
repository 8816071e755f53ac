"""A tiny corpus, prepared, and models that compile in a second."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from dim_tf.systems import registry
from tests.tiny import SYSTEM

ROOT = Path(__file__).parents[2]
SUBJECTS = ("cats", "dogs", "tea", "chess", "rain", "bread", "trains", "snow")
TINY = (
    "--model=tiny",
    "--rnn-units=4",
    "--learning-rate=0.03",
    "--batch-size=8",
    "--max-updates=40",
    "--eval-every=10",
    "--save-every=3",
)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A folder in the official layout: 50 training turns, 14 to validate, 14 to test."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, (split, turns) in enumerate({"train": 50, "valid": 14, "test": 14}.items()):
        for version, verb in (("original", "love"), ("revised", "adore")):
            for persona in ("self", "other", "both"):
                rng = random.Random(number)
                lines = [_dialogue(rng, persona, verb) for _ in range(turns // 2)]
                path = folder / f"{split}_{persona}_{version}.txt"
                path.write_text("".join(lines), encoding="utf-8")
    return folder


def _dialogue(rng: random.Random, persona: str, verb: str) -> str:
    own, theirs = rng.sample(SUBJECTS, 2)
    lines = []
    if persona != "other":
        lines += [f"your persona: i {verb} {own} .", f"your persona: i live near {theirs} ."]
    if persona != "self":
        lines += [f"partner's persona: we {verb} {theirs} ."]
    for question in ("what do you like ?", "really ? what else ?"):
        others = [f"i like {subject} a lot" for subject in SUBJECTS if subject != own]
        gold = f"i like {own} a lot"
        candidates = "|".join([*rng.sample(others, 5), gold])
        lines.append(f"{question} i like {theirs}\t{gold}\t\t{candidates}")
    return "".join(f"{number} {line}\n" for number, line in enumerate(lines, start=1))


@pytest.fixture(scope="session")
def vectors(tmp_path_factory) -> Path:
    """Six-dimensional vectors of the corpus' words."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rng = np.random.default_rng(0)
    words = [*SUBJECTS, "i", "we", "love", "adore", "live", "near", "like", "what", "you", "?"]
    path.write_text(
        "".join(f"{word} {' '.join(f'{x:.4f}' for x in rng.normal(size=6))}\n" for word in words)
    )
    return path


@pytest.fixture(scope="session")
def prepared(corpus, vectors, tmp_path_factory) -> Path:
    """The corpus as a prepared folder, without Word2Vec."""
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    options = ["--source", corpus, "--out", folder, "--vectors", vectors, "--word2vec", "none"]
    data_prep.main([str(option) for option in options])
    return folder


@pytest.fixture
def tiny_model(monkeypatch) -> None:
    """Lets `build_model` know the model "tiny"."""
    monkeypatch.setitem(registry.SYSTEMS, "tiny", SYSTEM)


@pytest.fixture(scope="session")
def trained(prepared, tmp_path_factory) -> Path:
    """A run of the tiny model; not to be changed."""
    from dim_tf import train

    path = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.SYSTEMS, "tiny", SYSTEM)
        train.main(["--prepared", str(prepared), "--run", str(path), *TINY])
    return path


@pytest.fixture
def run_copy(trained, tiny_model, tmp_path) -> Path:
    """A run of the tiny model that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="session")
def tiny_command():
    """Runs `python -m tests.tiny COMMAND ...` in a process of its own."""

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "tests.tiny", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def tiny_options() -> tuple[str, ...]:
    """Options of `dim_tf.train` for a run of seconds."""
    return TINY


@pytest.fixture
def run_train(prepared, tmp_path, tiny_model, tiny_options):
    """Trains in this process; `run_train("name", option, ...)` gives the run folder."""
    from dim_tf import train

    def call(name, *options, prepared=prepared):
        path = tmp_path / name
        train.main(["--prepared", str(prepared), "--run", str(path), *tiny_options, *options])
        return path

    return call
