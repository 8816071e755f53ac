"""Bad sources and vectors, Ctrl-C, full disks: one line says it, nothing half-written is left."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from data_prep.tensors import TableBuilder
from dim_tf.cli import parser

LINES = [
    "1 your persona: i ski .",
    "2 hello !\tyes .\t\tno .|yes .",
    "3 why ?\ti ski .\t\ti ski .|so what",
]
NAME = "train_self_original.txt"


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
    path.write_text("i 1 0\nski 0 1\n. 1 1\n")
    return path


@pytest.fixture
def options(vectors, tmp_path) -> tuple:
    """Options besides the source; the prepared folder is alone in `made`."""
    (tmp_path / "made").mkdir()
    return ("--vectors", vectors, "--word2vec", "none", "--out", tmp_path / "made/out")


def tar(path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        content = "\n".join(LINES).encode() + b"\n"
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


SOURCES = {
    "nearly the sample": (lambda folder: "smaple", "did you mean sample?"),
    "truncated": (lambda folder: half(tar(folder / "a.tgz", NAME)), "a.tgz: cannot unpack"),
    "up and out": (lambda folder: tar(folder / "a.tgz", "../evil"), "'../evil'"),
    "absolute": (lambda folder: tar(folder / "a.tgz", "/evil"), "'/evil'"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_bad_source_is_named(case, options, refused, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    make, message = SOURCES[case]
    assert message in refused(data_prep, "--source", make(tmp_path), *options)
    assert list(options[-1].parent.iterdir()) == list((tmp_path / "temporary").iterdir()) == []


def test_a_bad_line_is_named(source, options, refused):
    text = "\n".join(LINES).replace("hello", "caf\udce9")
    (source / NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    said = refused(data_prep, "--source", source, *options)
    assert said.startswith(f"{source / NAME}:2: found byte 0xe9 at position 6")
    assert list(options[-1].parent.iterdir()) == []


@pytest.mark.parametrize(("content", "message"), [(bytes(range(256)), ":1: "), (None, "no file")])
def test_bad_vectors_are_named(content, message, source, options, vectors, refused):
    vectors.unlink()
    if content:
        vectors.write_bytes(content)
    said = refused(data_prep, "--source", source, *options)
    assert str(vectors) in said and message in said
    assert list(options[-1].parent.iterdir()) == []


def test_lines_that_are_skipped_are_one_warning(source, options, vectors, capsys):
    vectors.write_text("i 1 0\nski 1\n. 0 nan\n")
    given = ["--source", source, *options]
    assert parser.run(data_prep.main, list(map(str, given))) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"warning: {vectors}: skipped 2 lines") and error.count("\n") == 1


def test_a_place_below_a_file_is_refused(source, vectors, refused):
    said = refused(data_prep, "--source", source, "--out", vectors / "deep/out")
    assert str(vectors / "deep/out") in said and f"{vectors} is a file" in said


def test_ctrl_c_leaves_nothing(source, options, capsys, monkeypatch):
    def interrupted(self, table):
        (path,) = options[-1].parent.iterdir()
        assert path.name.startswith(".")
        raise KeyboardInterrupt

    monkeypatch.setattr(TableBuilder, "build", interrupted)
    given = ["--source", source, *options]
    assert parser.run(data_prep.main, list(map(str, given))) == 130
    assert capsys.readouterr() == ("", "stopped by Ctrl-C\n")
    assert list(options[-1].parent.iterdir()) == []


def test_a_full_disk_names_the_file_and_leaves_nothing(source, options, refused, monkeypatch):
    def full(handle, **arrays):
        handle.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    said = refused(data_prep, "--source", source, *options)
    assert said.endswith("vectors.npz: No space left on device")
    assert list(options[-1].parent.iterdir()) == []


def test_debug_shows_where_it_happened(refused, capsys):
    plain = refused(data_prep, "--source", "nothing", "--out", "out")
    options = ["--source", "nothing", "--out", "out", "--debug"]
    assert parser.run(data_prep.main, options) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback (most recent call last):\n")
    assert "in open_source" in error and error.endswith(f"{plain}\n")
