"""Files and folders that are complete or absent."""

import errno
import os
import shutil

import pytest

from dim_tf.errors import DataError, UsageError
from dim_tf.io import atomic


def test_only_what_writers_of_the_file_left_is_removed(tmp_path):
    for name in (".best.h5.tmp-0123abcd", ".best.h5.a.tmp-0123abcd", ".rest.h5.tmp-0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    atomic.remove_temporaries(tmp_path / "best.h5")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".best.h5.a.tmp-0123abcd", ".rest.h5.tmp-0123abcd"]


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link, new = tmp_path / "disk/a.txt", tmp_path / "a.txt", tmp_path / "b.txt"
    link.symlink_to(target)
    atomic.write_text(link, "one")  # the target does not exist yet
    target.chmod(0o640)
    atomic.write_text(link, "two")
    assert (link.is_symlink(), target.read_text(), target.stat().st_mode & 0o777) == (
        *(True, "two"),
        0o640,
    )
    atomic.write_text(new, "three")
    (tmp_path / "plain").touch()
    assert new.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError(
            "Can't decrement id ref count (... errno = 28, error message = 'No space left"
        ),
    ],
)
def test_a_full_disk_has_the_name_of_the_file(tmp_path, error):
    """HDF5 says it in a RuntimeError when it closes the file."""
    with (
        pytest.raises(OSError, match="No space left") as raised,
        atomic.replacing(tmp_path / "a.h5") as temporary,
    ):
        temporary.touch()
        raise error
    assert raised.value.filename == str(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_added_or_the_full_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "rows"
    atomic.append_line(path, "a")
    atomic.append_line(path, "b")
    assert path.read_text() == "a\nb\n"

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(type(path), "open", full)
    with pytest.raises(OSError, match="No space left") as raised:
        atomic.append_line(path, "c")
    assert raised.value.filename == str(path)


def test_lines_that_are_not_utf_8(tmp_path):
    (tmp_path / "words.txt").write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"words\.txt: not UTF-8 at byte 5"):
        atomic.read_lines(tmp_path / "words.txt")


def test_names_that_are_not_utf_8_in_json(tmp_path):
    name = os.fsdecode(b"caf\xe9.txt")
    atomic.write_json(tmp_path / "a.json", {"name": name, "other": "–"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").count("–") == 1
    assert atomic.read_json(tmp_path / "a.json") == {"name": name, "other": "–"}


def test_names_that_are_not_utf_8_in_a_text(tmp_path):
    atomic.write_text(
        tmp_path / "a.txt", f"of {os.fsdecode(b'caf')} and {os.fsdecode(b'caf' + bytes([233]))}"
    )
    assert (tmp_path / "a.txt").read_text() == r"of caf and caf\udce9"
    with pytest.raises(UnicodeEncodeError):  # words have to come back as they were
        atomic.write_lines(tmp_path / "words.txt", ["\udce9"])


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(UsageError, match=f"cannot be made: {tmp_path} cannot be written to"):
        atomic.check_place(tmp_path / "deep/out")
    with pytest.raises(UsageError, match="cannot be written to"):
        atomic.check_output(tmp_path / "out.txt", "--out")


def test_what_is_no_place_for_an_output(tmp_path):
    atomic.check_output(tmp_path / "out.txt", "--out")
    with pytest.raises(UsageError, match=f"--out: {tmp_path} is not a file"):
        atomic.check_output(tmp_path, "--out")
    with pytest.raises(UsageError, match=f"--out: .* folder {tmp_path}/deep"):
        atomic.check_output(tmp_path / "deep/out.txt", "--out")


def test_other_errors_of_hdf5_are_not_of_the_disk(tmp_path):
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "a.h5"):
        raise RuntimeError("unable to lock file, errno = 11")


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep/out"
    with pytest.raises(RuntimeError), atomic.creating_folder(out) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(out.parent.iterdir()) == []
    with atomic.creating_folder(out) as folder:
        (folder / "a").touch()
        assert not out.exists()
    assert [path.name for path in out.parent.rglob("*")] == ["out", "a"]


def test_one_process_at_a_time_makes_a_folder(tmp_path):
    leftover = tmp_path / ".out.tmp/out"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()
    with atomic.creating_folder(tmp_path / "out") as folder:
        (folder / "a.txt").touch()
        with (
            pytest.raises(UsageError, match="out: another process"),
            atomic.creating_folder(tmp_path / "out"),
        ):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a.txt"]


def test_an_empty_folder_is_filled_and_another_is_not_touched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with atomic.creating_folder(out) as folder:
        (folder / "a").touch()
    assert [path.name for path in out.iterdir()] == ["a"]
    with pytest.raises(UsageError, match="was made meanwhile"), atomic.creating_folder(out):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_a_folder_is_replaced_once_the_new_one_is_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").touch()
    with pytest.raises(RuntimeError), atomic.creating_folder(out, replace=True):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    with atomic.creating_folder(out, replace=True) as folder:
        (folder / "b").touch()
        assert (out / "a").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "b"]


def test_a_replaced_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").touch()
    with pytest.raises(OSError), atomic.creating_folder(out, replace=True) as folder:
        shutil.rmtree(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
