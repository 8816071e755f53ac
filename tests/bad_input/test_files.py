"""Bad sources and vectors of `data_prep`, and damaged prepared folders and runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from dim_tf import evaluate, predict, train
from dim_tf.runs.record import CONFIG
from dim_tf.runs.run import BEST
from tests.bad_input.material import LINES, NAME, cut, tar
from tests.tiny_run import WORDS

SOURCES = {
    "nearly the sample": (lambda folder: "smaple", "did you mean sample?"),
    "truncated": (lambda folder: cut(tar(folder / "a.tgz", NAME)), "a.tgz: cannot unpack"),
    "up and out": (lambda folder: tar(folder / "a.tgz", "../evil"), "'../evil'"),
    "absolute": (lambda folder: tar(folder / "a.tgz", "/evil"), "a.tgz: found evil"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_bad_source_is_named(case, options, refused, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    make, message = SOURCES[case]
    assert message in refused(data_prep, "--source", make(tmp_path), *options)
    assert list(options[-1].parent.iterdir()) == list((tmp_path / "temporary").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


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


def test_lines_that_are_skipped_are_one_warning(source, options, vectors, command):
    vectors.write_text("i 1 0\nski 1\n. 0 nan\n")
    status, _, error = command(data_prep, "--source", source, *options)
    assert status == 0
    assert error.startswith(f"warning: {vectors}: skipped 2 lines") and error.count("\n") == 1


@pytest.mark.parametrize("name", ["manifest.json", "words.txt", "turns/train_both_original.npz"])
def test_a_damaged_prepared_folder_is_named(name, prepared, refused, tmp_path):
    damaged = Path(shutil.copytree(prepared, tmp_path / "damaged"))
    cut(damaged / name)
    said = refused(train, "--prepared", damaged, "--run", tmp_path / "run", "--persona", "both")
    assert said.startswith(str(damaged)) and not list(tmp_path.glob("run*"))


def test_what_is_no_prepared_folder_says_how_to_make_one(source, refused, tmp_path):
    for path in (source, source / NAME, tmp_path / "nothing"):
        said = refused(train, "--prepared", path, "--run", tmp_path / "run")
        assert said.startswith(f"{path}: ") and "python -m data_prep" in said


def test_run_and_prepared_folder_that_do_not_belong_together(run, prepared, refused):
    before = sorted(run.iterdir())
    said = refused(evaluate, "--run", run, "--prepared", prepared)
    assert all(part in said for part in (str(prepared), str(run), f"--like {run}"))
    assert sorted(run.iterdir()) == before


def changed(**changes):
    def change(run: Path) -> None:
        config = json.loads((run / CONFIG).read_text())
        (run / CONFIG).write_text(json.dumps({**config, **changes}))

    return change


RUNS = {
    "config deep": (lambda run: (run / CONFIG).write_text("[" * 10**5), CONFIG),
    "persona": (changed(persona="x"), "found 'x', expected none, self"),
    "prepared": (changed(prepared={"fingerprint": 3}), "found 3"),
    "vectors": (
        lambda run: np.savez(run / "vectors.npz", word_vectors=np.full((len(WORDS), 5), "a")),
        ", 5) <U1",
    ),
    "weights": (lambda run: cut(run / BEST), f"{BEST}: damaged"),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_damaged_run_is_named(case, run, replies, refused):
    spoil, message = RUNS[case]
    spoil(run)
    said = refused(predict, "--run", run, "--candidates", replies)
    assert said.startswith(str(run)) and message in said


def test_the_input_is_not_overwritten_by_the_output(refused, tmp_path):
    turns = tmp_path / "turns.jsonl"
    turns.write_text("{}\n")
    said = refused(predict, "--run", "R", "--input", turns, "--output", turns)
    assert said.startswith(f"--output: {turns}") and turns.read_text() == "{}\n"
