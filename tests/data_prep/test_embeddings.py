import gzip
import os
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from data_prep import embeddings
from data_prep.embeddings import coverage, gensim_file, matrix, train_word2vec
from data_prep.vector_files import WordVectors, read_vectors
from dim_tf.errors import DataError, UsageError

GLOVE = "the 0.5 -1 2e-1\ncat 1 2 3\n. . . 7 8 9\ncat 4 5 6\ndog 0 0 1\n"
WANTED = ("cat", "dog", ". . .", "zebra")


def write(path, content: str | bytes):
    content = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("glove.txt", content)
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.zip"])
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


def test_no_wanted_word_still_tells_the_dimension(tmp_path):
    found = read_vectors(write(tmp_path / "v.txt", GLOVE), ["zebra"])
    assert found.words == [] and found.vectors.shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found no vector"),
        ("2 3\n", "found no vector"),
        ("word\n", "v.txt:1: found 'word', expected a word and its numbers"),
        ("a 1 2 3\nb 1 2\n", "v.txt:2: found 2 numbers, expected 3"),
        ("a 1 2 3\nb 1 2 3 4\n", "v.txt:2: found 4 numbers, expected 3"),
        ("a 1 2 3\nb\n", "v.txt:2: found 0 numbers, expected 3"),
        ("a 1 2 3\n\nb 1 2 3\n", "v.txt:2: found an empty line"),
        ("a 1 2 3\nb 1 x 3\n", "v.txt:2: found 'x', expected a finite number"),
        ("a 1 2 3\nb 1 nan 3\n", "v.txt:2: found 'nan', expected a finite number"),
        ("a 1 2 3\nb 1 -inf 3\n", "v.txt:2: found '-inf', expected a finite number"),
        ("a 1 2 3\ncat 1 1e99 3\n", "v.txt:2: found '1e99', expected a finite number"),
        ("a 1 2 3\ncat 1 1.2.3 3\n", "v.txt:2: found '1.2.3', expected a finite number"),
        ("these are some words\n", "v.txt:1: found 'are', expected a finite number"),
        ("3 2\na 1 2\nb 1 2\n", "found 2 vectors, expected 3 by the first line"),
        (b"1 2\ncat \x00\x01\x02\x03\xff\xfe\x00\x00\n", "v.txt:2: found binary data"),
        (b"\x7f" * (1 << 21), "v.txt:1: found binary data"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    with pytest.raises(DataError) as error:
        read_vectors(write(tmp_path / "v.txt", content), ["a", "cat"])
    assert message in str(error.value)


def test_damaged_and_odd_archives_are_named(tmp_path):
    whole = gzip.compress(os.urandom(5000).hex().encode())
    for name, content, message in (
        ("cut.gz", whole[:2000], "damaged or cut short"),
        ("not.gz", b"cat 1 2 3\n", "damaged or cut short"),
        ("not.zip", b"cat 1 2 3\n", "damaged or cut short"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_vectors(tmp_path / name, ["cat"])
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", "cat 1\n")
        archive.writestr("b.txt", "cat 1\n")
    with pytest.raises(DataError, match="found 2 files in the archive, expected one"):
        read_vectors(tmp_path / "two.zip", ["cat"])
    with pytest.raises(DataError, match="no such file of word vectors"):
        read_vectors(tmp_path / "missing.txt", ["cat"])


def test_a_word_of_invalid_utf8_is_passed_over(tmp_path):
    path = write(tmp_path / "v.txt", b"\xff\xfe 1 2\ncat 3 4\n")
    assert read_vectors(path, ["cat"]).words == ["cat"]


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
    np.testing.assert_array_equal(
        matrix(["<pad>", "<unk>", "a", "b"], [one, two]),
        [[0, 0, 0], [0, 0, 0], [0, 0, 5], [1, 1, 0]],
    )


def test_coverage_counts_words_with_a_vector():
    vectors = np.array([[0, 0], [0, 0], [1, 0]], np.float32)
    assert coverage(vectors, ["<pad>", "<unk>", "a"], {"a": 1, "b": 2}) == {
        "tokens": 3,
        "tokens_covered": 0.3333,
        "types": 2,
        "types_covered": 0.5,
    }
    assert coverage(vectors, ["<pad>", "<unk>", "a"], {})["tokens_covered"] == 0


WORD2VEC = """
from data_prep.embeddings import fingerprint, train_word2vec
words = "a b c d e f g h i j".split()
sentences = [words[n % 7 : n % 7 + 4] + ["_eos_"] for n in range(200)]
print(fingerprint(train_word2vec(sentences, 3)))
"""


def test_word2vec_is_equal_to_the_bit_in_another_process():
    sums = {
        subprocess.run(
            [sys.executable, "-c", WORD2VEC],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sums) == 1 and len(sums.pop().strip()) == 64


def test_word2vec_has_the_papers_settings_and_every_word():
    found = train_word2vec([("a", "b", "_eos_"), ("once",)], seed=1)
    assert sorted(found.words) == ["_eos_", "a", "b", "once"]
    assert found.vectors.shape == (4, 100) and found.vectors.dtype == np.float32
    other = train_word2vec([("a", "b", "_eos_"), ("once",)], seed=2)
    assert embeddings.fingerprint(found) != embeddings.fingerprint(other)


def test_word2vec_without_a_training_split_is_refused():
    with pytest.raises(DataError, match="no training split to train Word2Vec on"):
        train_word2vec([], seed=1)


def test_gensims_sets_are_fetched_as_files(tmp_path, monkeypatch):
    import gensim.downloader

    def load(name, return_path):
        assert return_path
        if name == "offline":
            raise OSError("no route to host")
        if name != "glove-tiny":
            raise ValueError(f"Incorrect model/corpus name {name}")
        return str(tmp_path / "glove-tiny.gz")

    monkeypatch.setattr(gensim.downloader, "load", load)
    assert gensim_file("glove-tiny") == tmp_path / "glove-tiny.gz"
    with pytest.raises(UsageError, match="gensim:glove-tny: Incorrect model"):
        gensim_file("glove-tny")
    with pytest.raises(DataError, match=r"gensim:offline cannot be fetched \(no route to host\)"):
        gensim_file("offline")
