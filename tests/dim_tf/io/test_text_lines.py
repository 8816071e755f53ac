import gzip
import json
import lzma

import pytest

from dim_tf.errors import DataError
from dim_tf.io.text_lines import json_records, numbered_lines


def read(path):
    return list(numbered_lines(path))


def test_only_a_line_end_ends_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x0bc\x85d\nsecond\rthird\r\r\n".encode())
    assert read(path) == [(1, "a\u2028b\x0bc\x85d"), (2, "second"), (3, "third")]


@pytest.mark.parametrize(
    "content",
    [b"one\ntwo\n", b"one\ntwo", b"one\r\ntwo\r\n", b"one\rtwo\r", b"\xef\xbb\xbfone\ntwo\n"],
    ids=["plain", "no final newline", "CRLF", "CR", "BOM"],
)
def test_line_ends_and_byte_order_mark_are_no_text(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read(path) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(("suffix", "compress"), [(".GZ", gzip.compress), ("", lzma.compress)])
def test_compressed_files_are_read_and_their_damage_is_named(tmp_path, suffix, compress):
    path = tmp_path / f"a.jsonl{suffix}"
    packed = compress("é\n".encode() * 1000)
    path.write_bytes(packed)
    assert read(path)[-1] == (1000, "é")
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"a\.jsonl.*damaged or truncated"):
        read(path)


def test_bytes_that_are_not_utf8_are_placed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value) == f"{path}:2: found byte 0xe9 at position 4, expected UTF-8 text"


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt: the file is missing"):
        read(tmp_path / "gone.txt")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@pytest.mark.parametrize(
    "text", ['[{"a": 1},\n {"a":\n2}]\n', '[{"a": 1}, {"a": 2}]', '{"a": 1}\n\n{"a": 2}\n']
)
def test_an_array_is_read_as_its_elements(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    lines = list(numbered_lines(path, records=True))
    assert [json.loads(line) for _, line in lines] == [{"a": 1}, {"a": 2}]
    assert lines[0][0] == 1


def test_a_damaged_array_names_its_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[\n\n{"a": 1}\n{"a": 2}\n]')
    with pytest.raises(DataError, match=rf"^{path}:4: not JSON: Expecting ',' delimiter"):
        list(numbered_lines(path, records=True))
    path.write_text('[\n\n{"a": 1},\n]')
    with pytest.raises(DataError, match=rf"^{path}:[34]: not JSON"):
        list(numbered_lines(path, records=True))
    # Lines that are no array are bad or good one by one.
    path.write_text('[1\n{"a": 1}')
    assert list(numbered_lines(path, records=True)) == [(1, "[1"), (2, '{"a": 1}')]


def test_a_line_that_is_an_array_is_read_before_the_next_comes():
    def lines():
        yield 1, b'["hi"]'
        raise AssertionError("the second line is read too early")

    assert next(json_records(lines(), "a")) == (1, b'"hi"')
