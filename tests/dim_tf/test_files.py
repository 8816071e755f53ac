"""Folders that are whole or not there, and what takes the place of what."""

import shutil

import pytest

from dim_tf import files
from dim_tf.errors import UsageError


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep/out"
    with pytest.raises(RuntimeError), files.creating_folder(out) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(out.parent.iterdir()) == []
    with files.creating_folder(out) as folder:
        (folder / "a").touch()
        assert not out.exists()
    assert [path.name for path in out.parent.rglob("*")] == ["out", "a"]


def test_an_empty_folder_is_filled_and_another_is_not_touched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with files.creating_folder(out) as folder:
        (folder / "a").touch()
    assert [path.name for path in out.iterdir()] == ["a"]
    with pytest.raises(UsageError, match="was made meanwhile"), files.creating_folder(out):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_a_folder_is_replaced_once_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").touch()
    with pytest.raises(RuntimeError), files.creating_folder(out, replace=True):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    with files.creating_folder(out, replace=True) as folder:
        (folder / "b").touch()
        assert (out / "a").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "b"]


def test_a_replaced_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").touch()
    with pytest.raises(OSError), files.creating_folder(out, replace=True) as folder:
        shutil.rmtree(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
