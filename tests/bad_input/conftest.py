"""Bad input on the command lines: one clear line, exit status 2, nothing half-written.

Each case is tried as a user would come to it; the tests of the single rooms go into detail.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dim_tf.cli import parser
from tests.bad_input.material import LINES, NAME, VECTORS
from tests.tiny_corpus import prepare_tiny
from tests.tiny_run import tiny_run


@pytest.fixture
def command(capsys):
    """Runs a command in this process; gives its status, standard output and standard error."""

    def call(module, *options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = parser.run(module.main, [str(option) for option in options])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def refused(command):
    """Runs a command that is to be refused; gives the one line that it says."""

    def call(module, *options: object) -> str:
        status, out, error = command(module, *options)
        assert (status, out) == (2, "")
        assert error.startswith("error: ") and error.count("\n") == 1
        return error.removeprefix("error: ").rstrip("\n")

    return call


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder in the official layout."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / NAME).write_text("\n".join(LINES) + "\n")
    return folder


@pytest.fixture
def vectors(tmp_path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    return path


@pytest.fixture
def options(vectors, tmp_path) -> tuple:
    """Options of `data_prep` besides the source; the prepared folder is alone in `made`."""
    (tmp_path / "made").mkdir()
    return ("--vectors", vectors, "--word2vec", "none", "--out", tmp_path / "made/out")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    return prepare_tiny(tmp_path_factory.mktemp("prepared") / "tiny")


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory) -> Path:
    run = tiny_run(tmp_path_factory.mktemp("runs") / "run")
    with run.creating() as unfinished:
        unfinished.save_best(run.build_model())
    return run.path


@pytest.fixture
def run(whole_run, tmp_path) -> Path:
    """A run that a test may spoil."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


@pytest.fixture
def replies(tmp_path) -> Path:
    path = tmp_path / "replies.txt"
    path.write_text("tea\ndogs\n")
    return path
