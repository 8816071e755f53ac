"""Bad sources of `data_prep`."""

from __future__ import annotations

import json

import pytest

import data_prep.__main__ as data_prep
from dim_tf.data.dataset import PreparedData
from tests.bad_input.material import LINES, NAME, cut, file, folder, spoiled, tar

LINE_CASES = {
    "no number": (spoiled(2, "2 ", ""), ":2: found 'hello', expected a line number and a space"),
    "numbers out of order": (spoiled(3, "3 ", "5 "), ":3: found line number '5', expected 3 or"),
    "two fields": (spoiled(2, "\t\tno .|yes .", ""), ":2: found 2 fields, expected 4"),
    "three fields": (spoiled(2, "\t\tno", "\tno"), ":2: found 3 fields, expected 4"),
    "reply not among its candidates": (
        spoiled(2, "|yes .", "|maybe"),
        ":2: the reply 'yes .' is not among its 2 candidates",
    ),
    "no candidates": (spoiled(2, "no .|yes .", ""), ":2: found no candidates, expected CANDIDATE|"),
    "an empty candidate": (spoiled(3, "|", "||"), ":3: candidate 2 of 3 is empty"),
    "invalid UTF-8": (spoiled(2, "hello", "caf\udce9"), ":2: found byte 0xe9 at position 6"),
    "an empty file": (b"", ": the file is empty, expected dialogues"),
    "cut off": (spoiled(3, LINES[2], "1 your persona: x"), ":3: the last dialogue has no turn"),
}


@pytest.mark.parametrize("case", LINE_CASES)
def test_a_bad_file_is_named_with_its_line(case, source, options, refused):
    content, message = LINE_CASES[case]
    (source / NAME).write_bytes(content)
    assert refused(data_prep, "--source", source, *options).startswith(f"{source / NAME}{message}")
    assert list(options[-1].parent.iterdir()) == []


SOURCES = {
    "missing": (lambda t: t / "nothing", "found no source '{0}', expected sample, download, a f"),
    "no name": (lambda t: "", "found no source '', expected sample, download"),
    "nearly the sample": (lambda t: "smaple", "did you mean sample?"),
    "an empty folder": (lambda t: folder(t / "f"), "{0}: found an empty folder, expected files n"),
    "an empty archive": (lambda t: file(t / "a.tgz", b""), "{0}: cannot unpack"),
    "empty JSON Lines": (lambda t: file(t / "a.jsonl", b""), "{0}: the file is empty, expected"),
    "no archive": (lambda t: file(t / "a.tgz", b"just text"), "{0}: cannot unpack"),
    "truncated": (lambda t: cut(tar(t / "a.tgz", NAME)), "{0}: cannot unpack"),
    "up and out": (lambda t: tar(t / "a.tgz", "../evil"), "'../evil'"),
    "absolute": (lambda t: tar(t / "a.tgz", "/evil"), "{0}: found evil, expected files named"),
    "of no known kind": (lambda t: file(t / "a.txt", b"x"), "{0}: no source has such a name"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_bad_source_is_named(case, options, refused, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    make, message = SOURCES[case]
    path = make(tmp_path)
    assert message.format(path) in refused(data_prep, "--source", path, *options)
    assert list(options[-1].parent.iterdir()) == list((tmp_path / "temporary").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_byte_order_mark_and_crlf_are_accepted(source, options, command):
    assert command(data_prep, "--source", source, *options)[0] == 0
    plain = PreparedData.load(options[-1]).fingerprint
    (source / NAME).write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*LINES, ""]).encode())
    assert command(data_prep, "--source", source, *options, "--overwrite")[0] == 0
    assert PreparedData.load(options[-1]).fingerprint == plain


def test_a_reply_that_is_there_twice_is_masked_out_and_counted(source, options, command):
    (source / NAME).write_bytes(spoiled(2, "|yes .", "|yes .|yes ."))
    assert command(data_prep, "--source", source, *options)[0] == 0
    report = json.loads((options[-1] / "report.json").read_text())["tables"]["train_self_original"]
    assert (report["gold_once"], report["gold_twice"]) == (1, 1)
    data = PreparedData.load(options[-1])
    table = data.table("train", "self", "original")
    assert sorted(data.texts(table, 0)["candidates"]) == ["", "no .", "yes ."]
    assert data.manifest["counts"]["tables"][table.name]["copies_of_gold"] == 1


def test_a_wrong_sum_is_shown_and_the_file_removed(options, refused, tmp_path):
    archive = tar(tmp_path / "a.tgz", NAME)
    said = refused(
        *(data_prep, "--source", "download", "--url", archive.as_uri(), "--sha256", "0" * 64),
        *("--cache", tmp_path / "cache", *options),
    )
    assert f"expected {'0' * 64}" in said and archive.as_uri() in said
    assert list((tmp_path / "cache").iterdir()) == list(options[-1].parent.iterdir()) == []
