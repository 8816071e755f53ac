"""`python -m dim_tf.predict`: a turn on the command line, and JSON Lines in and out."""

from __future__ import annotations

import gzip
import io
import json
import os
from types import SimpleNamespace

import pytest

from dim_tf import predict
from dim_tf.cli import parser
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.ranking import turn_lines
from dim_tf.ranking.ranker import Ranker
from tests.tiny_run import SHORT, saved, tiny_ranker, tiny_run

TURN = {"context": ["hello you"], "persona": ["i like dogs."], "candidates": ["tea", "dogs", "i"]}


@pytest.fixture
def ranker(monkeypatch) -> Ranker:
    """Replaces the ranker of every run folder."""
    monkeypatch.setattr(Ranker, "load", lambda path, precision: tiny_ranker())
    return tiny_ranker()


@pytest.fixture
def replies(tmp_path):
    path = tmp_path / "replies.txt"
    path.write_bytes("\ufefftea\r\n\n  \ndogs 😀\nhello you".encode())
    return str(path)


def run(*arguments) -> int:
    return parser.run(predict.main, ["--run", "RUN", *map(str, arguments)])


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def write_turns(path, *turns):
    texts = [turn if isinstance(turn, str) else json.dumps(turn) for turn in turns]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def test_the_precision_is_that_of_the_option(replies, monkeypatch):
    asked = []

    def load(path, precision):
        asked.append((path, precision))
        return tiny_ranker()

    monkeypatch.setattr(Ranker, "load", load)
    assert run("--candidates", replies) == 0
    assert run("--candidates", replies, "--precision", "bfloat16") == 0
    assert asked == [("RUN", None), ("RUN", "bfloat16")]


def test_prints_a_table(ranker, replies, capsys):
    options = ["--context", "hello", "i'm fine", "tea ?", "--persona", "i like tea"]
    assert run(*options, "--candidates", replies) == 0
    ranking = ranker.rank(
        ["hello", "i'm fine", "tea ?"], ["i like tea"], ["tea", "dogs 😀", "hello you"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "probability", "score", "candidate"]
    assert [line.split(maxsplit=3) for line in lines[1:]] == [
        [str(r["rank"]), f"{r['probability']:.4f}", f"{r['score']:.4f}", r["candidate"]]
        for r in ranking
    ]


def test_prints_json(ranker, replies, capsys):
    assert run("--candidates", replies, "--json", "--top-k", 2) == 0
    assert json.loads(capsys.readouterr().out) == ranker.rank(
        candidates=["tea", "dogs 😀", "hello you"], top_k=2
    )


def test_says_what_the_ranker_warns_of(ranker, replies, capsys):
    assert run("--candidates", replies, "--persona", "i", "like", "tea") == 0
    expected = "warning: persona: found 3 profiles, this model reads the first 2\n"
    assert capsys.readouterr().err == expected


def test_a_run_folder_from_the_command_line(replies, tmp_path, capsys):
    folder = saved(tiny_run(tmp_path / "run", **SHORT)).path
    assert parser.run(predict.main, ["--run", str(folder), "--candidates", replies]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["rank", "1", "2", "3"]
    assert {line.split(maxsplit=3)[3] for line in lines[1:]} == {"tea", "dogs 😀", "hello you"}


def test_no_candidates(ranker, tmp_path, capsys):
    path = tmp_path / "replies.txt"
    for message in ("the file is missing", "found no candidate"):
        assert run("--candidates", path) == 2
        assert capsys.readouterr().err.startswith(f"error: {path}: {message}")
        path.write_bytes(b"\n \n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --candidates FILE"),
        (["--candidates", "a", "--output", "b"], "--output belongs to --input"),
        (["--input", "a", "--persona", "b"], "--persona and --input"),
        (["--input", "a", "--json"], "--json and --input"),
        (["--input", "no such file"], "no such file: the file is missing"),
        (["--input", "a", "--output", "/none/b"], "--output: found no folder /none"),
    ],
)
def test_options_that_are_refused(options, message, capsys):
    assert run(*options) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_file_is_no_persona(replies, capsys):
    assert run("--persona", replies, "--candidates", replies) == 2
    assert f"--persona: found the file {replies}" in capsys.readouterr().err


def test_the_input_is_not_overwritten_by_the_output(tmp_path, capsys):
    turns = write_turns(tmp_path / "turns.jsonl", TURN)
    before = turns.read_text()
    assert run("--input", turns, "--output", turns) == 2
    assert capsys.readouterr().err.startswith(f"error: --output: {turns}")
    assert turns.read_text() == before


def test_json_lines(ranker, tmp_path, capsys):
    other = {"context": [], "persona": [], "candidates": ["i", "i"]}
    first = {**TURN, "id": 7, "error": "an answer has its own", "line": 3}
    turns = write_turns(tmp_path / "turns.jsonl", first, {**other, "é": {"a": [None]}})
    assert run("--input", turns, "--output", tmp_path / "out.jsonl") == 0
    out = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    first, second = ranker.rank_many([TURN, other])
    assert json_lines(out) == [
        {"id": 7, "ranking": first},
        {"é": {"a": [None]}, "ranking": second},
    ]
    assert "é" in out
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "2 of 2 turns ranked\n")


def test_bad_lines_are_reported_and_the_rest_is_ranked(ranker, tmp_path, capsys):
    turns = tmp_path / "turns.jsonl"
    good = json.dumps(TURN).encode()
    lines = [
        b"\xef\xbb\xbf" + good + b"\r",
        b'{"context": [',
        b"",
        b"[1]",
        b'{"id": "x", "context": [], "persona": []}',
        b'{"contxt": [], "persona": [], "candidates": ["a"]}',
        b'{"context": [], "persona": [], "candidates": []}',
        b'{"context": [], "persona": "i", "candidates": ["a"]}',
        b'{"context": [], "persona": [], "candidates": ["\\ud83d"], "id": "\\ud83d"}',
        b'{"context": [], "persona": [], "candidates": ["a"], "id": NaN}',
        b'{"context": [], "persona": [], "candidates": ["a"], "id": 1e999}',
        b"[" * 100_000,
        b"1" * 5_000,
        b"caf\xe9",
        good,
    ]
    turns.write_bytes(b"\n".join(lines))
    assert run("--input", turns) == 1
    out, err = capsys.readouterr()
    results = json_lines(out)
    rankings = ranker.rank_many([TURN, TURN])
    assert [results[0]["ranking"], results[-1]["ranking"]] == rankings
    expected = [
        (2, "not JSON"),
        (4, "found a list"),
        (5, 'field "candidates": no such field'),
        (6, 'field "context": no such field'),
        (7, 'field "candidates": found no candidate'),
        (8, 'field "persona": found a text'),
        (9, 'field "candidates[0]": found half of a surrogate pair'),
        (10, "not JSON that can be read: NaN"),
        (11, "not JSON that can be read: 1e999"),
        (12, "not JSON that can be read"),
        (13, "not JSON that can be read"),
        (14, "found byte 0xe9 at position 4"),
    ]
    assert [result["line"] for result in results[1:-1]] == [line for line, _ in expected]
    reports = err.splitlines()
    for result, report, (line, message) in zip(results[1:-1], reports, expected, strict=False):
        assert result["error"].startswith(message)
        assert report == f"error: {turns}:{line}: {result['error']}"
    assert (results[3]["id"], results[7]["id"]) == ("x", "\ud83d")
    assert reports[len(expected) :] == ["2 of 14 turns ranked"]


def test_a_warning_is_said_once(ranker, tmp_path, capsys):
    many = {**TURN, "persona": ["i", "like", "tea"]}
    turns = write_turns(tmp_path / "turns.jsonl", TURN, many, many)
    assert run("--input", turns) == 0
    [warning] = capsys.readouterr().err.splitlines()[:-1]
    assert warning.startswith(f"warning: {turns}:2: persona: found 3 profiles")


def test_standard_input_and_output(ranker, monkeypatch, capsys):
    text = io.BytesIO(b"{}\n" + json.dumps(TURN).encode())
    stdin = SimpleNamespace(buffer=io.BufferedReader(text))
    monkeypatch.setattr("sys.stdin", stdin)
    assert run("--input", "-", "--output", "-", "--top-k", 1) == 1
    out, err = capsys.readouterr()
    assert json_lines(out)[1] == {"ranking": ranker.rank(**TURN, top_k=1)}
    assert err.startswith('error: standard input:1: field "context": no such field')


def test_a_file_is_ranked_many_lines_at_a_time_in_order(ranker, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(turn_lines, "BATCH", 3)
    sizes, ranked = [], ranker.rank_many
    monkeypatch.setattr(
        ranker, "rank_many", lambda turns, top_k: sizes.append(len(turns)) or ranked(turns, top_k)
    )
    written = [{**TURN, "candidates": ["tea", "i"] * (n % 4 + 1), "id": n} for n in range(7)]
    written.insert(4, "bad")
    turns = write_turns(tmp_path / "turns.jsonl", *written)
    assert run("--input", turns) == 1
    results = json_lines(capsys.readouterr().out)
    assert sizes == [3, 2, 2]
    assert [result.get("id") for result in results] == [0, 1, 2, 3, None, 4, 5, 6]
    assert [len(result.get("ranking", [])) for result in results] == [2, 4, 6, 8, 0, 2, 4, 6]


def test_standard_input_is_answered_line_by_line(ranker, monkeypatch, capsysbinary):
    """Who writes a line gets its answer before they write the next."""
    asked = json.dumps(TURN).encode() + b"\n"
    answered = []

    class Conversation(io.RawIOBase):
        lines = iter((asked, b"bad\n", asked))

        def readable(self):
            return True

        def readinto(self, buffer):
            answered.append(capsysbinary.readouterr().out)
            line = next(self.lines, b"")
            buffer[: len(line)] = line
            return len(line)

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(Conversation())))
    assert run("--input", "-") == 1
    assert answered.pop(0) == b""
    results = [json.loads(out) for out in answered]
    assert [list(result) for result in results] == [["ranking"], ["error", "line"], ["ranking"]]
    assert all(out.endswith(b"\n") for out in answered)


def test_turns_ranked_before_damage_are_kept(ranker, tmp_path, capsys):
    packed = gzip.compress(
        b"".join(json.dumps({**TURN, "id": n}).encode() + b"\n" for n in range(99))
    )
    turns = tmp_path / "turns.jsonl.gz"
    turns.write_bytes(packed[:-20])
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before")
    assert run("--input", turns, "--output", out) == 2
    *_, kept, error = capsys.readouterr().err.splitlines()
    assert kept.endswith(f"{out}.part")
    assert "damaged or truncated" in error
    assert out.read_text() == "what was there before"
    kept = (tmp_path / "out.jsonl.part").read_text().splitlines()
    assert [json.loads(line)["id"] for line in kept] == list(range(len(kept))) and len(kept) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("out.jsonl", "out.jsonl.part", "turns.jsonl.gz")
    ]

    # Nor is it lost when the same command is given again.
    assert run("--input", turns, "--output", out) == 2
    assert f"{out}.part exists" in capsys.readouterr().err
    assert len((tmp_path / "out.jsonl.part").read_text().splitlines()) == len(kept)


def test_output_through_a_link_onto_a_private_file_and_into_a_pipe(ranker, tmp_path):
    turns, link, out = (tmp_path / name for name in ("turns.json", "link.jsonl", "out.jsonl"))
    turns.write_text(json.dumps([TURN, TURN], indent=1))  # an array is read as its elements
    out.touch(mode=0o600)
    link.symlink_to(out)
    assert run("--input", turns, "--output", link) == 0
    assert link.is_symlink() and out.stat().st_mode & 0o777 == 0o600
    assert len(json_lines(out.read_text())) == 2

    reader, writer = os.pipe()
    assert run("--input", turns, "--output", f"/dev/fd/{writer}") == 0
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == out.read_text()

    log = tmp_path / "log"  # >> log
    log.write_text("before\n")
    stdout = os.dup(1)
    try:
        with log.open("a") as handle:
            os.dup2(handle.fileno(), 1)
        assert run("--input", turns, "--output", "/dev/fd/1") == 0
        with pytest.raises(UsageError, match="is standard output"):
            atomic.check_output("/dev/fd/1", "--out")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    assert log.read_text() == "before\n" + out.read_text()


def test_no_turns(ranker, tmp_path, capsys):
    turns = write_turns(tmp_path / "turns.jsonl", "", " ")
    assert run("--input", turns, "--output", tmp_path / "out") == 2
    expected = f"error: {turns}: found no turn, expected one JSON object a line\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "out").exists()
