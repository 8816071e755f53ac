"""`python -m dim_tf.serve`: options, worker processes, and how they end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dim_tf import serve
from dim_tf.cli import parser
from dim_tf.errors import CheckpointError
from dim_tf.ranking.ranker import Ranker
from tests.tiny_run import SHORT, saved, tiny_run

ROOT = Path(__file__).parents[2]
WORKERS = 2
BODY = b'{"context": ["i like dogs"], "candidates": ["tea"]}'


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--token", "sésame"], "ASCII"),
        (["--host", "192.0.2.1", "--token", "t"], "--host 192.0.2.1 --port 8000"),
        (["--host", "a..b", "--token", "t"], "--host a..b"),
        (["--port", "65536"], "65,535"),
        (["--workers", "0"], "--workers"),
        (["--run", "no such run"], "no such run"),
        (["--pool", "no such pool"], "no such pool"),
    ],
)
def test_options_that_are_refused(options, named, capsys, monkeypatch):
    monkeypatch.delenv(serve.TOKEN, raising=False)
    run = [] if "--run" in options else ["--run", "personachat"]
    assert parser.run(serve.main, [*run, *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and named in line


def test_what_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "dim_tf.service.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert parser.run(serve.main, ["--run", "RUN"]) == 2
    assert re.match(r"error: .*uvicorn.*'\.\[serve\]'\n$", capsys.readouterr().err)


@pytest.mark.parametrize("others_started", [False, True])
def test_a_worker_that_cannot_start_says_why(others_started, tmp_path, monkeypatch, capsys):
    from dim_tf.service import server

    def fail(run):
        raise CheckpointError(f"{run}: damaged")

    monkeypatch.setattr(Ranker, "load", fail)
    monkeypatch.setattr(server, "RETRY_S", 0)
    monkeypatch.setenv(server.metrics.FOLDER, str(tmp_path))
    if others_started:
        (tmp_path / "started").touch()
    with pytest.raises(SystemExit) as ended:
        server.load_app("RUN", None, "", 1, 1)
    # With this status uvicorn gives up; after any other it starts a new worker.
    assert (ended.value.code == server.STARTUP_FAILURE) != others_started
    assert capsys.readouterr().err == "error: RUN: damaged\n"


@pytest.mark.parametrize("nohup", [False, True])
def test_the_end_of_the_terminal_ends_the_service_unless_it_is_ignored(nohup):
    import uvicorn
    from uvicorn.supervisors.multiprocess import SIGNALS

    from dim_tf.service import server

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
        supervisor = server._Supervisor(uvicorn.Config("app"), [])
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTTIN)
        supervisor.handle_signals()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert supervisor.should_exit.is_set() is not nohup
    assert supervisor.processes == []


def test_workers_share_the_work_and_end_in_peace(tmp_path):
    """Metrics add up, the client of the docs works, SIGTERM loses nothing, no text is logged."""
    run = saved(tiny_run(tmp_path / "run", **SHORT))
    options = ["--run", run.path, "--port", "0", "--workers", WORKERS]
    command = [sys.executable, "-m", "dim_tf.serve", *map(str, options)]
    environment = {**os.environ, serve.TOKEN: "secret"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    with process, ThreadPoolExecutor(16) as threads:
        try:
            address = re.search(r"http\S+(?=/,)", process.stderr.readline())[0]
            log = [process.stderr.readline() for _ in range(WORKERS)]
            assert all(re.search(r"worker \d+ is ready", line) for line in log), log
            names = {}
            [client] = re.findall("```py\n(.*?)```", (ROOT / "docs/service.md").read_text(), re.S)
            exec(client, names)

            def rank(number):
                context = ["i like dogs"] * (number % 3)
                return names["rank"](context, [], ["tea", "dogs"], address, "secret")

            answers = list(threads.map(rank, range(40)))
            assert all({row["candidate"] for row in rows} == {"tea", "dogs"} for rows in answers)
            metrics = urllib.request.Request(
                f"{address}/metrics", headers={"Authorization": "Bearer secret"}
            )
            counted, found = 'dim_tf_requests_total{path="/rank",status="200"} 40.0', ""
            until = time.monotonic() + 30  # a request is counted after its answer is sent
            while counted not in found and time.monotonic() < until:
                found = urllib.request.urlopen(metrics).read().decode()
            assert counted in found
            assert "dim_tf_waiting_requests 0.0" in found
            accepted = [accepted_request(address) for _ in range(4)]
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionError):
                while process.poll() is None:
                    connect(address).close()
            for connection in accepted:
                connection.sendall(BODY)
            for connection in accepted:
                assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
                connection.close()
            assert process.wait(60) == 0
            log += process.stderr.readlines()
        finally:
            process.kill()
    assert len([line for line in log if re.search(r"/rank 200 \d+ ms", line)]) == 44
    assert not re.search("tea|dogs|secret", "".join(log))


def connect(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def accepted_request(address):
    """A connection whose request the service has begun to read; `BODY` is missing."""
    connection = connect(address)
    connection.sendall(
        b"POST /rank HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
        b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\n\r\n" % len(BODY)
    )
    assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
    return connection
