"""Measures a search: `python benchmarks/retrieval.py --run RUN --encoder FAST_RUN --prepared DIR`.

Makes a pool of all candidates of a prepared folder, filled up to `--replies` with sentences that
join halves of two of them, and searches it for test turns. Measures how often the gold reply is
found, by each retriever and by both; how often it comes first in the first 300 turns, with the run
and without; the time of each stage; and the build. The yardstick is faiss' exact search of the same
vectors. The vectors are in Milvus Lite, or on the server `--uri`, whose memory counts if `--server`
is its process. Prints tables in Markdown, and writes all figures as JSON, in seconds and bytes.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

# A script finds modules only next to itself.
sys.path.insert(0, str(Path(__file__).absolute().parents[1]))

import faiss
import numpy as np

from benchmarks.child import SEED, platform_figures
from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.data.dataset import SPLITS, PreparedData
from dim_tf.errors import DimError
from dim_tf.io import atomic
from dim_tf.retrieval.replies import text_id
from dim_tf.retrieval.searcher import Searcher, fuse, lexical_query
from dim_tf.runs.run import Run

FIGURES = Path(__file__).absolute().with_suffix(".json")
DEPTHS = (10, 100, 200)
FIRST_STAGE, NEAREST = 200, 100
# The first turns: those that are replied to, those whose exact neighbours are searched, and those
# that a chat answers.
REPLIED, EXACT, CHAT = 300, 200, 20


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    atomic.check_place(arguments.json)
    data = PreparedData.load(arguments.prepared)
    run = Run.open(arguments.run)
    table = data.table(arguments.split, run.persona, run.version)
    rows = np.random.default_rng(SEED).permutation(len(table))[: arguments.turns]
    turns = [data.texts(table, row) for row in rows]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        source, pool = Path(folder) / "replies.txt", Path(folder) / "pool"
        texts = atomic.read_lines(data.path / "candidates.txt")
        atomic.write_lines(source, filled(texts, arguments.replies))
        figures = {"build": build(source, arguments.encoder, pool, arguments.uri)}
        figures["build"]["server"] = _memory(arguments.server, "VmHWM")
        with Searcher.open(pool, arguments.run) as searcher:
            figures |= {"replies": len(searcher), **_searched(searcher, turns)}
        memory = chat_memory(arguments.run, pool, turns[:CHAT])
        figures["chat"] = {"memory": memory, "server": _memory(arguments.server, "VmRSS")}
    figures |= {"run": run.path.name, "encoder": Path(arguments.encoder).name}
    figures |= platform_figures()
    atomic.write_json(arguments.json, figures)
    print(markdown(figures))
    print(f"figures: {arguments.json}")
    return None


def filled(texts: list[str], count: int) -> Iterator[str]:
    """The texts, then distinct joints of their halves, `count` in all or more."""
    yield from texts
    known, rng = set(texts), np.random.default_rng(SEED)
    words = [text.split() for text in texts]
    while len(known) < count:
        one, other = (words[place] for place in rng.integers(len(words), size=2))
        text = " ".join(one[: (len(one) + 1) // 2] + other[len(other) // 2 :])
        if text not in known:
            known.add(text)
            yield text


def build(source: Path, encoder: str, pool: Path, uri: str | None) -> dict[str, float]:
    """Makes the pool in a fresh process: seconds, and bytes of disk and of peak memory."""
    command = ["dim_tf.index", "--pool", str(source), "--run", encoder, "--out", str(pool)]
    began = time.perf_counter()
    memory = _peak_of([*command, *(["--uri", uri] if uri else [])])
    return {
        "seconds": time.perf_counter() - began,
        "disk": sum(path.stat().st_size for path in pool.rglob("*") if path.is_file()),
        "memory": memory,
    }


def _memory(process: int | None, name: str) -> int:
    """Bytes of a process, as /proc names them; 0 without a process."""
    if process is None:
        return 0
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status)[1])


def chat_memory(run: str, pool: Path, turns: list[dict[str, Any]]) -> int:
    """Bytes of peak memory of a chat, in a fresh process, that answers the last utterances."""
    command = ["dim_tf.chat", "--run", run, "--pool", str(pool)]
    if turns[0]["persona"]:
        persona = pool.with_name("persona.txt")
        atomic.write_lines(persona, turns[0]["persona"])
        command += ["--persona", str(persona)]
    with tempfile.TemporaryFile() as said:
        said.write("".join(f"{turn['context'][-1]}\n" for turn in turns).encode())
        said.seek(0)
        return _peak_of(command, said)


def _peak_of(command: list[str], stdin: BinaryIO | None = None) -> int:
    """Bytes of peak memory of a command of this repository, run to its end."""
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).absolute().parents[1])}
    process = subprocess.Popen([sys.executable, "-m", *command], stdin=stdin, env=here)
    most = 0
    # What it used, as the parent is told at its end, begins with what the parent used.
    while process.poll() is None:
        with contextlib.suppress(OSError, TypeError):  # it ends
            most = max(most, _memory(process.pid, "VmHWM"))
        time.sleep(0.05)
    if process.returncode:
        raise DimError(f"{command[0]} failed with status {process.returncode}")
    return most


def _searched(searcher: Searcher, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """What the turns find, and how fast."""
    clock, found = _Clock(), {"dense": [], "bm25": [], "fused": [], "ranked": []}
    searcher.reply(turns[0]["context"], turns[0]["persona"])  # compiles
    for number, turn in enumerate(turns):
        gold = text_id(turn["candidates"][turn["target"]])
        asked = turn["context"], turn["persona"]
        retrieved = clock("first stage", searcher.retrieve, *asked, FIRST_STAGE)
        lists = {name: [each for each, _ in hits] for name, hits in retrieved.items()}
        lists["fused"] = list(fuse(retrieved, FIRST_STAGE))
        if number < REPLIED:
            rows = clock("reply", searcher.reply, *asked, None, FIRST_STAGE)
            lists["ranked"] = [row["id"] for row in rows]
        for name, ids in lists.items():
            found[name].append(ids.index(gold) + 1 if gold in ids else np.inf)
    nearest = _compare_with_exact(searcher, turns[:EXACT], clock)
    ranks = {name: np.array(each, float) for name, each in found.items()}
    replied = {name: ranks[name][:REPLIED] for name in ("fused", "ranked")}
    return {
        "turns": len(turns),
        "recall": {
            name: {str(depth): float((ranks[name] <= depth).mean()) for depth in DEPTHS}
            for name in ("dense", "bm25", "fused")
        },
        "end": {
            name: {
                "hits@1": float((each == 1).mean()),
                "MRR@10": float(np.where(each <= 10, 1 / each, 0).mean()),
            }
            for name, each in replied.items()
        },
        "nearest": nearest,
        "seconds": clock.percentiles(),
    }


def _compare_with_exact(searcher: Searcher, turns: list[dict[str, Any]], clock: _Clock) -> float:
    """Times each retriever and faiss' exact search; the part of its neighbours that is found."""
    pool, manifest = searcher.pool, searcher.pool.manifest
    ids, exact = [], faiss.IndexFlatIP(manifest.vector_size)
    for row in pool.vectors.rows("id", "vector"):
        ids.append(row["id"])
        exact.add(np.array([row["vector"]], "float32"))
    shared = []
    for turn in turns:
        asked = turn["context"], turn["persona"]
        query = clock("encode the query", searcher.encoder.encode_query, *asked)
        width = manifest.index_type, manifest.search_width
        dense = clock("dense", pool.vectors.search, query, FIRST_STAGE, *width)
        clock("bm25", pool.lexical.search, lexical_query(*asked), FIRST_STAGE)
        _, places = clock("exact", exact.search, query[None], FIRST_STAGE)
        nearest = {ids[place] for place in places[0][:NEAREST] if place >= 0}
        shared.append(len(nearest & {each for each, _ in dense[:NEAREST]}) / len(nearest))
    return float(np.mean(shared))


class _Clock:
    """The times of calls, by name."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def __call__(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = call(*arguments)
        self._seconds.setdefault(name, []).append(time.perf_counter() - began)
        return result

    def percentiles(self) -> dict[str, dict[str, float]]:
        """p50 and p95 of each."""
        return {
            name: dict(zip(("p50", "p95"), np.percentile(each, [50, 95]).tolist(), strict=True))
            for name, each in self._seconds.items()
        }


def markdown(figures: dict[str, Any]) -> str:
    """The tables that are printed."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    build = figures["build"]
    lines = [
        f"{figures['device']}, {figures['cores']} cores, {versions}; {figures['replies']:,} "
        f"replies, encoder {figures['encoder']}; {figures['turns']:,} turns, run {figures['run']}",
        "",
        "| gold reply | " + " | ".join(f"in the first {depth}" for depth in DEPTHS) + " |",
        "| --- |" + " ---: |" * len(DEPTHS),
    ]
    for name, recall in figures["recall"].items():
        lines.append(f"| {name} | {' | '.join(f'{each:.3f}' for each in recall.values())} |")
    lines += ["", f"| first {REPLIED} turns | hits@1 | MRR@10 |", "| --- | ---: | ---: |"]
    for name, end in figures["end"].items():
        lines.append(f"| {name} | {end['hits@1']:.3f} | {end['MRR@10']:.3f} |")
    lines += ["", "| time of | p50 (ms) | p95 (ms) |", "| --- | ---: | ---: |"]
    for name, times in figures["seconds"].items():
        lines.append(f"| {name} | {1000 * times['p50']:.1f} | {1000 * times['p95']:.1f} |")
    lines += [
        "",
        f"dense finds {figures['nearest']:.3f} of the {NEAREST} nearest; built in "
        f"{build['seconds']:.0f} s, {build['disk'] / 1e9:.2f} GB on disk; memory: "
        + "; ".join(
            f"{used['memory'] / 1e9:.2f} GB to {name}"
            + (f" and {used['server'] / 1e9:.2f} of the server" if used["server"] else "")
            for name, used in (("build", build), ("chat", figures["chat"]))
        ),
    ]
    return "\n".join(lines)


def _parser() -> Parser:
    parser = Parser(prog="python benchmarks/retrieval.py", description=__doc__)
    parser.add_argument("--run", required=True, help="the run that ranks")
    parser.add_argument("--encoder", required=True, help="the run that encodes replies")
    parser.add_argument(
        "--prepared", required=True, help="the prepared folder of turns and replies"
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="where turns are from")
    parser.add_argument("--turns", type=positive, default=1000, help="how many are searched for")
    parser.add_argument("--replies", type=positive, default=1, help="fill the pool up to so many")
    parser.add_argument("--uri", help="the Milvus server; without it, Milvus Lite")
    parser.add_argument("--server", type=positive, metavar="PID", help="the server's process")
    parser.add_argument("--json", default=str(FIGURES), help="where the figures go")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
