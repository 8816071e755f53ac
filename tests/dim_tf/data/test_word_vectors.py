import gzip
import lzma
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from dim_tf.data.word_vectors import WordVectors, matrix, read_vectors
from dim_tf.errors import DataError

GLOVE = "the 0.5 -1 2e-1\ncat 1 2 3\n. . . 7 8 9\ncat 4 5 6\ndog 0 0 1\n"
WANTED = ("cat", "dog", ". . .", "zebra")


def write(path, content: str | bytes):
    content = content.encode() if isinstance(content, str) else content
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("glove.txt", content)
    else:
        compress = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
        path.write_bytes(compress(content))
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.txt.xz", "v.zip"])
def test_vectors_are_read_from_every_kind_of_file(tmp_path, name):
    found = read_vectors(write(tmp_path / name, GLOVE), WANTED)
    assert found.words == ["cat", ". . .", "dog"]
    np.testing.assert_array_equal(found.vectors, [[1, 2, 3], [7, 8, 9], [0, 0, 1]])
    assert found.vectors.dtype == np.float32 and found.dim == 3


@pytest.mark.parametrize(
    "content",
    [
        "2 3\nthe 0.5 -1 2e-1 \ncat 1 2 3 \n",  # word2vec's own program ends lines in a space
        "the\t0.5\t-1\t2e-1\r\ncat\t1\t2\t3\r\n",
        "\ufeffthe 0.5 -1 2e-1\ncat 1 2 3",
    ],
)
def test_other_spellings_of_the_format_are_understood(tmp_path, content):
    found = read_vectors(write(tmp_path / "v.txt", content), ["the", "cat"])
    assert found.words == ["the", "cat"]
    np.testing.assert_allclose(found.vectors, [[0.5, -1, 0.2], [1, 2, 3]], rtol=1e-6)


def test_extra_words_are_the_first_acceptable_ones_of_the_file(tmp_path):
    path = write(tmp_path / "v.txt", "The 1\nthe 2\na b 3\nof 4\ncat 5\nthe 6\nto 7\n")
    found = read_vectors(path, ["cat"], extra=2, acceptable=str.islower)
    assert found.words == ["the", "a b", "cat"]
    found = read_vectors(path, ["cat"], extra=9, acceptable=str.islower)
    assert found.words == ["the", "a b", "of", "cat", "to"]


ODD = """\
. . . 7 8 9
the 0.5 -1 2
to infinity 1 1 1
route 66 2 2 2
naan nan
nan 3 3 3
  4 4 4
cat 1 2
dog 1 x 3
cow 1 nan 3
bee 1 1e99 3
ski 1  0 2
cat 1 2 3

"""


@pytest.mark.parametrize("header", ["", "12 3\n"])
def test_odd_lines_are_read_or_skipped_with_one_warning(tmp_path, header):
    path = write(tmp_path / "v.txt", header + ODD)
    wanted = ["the", "nan", "cat", "dog", "cow", "bee", "ski", "to infinity", "route 66", "naan"]
    with pytest.warns(UserWarning) as caught:
        found = read_vectors(path, wanted, extra=1)
    assert found.words == [". . .", "the", "to infinity", "route 66", "nan", "ski", "cat"]
    np.testing.assert_array_equal(found.vectors[-2:], [[1, 0, 2], [1, 2, 3]])
    (warning,) = caught
    first = 6 if header else 5
    assert all(fact in str(warning.message) for fact in (str(path), "6 lines", f"line {first}"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "v.txt: found no vector"),
        ("2 3\n", "v.txt: found no vector"),
        ("word\n", "v.txt:1: found 'word', expected lines of a word and its numbers"),
        ("these are some words\n", "v.txt:1: found 'these are some words', expected lines"),
        ("3 2\na 1 2\nb 1 2\n", "v.txt: found 2 vectors, expected 3"),
        (b"1 2\ncat \x00\x01\x02\x03\xff\xfe\x00\x00\n", "v.txt:2: found binary data"),
    ],
)
def test_a_file_without_vectors_is_refused(tmp_path, content, message):
    with pytest.raises(DataError) as error:
        read_vectors(write(tmp_path / "v.txt", content), ["a", "cat"])
    assert message in str(error.value)


def test_damaged_and_odd_archives_are_named(tmp_path):
    whole = gzip.compress(os.urandom(5000).hex().encode())
    for name, content in (
        ("cut.gz", whole[:2000]),
        ("not.zip", b"cat 1 2 3\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_vectors(tmp_path / name, ["cat"])
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", "cat 1\n")
        archive.writestr("b.txt", "cat 1\n")
    with pytest.raises(DataError, match=r"two\.zip: found 2 files in the archive, expected one"):
        read_vectors(tmp_path / "two.zip", ["cat"])
    with pytest.raises(DataError, match=r"missing\.txt"):
        read_vectors(tmp_path / "missing.txt", ["cat"])


def test_a_large_file_is_streamed(tmp_path):
    line = " ".join(["0.123456"] * 300)
    path = tmp_path / "large.txt.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for number in range(20_000):
            file.write(f"w{number} {line}\n")
    tracemalloc.start()
    found = read_vectors(path, ["w19999"], extra=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.words) == 11
    # 54 MB of text, 24 MB of numbers.
    assert peak < 8_000_000


def test_matrix_puts_parts_side_by_side_and_leaves_reserved_rows_zero():
    one = WordVectors(["<unk>", "b", "x"], np.ones((3, 2), np.float32))
    two = WordVectors(["<pad>", "a"], np.full((2, 1), 5, np.float32))
    both = matrix(["<pad>", "<unk>", "a", "b"], [one, two])
    np.testing.assert_array_equal(both, [[0, 0, 0], [0, 0, 0], [0, 0, 5], [1, 1, 0]])
