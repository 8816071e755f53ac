import io
import tarfile
import zipfile

import pytest

from data_prep.archives import unpack
from dim_tf.errors import DataError

FILES = {"personachat/a.txt": b"alpha" * 5000, "personachat/b.txt": b"beta"}
MODES = {".tgz": "w:gz", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar": "w"}


def make(path, members):
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in members.items():
                bundle.writestr(name, content)
        return path
    suffix = next(suffix for suffix in MODES if path.name.endswith(suffix))
    with tarfile.open(path, MODES[suffix]) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("suffix", [*MODES, ".zip"])
def test_files_are_unpacked_unchanged(tmp_path, suffix):
    unpack(make(tmp_path / f"a{suffix}", FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_the_paths_of_windows_are_folders(tmp_path):
    members = {"personachat\\": b"", "personachat\\read: me.txt": b"1"}
    unpack(make(tmp_path / "a.zip", members), tmp_path / "out")
    assert contents(tmp_path / "out") == {"personachat/read: me.txt": b"1"}


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
@pytest.mark.parametrize("name", ["../evil.txt", "{tmp_path}/evil.txt", "a/../../evil.txt"])
def test_no_member_is_written_outside_the_folder(tmp_path, suffix, name):
    archive = make(tmp_path / f"a{suffix}", {name.format(tmp_path=tmp_path): b"x"})
    try:
        unpack(archive, tmp_path / "out/deep")
    except DataError as error:
        assert str(archive) in str(error) and "evil.txt" in str(error)
    evil = tmp_path.rglob("evil*")
    assert all(path.is_relative_to(tmp_path / "out/deep") for path in evil)


@pytest.mark.parametrize("target", ["/etc/passwd", "personachat/a.txt"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind, target):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("link.txt")
        member.type, member.linkname = kind, target
        tar.addfile(member)
    with pytest.raises(DataError, match=r"a\.tgz.*link\.txt"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


def test_an_encrypted_zip_archive_is_refused(tmp_path):
    archive = make(tmp_path / "a.zip", {"a.txt": b"1"})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip.*encrypted"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".tar.xz", ".tar", ".zip"])
@pytest.mark.parametrize("damage", ["half", "last bytes", "empty", "text"])
def test_a_damaged_archive_is_refused(tmp_path, suffix, damage):
    archive = make(tmp_path / f"a{suffix}", FILES)
    whole = archive.read_bytes()
    end = -3 if suffix != ".tar" else -9_000  # a tar ends in blocks of zeros
    contents = {"half": whole[: len(whole) // 2], "last bytes": whole[:end]}
    archive.write_bytes(contents.get(damage, b"just some text\n" * 100 * (damage == "text")))
    with pytest.raises(DataError, match=r"a\.\w+.*: cannot unpack"):
        unpack(archive, tmp_path / "out")
