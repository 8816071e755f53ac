"""Progress bars and log lines."""

import io
import re

from dim_tf.cli import progress
from dim_tf.cli.progress import Progress


def test_a_log_has_a_plain_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    with Progress("training", 5_000, "turns", start=1_000) as shown:
        shown.advance(500, "loss 2.9")
        shown.say("a line")
    row, line = capsys.readouterr().err.splitlines()
    assert re.match(r"training:  30% 1500/5000 \[.* turns/s, loss 2.9\]", row)
    assert line == "a line"


def test_a_log_is_silent_in_between(capsys):
    with Progress("ranking", None, "turns") as shown:
        shown.advance(10)
    assert capsys.readouterr().err == ""


def test_work_goes_on_where_nobody_reads_the_log(monkeypatch):
    written = []

    def write(text):
        written.append(text)
        raise BrokenPipeError

    log = io.StringIO()
    log.write = write
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    monkeypatch.setattr("sys.stderr", log)
    with Progress("training", 50, "turns") as shown:
        shown.advance(25)
        shown.say("a line")
    assert written[0].startswith("training:  50% 25/50") and written[1] == "a line"


def test_a_terminal_has_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("training", 50, "turns") as shown:
        shown.advance(25, "loss 2.9")
        shown.say("a line")
    text = terminal.getvalue()
    assert "training:  50%" in text and "25/50" in text
    assert "a line\n" in text
