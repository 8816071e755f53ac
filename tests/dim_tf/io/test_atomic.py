"""Files and folders that are complete or absent."""

import errno
import os
import shutil
from unittest import mock

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
    assert link.is_symlink() and target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o640
    atomic.write_text(new, "three")
    (tmp_path / "plain").touch()
    assert new.stat().st_mode == (tmp_path / "plain").stat().st_mode
    os.link(new, tmp_path / "snapshot")
    atomic.write_text(new, "four")
    assert (tmp_path / "snapshot").read_text() == "three"


FULL = (errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "error", [OSError(*FULL), RuntimeError("Can't decrement id (... errno = 28, ...")]
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

    monkeypatch.setattr(type(path), "open", mock.Mock(side_effect=OSError(*FULL)))
    with pytest.raises(OSError, match="No space left") as raised:
        atomic.append_line(path, "c")
    assert raised.value.filename == str(path)


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
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=f"--out: {tmp_path}/loop is not a file"):
        atomic.check_output(tmp_path / "loop", "--out")
    with pytest.raises(UsageError, match=f"--out: .* folder {tmp_path}/deep"):
        atomic.check_output(tmp_path / "deep/out.txt", "--out")


def test_other_errors_of_hdf5_are_not_of_the_disk(tmp_path):
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "a.h5"):
        raise RuntimeError("unable to lock file, errno = 11")


def test_one_process_at_a_time_makes_a_folder(tmp_path):
    leftover = tmp_path / ".out.tmp/out"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()
    with atomic.creating_folder(tmp_path / "out") as folder:
        (folder / "a.txt").touch()
        with pytest.raises(UsageError, match="out: another process"):
            fill(tmp_path / "out", "b.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a.txt"]


def test_texts_that_are_not_utf_8(tmp_path):
    path, name = tmp_path / "file", os.fsdecode(b"caf\xe9")
    atomic.write_json(path, {"name": name, "other": "–"})
    assert "–" in path.read_text(encoding="utf-8")
    assert atomic.read_json(path) == {"name": name, "other": "–"}
    atomic.write_text(path, f"in {name}")
    assert path.read_text() == r"in caf\udce9"
    with pytest.raises(UnicodeEncodeError):  # words have to come back as they were
        atomic.write_lines(path, [name])
    path.write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(DataError, match="file: not UTF-8 at byte 5"):
        atomic.read_lines(path)


def test_line_ends_of_a_file_that_was_copied_through_windows(tmp_path):
    (tmp_path / "words.txt").write_bytes("a\u2028\r\nb\x85\r\n".encode())
    assert atomic.read_lines(tmp_path / "words.txt") == ["a\u2028", "b\x85"]


def fill(out, name, **options):
    with atomic.creating_folder(out, **options) as folder:
        (folder / name).touch()
        assert not (out / name).exists()


def test_a_new_folder_appears_or_replaces_another_whole_or_not_at_all(tmp_path):
    def files():
        return [path.name for path in tmp_path.rglob("*")]

    out = tmp_path / "out"
    with pytest.raises(RuntimeError), atomic.creating_folder(out):
        raise RuntimeError
    assert files() == []
    out.mkdir()
    fill(out, "a")
    with pytest.raises(UsageError, match="by another process"):
        fill(out, "b")
    with pytest.raises(RuntimeError), atomic.creating_folder(out, replace=True):
        raise RuntimeError
    with pytest.raises(OSError), atomic.creating_folder(out, replace=True) as folder:
        shutil.rmtree(folder)
    assert files() == ["out", "a"]
    out.chmod(0o700)
    fill(out, "b", replace=True)
    assert out.stat().st_mode & 0o777 == 0o700
    assert files() == ["out", "b"]
