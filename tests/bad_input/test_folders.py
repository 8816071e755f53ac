"""Damaged prepared folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dim_tf import train
from tests.bad_input.material import NAME, cut

FOLDERS = {
    "manifest.json": (b"[" * 100_000, "manifest.json: not JSON"),
    "words.txt": (b"<pad>\n<unk>\nhi\n", 'vectors.npz: field "word_vectors": found float32 ['),
    "chars.txt": (b"", "chars.txt: found 0 characters, [] first; expected "),
    "vectors.npz": ("half", "vectors.npz: not a readable .npz file"),
    "sentences.npz": ("half", "sentences.npz: not a readable .npz file"),
    "forms.txt": (None, "forms.txt: the file is missing"),
    "turns/train_both_original.npz": ("half", "train_both_original.npz: not a readable .npz file"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_damaged_prepared_folder_is_named(name, prepared, refused, tmp_path):
    content, message = FOLDERS[name]
    damaged = Path(shutil.copytree(prepared, tmp_path / "damaged"))
    if content == "half":
        cut(damaged / name)
    elif content is None:
        (damaged / name).unlink()
    else:
        (damaged / name).write_bytes(content)
    given = ("--prepared", damaged, "--run", tmp_path / "run", "--persona", "both")
    said = refused(train, *given)
    assert said.startswith(str(damaged)) and message in said
    assert not list(tmp_path.glob("run*"))


def test_what_is_no_prepared_folder_says_how_to_make_one(source, refused, tmp_path):
    for path in (source, source / NAME, tmp_path / "nothing"):
        said = refused(train, "--prepared", path, "--run", tmp_path / "run")
        found = "not a prepared folder (no manifest.json in it)"
        assert said == f"{path}: {found}; make one with python -m data_prep"
