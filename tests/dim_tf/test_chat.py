"""`python -m dim_tf.chat`: lines in, answers out; through a pipe and in a terminal."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dim_tf import chat
from dim_tf.cli import parser
from dim_tf.ranking.ranker import Ranker
from tests.tiny_run import SHORT, saved, tiny_ranker, tiny_run

POOL = ["tea", "dogs 😀", "i like  you", "I like you", "hello"]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "pool.txt").write_text("".join(text + "\n" for text in POOL), encoding="utf-8")
    (tmp_path / "persona.txt").write_text("i like dogs.\n\ni'm fine\n", encoding="utf-8")
    return ["--pool", tmp_path / "pool.txt", "--persona", tmp_path / "persona.txt"]


@pytest.fixture
def ranker(monkeypatch) -> Ranker:
    """Replaces the ranker of every run folder."""
    monkeypatch.setattr(Ranker, "load", lambda path: tiny_ranker())
    return tiny_ranker()


@pytest.fixture
def talk(ranker, files, monkeypatch, capsys):
    """Types lines into the command; gives what it says."""

    def typed(*lines: str | bytes, options=files, status=0):
        text = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8"))
        assert parser.run(chat.main, ["--run", "RUN", *map(str, options)]) == status
        found = capsys.readouterr()
        assert "Traceback" not in found.err
        return found.out.splitlines()

    return typed


def test_standard_input_cannot_be_the_pool_too(talk, files):
    assert talk("hello", options=["--pool", "-"], status=2) == []


def words(text):
    return text.lower().split()


def best(ranking, given=()):
    return next(row["candidate"] for row in ranking if row["candidate"] not in given)


def test_answers_with_the_best_reply_not_given_yet(ranker, talk):
    """The context grows with both sides; equal replies are not given twice."""
    persona, context, given, expected = ["i like dogs.", "i'm fine"], [], [], []
    for line in ("hello", "you like tea?", "fine", "i"):
        context.append(line)
        answer = best(ranker.rank(context, persona, POOL), given)
        given += [text for text in POOL if words(text) == words(answer)]
        context.append(answer)
        expected.append(f"bot> {answer}")
    assert len(given) == len(POOL)
    assert talk("hello", " you like tea?  ", "", "fine", "i") == expected
    # All were given: now the best again.
    again = best(ranker.rank([*context, "you"], persona, POOL))
    assert talk("hello", "you like tea?", "fine", "i", "you")[-1] == f"bot> {again}"


def test_top_shows_the_last_ranking(ranker, talk):
    first = ranker.rank(["hello"], ["i like dogs.", "i'm fine"], POOL)
    context = ["hello", first[0]["candidate"], "hello"]
    said = talk("hello", "/top", "/top 2", "hello", "/top 1")
    assert said[1].split() == ["rank", "probability", "score", "candidate"]
    assert [line.split(maxsplit=3)[3] for line in said[2:7]] == [row["candidate"] for row in first]
    assert [line.split()[0] for line in said[7:10]] == ["rank", "1", "2"]
    second = ranker.rank(context, ["i like dogs.", "i'm fine"], POOL)
    given = words(first[0]["candidate"])
    chosen = next(row["rank"] for row in second if words(row["candidate"]) != given)
    assert [f"rank {chosen};" in line for line in said[13:]] == [True] * (chosen > 1)


def test_why_shows_what_the_answer_looked_at(ranker, talk):
    answer, *why = talk("hello you", "/persona tea", "/why")
    text = answer.removeprefix("bot> ")
    found = ranker.explain(["hello you"], ["i like dogs.", "i'm fine"], text)
    assert why == ["persona: tea", *found.text().splitlines()]
    assert "reply to persona" in why and "reply to context" in why


def test_the_persona_can_be_changed(ranker, talk):
    said = talk("/persona", "/persona  i like tea. |hello|", "/persona -", "/persona", "hello")
    assert said[:4] == [
        "persona: i like dogs. | i'm fine",
        "persona: i like tea. | hello",
        "persona: -",
        "persona: -",
    ]
    assert said[4] == f"bot> {best(ranker.rank(['hello'], [], POOL))}"


def test_reset_help_and_quit(talk):
    said = talk("hello", "/reset", "/top", "hello", "/quit", "hello")
    assert said[2].startswith("error: ")
    assert said[0] == said[3]
    assert len(said) == 4
    listed = {line.split()[0] for line in talk("/help")}
    assert listed == {"/why", "/top", "/persona", "/reset", "/help", "/quit"}


def test_eof_is_a_word_like_any_other(talk):
    assert [line[:5] for line in talk("EOF", "hello")] == ["bot> ", "bot> "]


def test_an_empty_ranking_is_said_and_the_chat_goes_on(ranker, talk, monkeypatch):
    monkeypatch.setattr(ranker, "rank", lambda *arguments, **options: [])
    assert talk("hello", "/help")[0] == "error: the pool has no reply left"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/wy", "/wy; did you mean /why?"),
        ("/xyzzy 3", "/xyzzy; /help"),
        ("/", "/help"),
        ("/why", "no answer"),
        ("/top 0", "no answer"),
    ],
)
def test_errors_do_not_end_the_chat(talk, line, said):
    first, second = talk(line, "hello")
    assert first.startswith("error: ") and said in first
    assert second.startswith("bot> ")


def test_control_characters_of_a_reply_do_not_reach_the_terminal(talk, tmp_path):
    (tmp_path / "pool.txt").write_bytes(b"tea \x1b[31m\x07\n")
    for said in talk("hello", "/top", options=["--pool", tmp_path / "pool.txt"])[::2]:
        assert said.endswith(r"tea \x1b[31m\x07")


def test_what_is_no_number(talk):
    expected = "error: /top: found x, expected a whole number of at least 1"
    assert talk("hello", "/top x")[1].startswith(expected)


def test_any_bytes_can_be_typed(talk):
    said = talk(b"caf\xe9 \x00\x1b[A", "\u2028 汉字 \ud7ff", b"\xff\xfe", "x" * 100_000)
    assert len(said) == 4
    assert all(line.startswith("bot> ") for line in said)


def test_warnings_are_one_line(ranker, files, monkeypatch, capsys):
    text = b"/persona i | like | tea\nhello\nhow are you ?\n/why\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8"))
    assert parser.run(chat.main, ["--run", "RUN", *map(str, files)]) == 0
    expected = "warning: persona: found 3 profiles, this model reads the first 2\n"
    assert capsys.readouterr().err == expected


def test_a_calibrated_bot_says_if_nothing_fits(ranker, talk, monkeypatch):
    ranking = ranker.rank(["hello"], ["i like dogs.", "i'm fine"], POOL)

    def fitting(places):
        def rank(*arguments, **options):
            return [{**row, "fits": row["rank"] in places} for row in ranking]

        monkeypatch.setattr(ranker, "rank", rank)

    first = ranking[0]["candidate"]
    fitting([1])
    said = talk("hello", "hello", "/top 1")
    assert said[0] == f"bot> {first}"
    assert said[1].startswith("bot> (nothing that is left fits; this is the nearest) ")
    assert said[2].split() == ["rank", "probability", "score", "fits", "candidate"]
    fitting([])
    assert talk("hello") == [f"bot> (nothing in the pool fits; this is the nearest) {first}"]


def test_persona_is_not_needed(ranker, files, talk):
    said = talk("hello", options=files[:2])
    assert said == [f"bot> {best(ranker.rank(['hello'], [], POOL))}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pool", "no such file"], "no such file: the file is missing"),
        (["--pool", os.devnull], f"{os.devnull}: found no reply, expected one a line"),
        (["--pool", "a.jsonl.gz"], "a.jsonl.gz: found a file of JSON, expected text, a reply"),
        (
            ["--pool", "a", "--persona", "p.json"],
            "p.json: found a file of JSON, expected text, a sent",
        ),
    ],
)
def test_options_that_are_refused(options, message, capsys):
    assert parser.run(chat.main, ["--run", "RUN", *options]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    return saved(tiny_run(tmp_path_factory.mktemp("runs") / "run", **SHORT)).path


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_in_a_terminal(saved_run, files):
    """Prompt and history; Ctrl-C clears the line, Ctrl-D ends."""
    command = [sys.executable, "-m", "dim_tf.chat", "--run", saved_run, *files]
    master, slave = os.openpty()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "dumb"},
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    )
    os.close(slave)
    with process:
        try:
            terminal = _Terminal(master)
            assert "5 replies; persona: i like dogs. | i'm fine" in terminal.until("you> ")
            terminal.type("never sent")
            terminal.until("never sent")
            time.sleep(0.5)  # until it waits again: Python sees a signal only where it waits
            terminal.type("\x03")
            terminal.until("you> ")
            terminal.type("hello\n")
            answer = re.search(r"bot> (.*?)\r", terminal.until("you> "))[1]
            assert answer in POOL
            terminal.type("\x04")
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            os.close(master)


def _take_the_terminal():
    """Makes standard input the terminal of a new session, whose Ctrl-C is not ignored."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Terminal:
    """The other side of a pseudo-terminal."""

    def __init__(self, master):
        self._master, self._unread = master, ""

    def type(self, text):
        os.write(self._master, text.encode())

    def until(self, text, seconds=240):
        """What is shown up to a text, which has to come."""
        deadline = time.monotonic() + seconds
        while text not in self._unread:
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"no {text!r} came after {self._unread!r}"
            self._unread += os.read(self._master, 4096).decode("utf-8", "replace")
        shown, _, self._unread = self._unread.partition(text)
        return shown
