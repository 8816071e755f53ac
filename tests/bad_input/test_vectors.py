"""Bad word vectors."""

from __future__ import annotations

import pytest

import data_prep.__main__ as data_prep

VECTOR_FILES = {
    "another dimension": (b"i 1 0\nski 1\n", "{0}:2: found 1 numbers, expected 2"),
    "no number": (b"i 1 0\nski 1 x\n", "{0}:2: found 'x', expected a finite number"),
    "not a finite number": (b"i 1 0\nski 1 nan\n", "{0}:2: found 'nan', expected a finite number"),
    "binary": (bytes(range(256)), "{0}:1: found binary data, expected lines of a word and its"),
    "word2vec's binary": (b"1 2\ni \0\0\x80?\0\0\0\0\n", "{0}:2: found binary data, expected"),
    "empty": (b"", "{0}: found no vector, expected lines of a word and its numbers"),
    "missing": (None, "--vectors: found no file {0}, expected a file of vectors"),
    "a folder": ("folder", "--vectors: found the folder {0}, expected a file of vectors"),
}


@pytest.mark.parametrize("case", VECTOR_FILES)
def test_bad_vectors_are_named(case, source, options, vectors, refused):
    content, message = VECTOR_FILES[case]
    vectors.unlink()
    if content == "folder":
        vectors.mkdir()
    elif content is not None:
        vectors.write_bytes(content)
    said = refused(data_prep, "--source", source, *options)
    assert said.startswith(message.format(vectors))
    assert list(options[-1].parent.iterdir()) == []
