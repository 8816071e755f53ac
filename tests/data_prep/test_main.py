"""The command line, end to end."""

import json

import numpy as np
import pytest

from data_prep.__main__ import main
from dim_tf.cli import parser
from dim_tf.data.dataset import PreparedData
from dim_tf.io import atomic

VECTORS = "i 1 0\nski 0 1\nskate 1 1\n"
DIALOGUES = [
    {
        "utterances": [f"hello number {n}", f"i ski {n} times", f"why {n} ?", f"for fun {n}"],
        "persona_a": ["i read."],
        "persona_b": ["i ski."],
        "split": split,
    }
    for n, split in enumerate(["train"] * 6 + ["valid"] * 4 + ["test"] * 4)
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in DIALOGUES))
    return path


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(VECTORS)
    return path


@pytest.fixture
def command(source, tmp_path):
    def run(*arguments, out="out"):
        given = ["--source", str(source), "--candidates", "3", *map(str, arguments)]
        return parser.run(main, [*given, "--out", str(tmp_path / out)] if out else given)

    return run


def test_the_sample_prepares_with_the_defaults(tmp_path, capsys):
    out = tmp_path / "sample"
    assert parser.run(main, ["--source", "sample", "--out", str(out)]) == 0
    data = PreparedData.load(out)
    assert {split for split, _, _ in data.settings()} == {"train", "valid", "test"}
    assert data.word_vectors.shape[1] == data.word2vec_dim == 100
    assert not data.word_vectors[:2].any() and data.word_vectors[2:].any()
    printed = capsys.readouterr().out
    assert printed.startswith("Data report: sample")
    assert (out / "report.txt").read_text() in printed
    assert "test: 100.0% of" in printed
    assert f"prepared {out}: " in printed.splitlines()[-1]


def test_own_data_with_vectors(command, vectors, tmp_path):
    assert command("--vectors", vectors, "--word2vec", "none", "--extra-words", 5) == 0
    data = PreparedData.load(tmp_path / "out")
    assert data.words[-1] == "skate" and data.word_vectors.shape[1] == 2
    np.testing.assert_array_equal(data.word_vectors[data.words.index("ski")], [0, 1])
    assert data.manifest["options"]["candidates"] == 3
    assert data.rules.nfc
    assert {source["name"] for source in data.manifest["sources"]} == {"own.jsonl", "glove.txt"}
    assert data.manifest["sources"][-1]["sha256"] == atomic.sha256(vectors)
    assert len(data.table("train", "self", "original")) == 12
    assert data.table("train", "self", "original").candidates.shape[1] == 3


def test_a_second_call_finds_the_work_done(command, capsys, tmp_path):
    assert command() == 0
    stamp = (tmp_path / "out/manifest.json").stat().st_mtime_ns
    capsys.readouterr()
    assert command() == 0
    assert capsys.readouterr().out == f"already prepared: {tmp_path / 'out'}\n"
    assert (tmp_path / "out/manifest.json").stat().st_mtime_ns == stamp
    (tmp_path / "out/turns/valid_self_original.npz").unlink()
    assert command() == 2
    assert "valid_self_original" in capsys.readouterr().err


def test_other_options_or_sources_need_overwrite(command, source, vectors, capsys, tmp_path):
    assert command() == 0
    before = PreparedData.load(tmp_path / "out").fingerprint
    assert command("--seed", 7) == 2
    error = capsys.readouterr().err
    assert "--seed: found 1, expected 7" in error and "--overwrite" in error
    assert command("--vectors", vectors, "--word2vec", "none") == 2
    assert "--word2vec: found train, expected none" in capsys.readouterr().err
    source.write_text(source.read_text().replace("fun", "sport"))
    assert command() == 2
    assert "another source" in capsys.readouterr().err
    source.write_text(source.read_text().replace("sport", "fun"))
    manifest = tmp_path / "out/manifest.json"
    manifest.write_text(manifest.read_text().replace('"nfc": true', '"nfc": false'))
    assert command() == 2  # an older version made it
    assert "NFC: found False, expected True" in capsys.readouterr().err
    assert PreparedData.load(tmp_path / "out").fingerprint == before
    source.write_text(source.read_text().replace("fun", "sport"))
    assert command("--overwrite") == 0
    data = PreparedData.load(tmp_path / "out")
    assert "sport" in data.words and data.fingerprint != before


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("manifest.json", '{"manifest_version": 3}', "its manifest.json is of something else"),
        ("words.txt", "a list of mine", "no readable manifest.json"),
        ("thesis.txt", "years of work", "it holds thesis.txt"),
    ],
)
def test_a_folder_with_files_of_such_names_is_never_replaced(
    command, capsys, tmp_path, name, content, reason
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(content)
    assert command("--overwrite") == 2
    assert f"is not a prepared folder ({reason})" in capsys.readouterr().err
    assert (tmp_path / "out" / name).read_text() == content


@pytest.mark.parametrize("name", ["vectors.npz", "turns/train_self_original.npz", "profiles.txt"])
def test_a_damaged_folder_is_not_taken_for_done(command, capsys, tmp_path, name):
    assert command() == 0
    path = tmp_path / "out" / name
    if path.suffix == ".npz":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.unlink()
    assert command() == 2
    assert "; --overwrite" in capsys.readouterr().err
    assert command("--overwrite") == 0 and command() == 0


def test_like_another_folder_words_that_it_lacks_are_split(command, source, tmp_path):
    assert command(out="first") == 0
    source.write_text(source.read_text().replace("times", "times!").replace("i ski.", "i ski ."))
    assert command("--like", tmp_path / "first", out="second") == 0
    read = atomic.read_lines(tmp_path / "second/candidates.txt")
    assert "i ski 0 times !" in read
    assert "times!" not in PreparedData.load(tmp_path / "second").words
    manifest = tmp_path / "second/manifest.json"
    manifest.write_text(manifest.read_text().replace('"unknown_split": true,', ""))
    assert command("--like", tmp_path / "first", out="second") == 2  # as an older version made it


def test_check_names_tables_without_a_gold_reply(command, source, capsys):
    turn = {"context": ["hi"], "persona": [], "response": "yes", "candidates": ["no", "maybe"]}
    source.write_text(f"{json.dumps(turn | {'split': 'train'})}\n" * 3)
    assert command("--check", out=None) == 1
    assert "train_self_original: 3 turns" in capsys.readouterr().err


def test_check_only_reports(command, capsys, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert command("--check", out=None) == 0
    assert capsys.readouterr().out.startswith("Data report: own")
    assert sorted(tmp_path.iterdir()) == before


def test_like_takes_the_rules_of_the_text(command, capsys, tmp_path):
    assert command("--tokeniser", "wordpunct", "--keep-case", out="first") == 0
    assert command("--like", tmp_path / "first", out="second") == 0
    first, second = (PreparedData.load(tmp_path / name) for name in ("first", "second"))
    assert second.rules == first.rules
    assert command("--like", tmp_path / "first", "--tokeniser", "authors", out="third") == 2
    assert "first was made with --tokeniser wordpunct --keep-case; leave" in capsys.readouterr().err


def test_dense_is_written_on_request(command, capsys, tmp_path):
    assert command("--dense") == 0
    (tmp_path / "out/dense/test_self_original.npz").unlink()
    assert command("--dense") == 2
    assert "test_self_original.npz: the file is missing; --overwrite" in capsys.readouterr().err


BAD = {
    "no out": ([], "--out is missing", None),
    "no vectors": (["--word2vec", "none"], "give --vectors FILE", "out"),
    "word2vec missing": (["--word2vec", "nowhere"], "--word2vec: found no file nowhere", "out"),
    "like and word2vec": (["--like", "x", "--word2vec", "train"], "leave --word2vec out", "out"),
    "like nothing": (["--like", "nowhere"], "--like: nowhere is no prepared folder", "out"),
    "candidates": (["--candidates", "1"], "expected a whole number of at least 2", "out"),
    "sha256": (["--sha256", "abc"], "found 'abc', expected 64 hexadecimal digits", "out"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_option_is_one_line_and_leaves_nothing(command, capsys, tmp_path, case):
    arguments, message, out = BAD[case]
    assert command(*arguments, out=out) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
