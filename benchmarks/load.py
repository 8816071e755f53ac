"""Measures the service under load: `python benchmarks/load.py --run RUN --prepared DIR`.

Starts `dim_tf.serve` on the loopback interface, and then sends turns of up to 20 candidates: from
one client, and from many at once, each sending the next request when the last one is answered.
Every answer is compared with that of `Ranker.rank`. Many small requests (2 candidates) follow,
which show whether memory grows. At last many clients send requests while SIGTERM ends the service.
Prints a table in Markdown, and writes all figures as JSON.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

import numpy as np

from benchmarks.child import platform_figures
from benchmarks.serving import some_turns
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.errors import DimError
from dim_tf.io import atomic
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run

ROOT = Path(__file__).absolute().parents[1]
FIGURES = Path(__file__).absolute().with_suffix(".json")
START_S, TIME_LIMIT_S = 300, 60
TOLERANCE = 1e-4
SMALL = 2  # candidates
# Requests before those whose memory counts, as a share.
SETTLING = 0.1

Turn = dict[str, Any]


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    atomic.check_place(arguments.json)
    run, data = Run.open(arguments.run), PreparedData.load(arguments.prepared)
    run.check_prepared(data)
    table = data.table(arguments.split, run.persona, run.version)
    turns = some_turns(data, table, arguments.turns)
    expected = _expected(arguments.run, turns)
    seconds, clients = arguments.seconds, arguments.clients
    with _service(arguments.run, arguments.workers) as (process, port, workers):
        figures = {
            "one": _load(port, turns, expected, 1, seconds),
            "many": _load(port, turns, expected, clients, seconds),
            "memory": _memory(port, turns, clients, arguments.requests, workers),
            "end": _end(port, turns, clients, process),
        }
    figures |= {"run": run.path.name, "turns": len(turns), "clients": clients}
    figures |= {"seconds": seconds, "workers": arguments.workers, **platform_figures()}
    atomic.write_json(arguments.json, figures)
    print(markdown(figures))
    print(f"figures: {arguments.json}")


def _parser() -> Parser:
    parser = Parser(prog="python benchmarks/load.py", description=__doc__)
    parser.add_argument("--run", required=True, help="the run folder, or a pretrained model's name")
    parser.add_argument("--prepared", required=True, help="its prepared folder")
    parser.add_argument("--split", choices=SPLITS, default="test", help="where turns are from")
    parser.add_argument("--turns", type=positive, default=200, help="how many turns are sent")
    parser.add_argument("--clients", type=positive, default=64, help="clients at once")
    parser.add_argument("--seconds", type=positive, default=60, help="how long they send")
    parser.add_argument("--requests", type=positive, default=10_000, help="small requests")
    parser.add_argument("--workers", type=positive, default=1, help="processes of the service")
    parser.add_argument("--json", default=str(FIGURES), help="where the figures go")
    return parser


def _expected(run: str, turns: list[Turn]) -> list[np.ndarray]:
    """The scores of each turn's candidates, in their given order."""
    ranker = Ranker.load(run)
    return [_scores(ranker.rank(**turn)) for turn in turns]


def _scores(ranking: list[dict[str, Any]]) -> np.ndarray:
    return np.array([row["score"] for row in sorted(ranking, key=lambda row: row["index"])])


@contextlib.contextmanager
def _service(run: str, workers: int) -> Iterator[tuple[subprocess.Popen, int, list[int]]]:
    """The service, its port, and the ids of its worker processes."""
    command = [sys.executable, "-m", "dim_tf.serve", "--run", run, "--port", "0"]
    command += ["--workers", str(workers), "--time-limit", str(TIME_LIMIT_S)]
    with tempfile.NamedTemporaryFile() as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            deadline = time.monotonic() + START_S
            while len(ready := re.findall(rb"worker (\d+) is ready", _read(log.name))) < workers:
                if process.poll() is not None or time.monotonic() > deadline:
                    last = _read(log.name).decode().strip().splitlines()[-1:]
                    raise DimError(f"the service did not start: {' '.join(last)}")
                time.sleep(0.1)
            [port] = re.findall(rb"http://127.0.0.1:(\d+)/", _read(log.name))
            yield process, int(port), list(map(int, ready))
        finally:
            process.terminate()
            process.wait()


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _rank(connection: http.client.HTTPConnection, turn: Turn) -> tuple[int, dict[str, Any]]:
    """The status and the answer."""
    connection.request("POST", "/rank", json.dumps(turn), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def _send(
    port: int, clients: int, turns: list[Turn], going: Callable[[], bool]
) -> list[tuple[int, int, float, dict[str, Any]]]:
    """Sends turns in their order, over and over; of each its index, status, seconds and answer."""
    numbers = itertools.count()

    def client(_: int) -> list[tuple[int, int, float, dict[str, Any]]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * TIME_LIMIT_S)
        found = []
        while going():
            index = next(numbers) % len(turns)
            began = time.perf_counter()
            status, answer = _rank(connection, turns[index])
            found.append((index, status, time.perf_counter() - began, answer))
        connection.close()
        return found

    with ThreadPoolExecutor(clients) as threads:
        return [each for found in threads.map(client, range(clients)) for each in found]


def _load(
    port: int, turns: list[Turn], expected: list[np.ndarray], clients: int, seconds: float
) -> dict[str, Any]:
    """Times and statuses of requests, and how many answers are not those of `Ranker.rank`."""
    began = time.perf_counter()
    found = _send(port, clients, turns, lambda: time.perf_counter() < began + seconds)
    passed = time.perf_counter() - began
    differences = [
        float(np.abs(_scores(answer["ranking"]) - expected[index]).max())
        for index, status, _, answer in found
        if status == 200
    ]
    statuses = dict(Counter(str(status) for _, status, _, _ in found))
    if not differences:
        raise DimError(f"no request was answered; statuses: {_counts(statuses)}")
    taken = [seconds for _, status, seconds, _ in found if status == 200]
    p50, p95 = np.percentile(taken, [50, 95]).tolist()
    return {
        "statuses": statuses,
        "wrong": sum(difference > TOLERANCE for difference in differences),
        "largest_difference": max(differences),
        "p50": p50,
        "p95": p95,
        "requests_per_second": len(differences) / passed,
    }


def _memory(
    port: int, turns: list[Turn], clients: int, requests: int, workers: list[int]
) -> dict[str, Any]:
    """Bytes of the workers after the first requests, and after all."""
    small = [{**turn, "candidates": turn["candidates"][:SMALL]} for turn in turns]

    def send(count: int) -> int:
        left = iter(range(count))
        _send(port, clients, small, lambda: next(left, None) is not None)
        status = [Path(f"/proc/{worker}/status").read_text() for worker in workers]
        return sum(1024 * int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) for text in status)

    settling = max(int(SETTLING * requests), 1)
    before = send(settling)
    return {"requests": requests, "before": before, "after": send(requests - settling)}


def _end(port: int, turns: list[Turn], clients: int, process: subprocess.Popen) -> dict[str, Any]:
    """What becomes of requests that were sent before and after SIGTERM."""
    outcomes: list[tuple[float, str]] = []

    def client(number: int) -> None:
        for index in itertools.count(number):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * TIME_LIMIT_S)
            sent = time.perf_counter()
            try:
                status, _ = _rank(connection, turns[index % len(turns)])
            except (OSError, http.client.HTTPException) as error:
                outcomes.append((sent, type(error).__name__))
                return
            outcomes.append((sent, str(status)))

    with ThreadPoolExecutor(clients) as threads:
        working = [threads.submit(client, number) for number in range(clients)]
        time.sleep(3)
        ended = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        for each in working:
            each.result()
    status = process.wait(2 * TIME_LIMIT_S)
    return {
        "before": dict(Counter(outcome for sent, outcome in outcomes if sent < ended)),
        "after": dict(Counter(outcome for sent, outcome in outcomes if sent >= ended)),
        "status": status,
        "seconds": time.perf_counter() - ended,
    }


def markdown(figures: dict[str, Any]) -> str:
    """The table that is printed."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    memory, end = figures["memory"], figures["end"]
    growth = memory["after"] / memory["before"] - 1
    rows = [
        ("requests/s", lambda load: f"{load['requests_per_second']:.1f}"),
        ("p50 (ms)", lambda load: f"{1000 * load['p50']:.0f}"),
        ("p95 (ms)", lambda load: f"{1000 * load['p95']:.0f}"),
        ("statuses", lambda load: _counts(load["statuses"])),
        ("wrong answers", lambda load: str(load["wrong"])),
        ("largest difference of a score", lambda load: f"{load['largest_difference']:.1e}"),
    ]
    loads = [figures["one"], figures["many"]]
    lines = [
        f"{figures['device']}, {figures['cores']} cores, {versions}; run: {figures['run']}, "
        f"{figures['turns']} turns, workers: {figures['workers']}, {figures['seconds']} s each",
        "",
        f"| | 1 client | {figures['clients']} clients |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {' | '.join(map(shown, loads))} |" for name, shown in rows),
        "",
        f"Memory of the workers after {SETTLING:.0%} of {memory['requests']:,} small requests: "
        f"{memory['before'] / 1e6:.0f} MB; after all: {memory['after'] / 1e6:.0f} MB "
        f"({growth:+.1%}).",
        f"SIGTERM under load: sent before, {_counts(end['before'])}; sent after, "
        f"{_counts(end['after'])}; ended after {end['seconds']:.1f} s with status {end['status']}.",
    ]
    return "\n".join(lines)


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(found.items())) or "none"


if __name__ == "__main__":
    sys.exit(run_command(main))
