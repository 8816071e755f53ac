import io
import tarfile
import zipfile

import pytest

from data_prep.archives import is_archive_name, unpack
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
def test_files_come_out_as_they_went_in(tmp_path, suffix):
    unpack(make(tmp_path / f"a{suffix}", FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "c:\\evil.txt"])
def test_no_member_leaves_the_folder(tmp_path, suffix, name):
    archive = make(tmp_path / f"a{suffix}", {name: b"x"})
    with pytest.raises(DataError, match=r"a\.\w+: member '.*evil\.txt' would leave the folder"):
        unpack(archive, tmp_path / "out/deep")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_tar_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("link.txt")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match=r"member 'link\.txt' is a link or device"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


def test_zip_links_are_refused(tmp_path):
    member = zipfile.ZipInfo("link.txt")
    member.external_attr = 0o120777 << 16
    make(tmp_path / "a.zip", {member: b"/etc/passwd"})
    with pytest.raises(DataError, match=r"member 'link\.txt' is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_truncated_archives_are_damaged(tmp_path, suffix, keep):
    archive = make(tmp_path / f"a{suffix}", FILES)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(DataError, match="not a readable archive"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".tar.xz"])
def test_a_missing_last_byte_is_noticed(tmp_path, suffix):
    archive = make(tmp_path / f"a{suffix}", FILES)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a readable archive"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".tar.xz", ".tar", ".zip"])
def test_other_files_are_no_archives(tmp_path, suffix):
    archive = tmp_path / f"a{suffix}"
    archive.write_bytes(b"just some text\n" * 100)
    with pytest.raises(DataError, match="not a readable archive"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_archives_without_files_and_with_a_file_twice_are_errors(tmp_path, suffix):
    with pytest.raises(DataError, match="holds no file"):
        unpack(make(tmp_path / f"a{suffix}", {}), tmp_path / "out")
    twice = make(tmp_path / f"b{suffix}", {"a.txt": b"1", "./a.txt": b"2"})
    with pytest.raises(DataError, match=r"two members have the path a\.txt"):
        unpack(twice, tmp_path / "out")


@pytest.mark.parametrize("name", [b"caf\xe9.txt", b""])
def test_damaged_names_in_a_zip_archive(tmp_path, name):
    archive = make(tmp_path / "a.zip", {"é" * 4 + ".txt": b"1"})  # flagged as UTF-8
    plain = ("é" * 4 + ".txt").encode()
    content = archive.read_bytes()
    if name:
        content = content.replace(plain, name.ljust(len(plain), b"x"))
    else:
        place = content.rindex(plain)
        content = content[:place] + content[place + len(plain) :]
        header = place - 46
        content = content[: header + 28] + b"\0\0" + content[header + 30 :]
        end = content.rindex(b"PK\x05\x06")
        size = int.from_bytes(content[end + 12 : end + 16], "little") - len(plain)
        content = content[: end + 12] + size.to_bytes(4, "little") + content[end + 16 :]
    archive.write_bytes(content)
    with pytest.raises(DataError, match="not a readable archive"):
        unpack(archive, tmp_path / "out")


def test_an_encrypted_zip_archive(tmp_path):
    archive = make(tmp_path / "a.zip", {"a.txt": b"1"})
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"member 'a\.txt' is encrypted"):
        unpack(archive, tmp_path / "out")


def test_names():
    assert is_archive_name("A.TAR.XZ")
    assert not is_archive_name("turns.jsonl.gz")
