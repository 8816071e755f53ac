"""Bad word vectors."""

from __future__ import annotations

import pytest

import data_prep.__main__ as data_prep

VECTOR_FILES = {
    "binary": (bytes(range(256)), "{0}:1: found binary data"),
    "missing": (None, "--vectors: found no file {0}"),
    "a folder": ("folder", "--vectors: found the folder {0}"),
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


def test_lines_that_are_skipped_are_one_warning(source, options, vectors, command):
    vectors.write_text("i 1 0\nski 1\n. 0 nan\n")
    status, _, error = command(data_prep, "--source", source, *options)
    assert status == 0
    assert error.startswith(f"warning: {vectors}: skipped 2 lines") and "line 2" in error
    assert error.count("\n") == 1
