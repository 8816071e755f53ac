"""Options and fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dim_tf.cli.parser import run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


@pytest.fixture(scope="session", autouse=True)
def make_deterministic():
    """Keeps trainings from making the whole process deterministic; gives what does."""
    from dim_tf.training import start

    with pytest.MonkeyPatch.context() as patch:
        original = start._make_deterministic
        patch.setattr(start, "_make_deterministic", lambda wanted: None)
        yield original


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Servers of tests are reached directly."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def refused(capsys):
    """Runs a command that is to be refused; gives the one line that it says."""

    def call(module, *options: object) -> str:
        capsys.readouterr()
        assert run(module.main, [str(option) for option in options]) == 2
        out, error = capsys.readouterr()
        assert out == "" and error.startswith("error: ") and error.count("\n") == 1
        return error.removeprefix("error: ").rstrip("\n")

    return call


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real dialogues and word vectors, which may not be passed on."""
    folder = os.environ.get("DIM_TF_SHARED")
    if not folder:
        pytest.skip("needs real dialogues: set DIM_TF_SHARED to the folder that holds them")
    return Path(folder)
