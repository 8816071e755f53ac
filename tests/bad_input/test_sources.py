"""Bad sources of `data_prep`."""

from __future__ import annotations

import json

import pytest

import data_prep.__main__ as data_prep
from dim_tf.data.dataset import PreparedData
from tests.bad_input.material import NAME, cut, file, spoiled, tar

LINE_CASES = {
    "two fields": (spoiled(2, "\t\tno .|yes .", ""), ":2: found 2 fields, expected 4"),
    "invalid UTF-8": (spoiled(2, "hello", "caf\udce9"), ":2: found byte 0xe9 at position 6"),
    "an empty file": (b"", ": the file is empty"),
}


@pytest.mark.parametrize("case", LINE_CASES)
def test_a_bad_file_is_named_with_its_line(case, source, options, refused):
    content, message = LINE_CASES[case]
    (source / NAME).write_bytes(content)
    assert refused(data_prep, "--source", source, *options).startswith(f"{source / NAME}{message}")
    assert list(options[-1].parent.iterdir()) == []


SOURCES = {
    "nearly the sample": (lambda t: "smaple", "did you mean sample?"),
    "empty JSON Lines": (lambda t: file(t / "a.jsonl", b""), "{0}: the file is empty"),
    "truncated": (lambda t: cut(tar(t / "a.tgz", NAME)), "{0}: cannot unpack"),
    "up and out": (lambda t: tar(t / "a.tgz", "../evil"), "'../evil'"),
    "absolute": (lambda t: tar(t / "a.tgz", "/evil"), "{0}: found evil"),
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


def test_a_reply_that_is_there_twice_is_masked_out_and_counted(source, options, command):
    (source / NAME).write_bytes(spoiled(2, "|yes .", "|yes .|yes ."))
    assert command(data_prep, "--source", source, *options)[0] == 0
    report = json.loads((options[-1] / "report.json").read_text())["tables"]["train_self_original"]
    assert (report["gold_once"], report["gold_twice"]) == (1, 1)
    data = PreparedData.load(options[-1])
    table = data.table("train", "self", "original")
    assert sorted(data.texts(table, 0)["candidates"]) == ["", "no .", "yes ."]
    assert data.manifest["counts"]["tables"][table.name]["copies_of_gold"] == 1
