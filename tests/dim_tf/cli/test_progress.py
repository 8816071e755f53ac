"""What long work says of itself."""

import io

import pytest

from dim_tf.cli import progress
from dim_tf.cli.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_has_a_plain_line_now_and_then(clock, capsys):
    with Progress("training", 5_000, "turns", start=1_000) as shown:
        for _ in range(4):
            clock.now += 10
            shown.advance(160, "loss 2.9")
        shown.say("a line")
    assert capsys.readouterr().err.splitlines() == [
        # 480 turns in 30 seconds, and 3,520 to go.
        "training: 1,480 of 5,000 turns, 16.0/s, 3.7 min left  loss 2.9",
        "a line",
    ]


def test_without_an_end_there_is_no_time_left(clock, capsys):
    with Progress("ranking", None, "turns") as shown:
        clock.now += 40
        shown.advance(10)
    assert capsys.readouterr().err == "ranking: 10 turns, 0.2/s\n"


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
