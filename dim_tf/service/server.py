"""Worker processes, each with its own model, behind one address."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from dim_tf.cli.parser import print_warnings
from dim_tf.errors import DimError, UsageError
from dim_tf.retrieval.pool_folder import Manifest
from dim_tf.runs.run import Run
from dim_tf.service import metrics
from dim_tf.service.guard import LOG, Guard

# Importing TensorFlow may keep a worker from answering its supervisor for so long.
STARTING_S = 120
# After a worker could not be replaced, since Milvus restarts, say.
RETRY_S = 5


def serve(
    run: str,
    pool: str | None,
    host: str,
    port: int,
    workers: int,
    token: str,
    queue: int,
    time_limit: int,
) -> int:
    """Serves a run until SIGTERM or SIGINT; what was accepted by then is answered.

    A worker that dies is replaced.

    Args:
        run: str. The run folder or pretrained model that ranks.
        pool: str. The pool folder to reply from; None for none.
        host: str. The address to listen at.
        port: int. Its port; 0 for a free one.
        workers: int. The number of processes.
        token, queue, time_limit: As of `create_app`.

    Returns:
        The exit status: 0, or 2 if no worker could start; one that cannot later on is tried again.

    Raises:
        CheckpointError: `run` is no run folder.
        DataError: `pool` is no pool folder.
        UsageError: The address cannot be used; or several workers, and a pool for one process.
    """
    Run.open(run)
    if pool and not Manifest.read(Path(pool)).uri and workers > 1:
        raise UsageError(
            f"--workers {workers}: {pool} is a pool in a file, for one worker; make it on a Milvus "
            "server with python -m dim_tf.index --uri http://HOST:19530"
        )
    listener = _bind(host, port)
    _start_log()
    with tempfile.TemporaryDirectory(prefix="dim_tf-metrics-") as folder, _locked(folder):
        os.environ[metrics.FOLDER] = folder
        config = uvicorn.Config(
            functools.partial(load_app, run, pool, token, queue, time_limit),
            factory=True,
            workers=workers,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=time_limit + 5,
            timeout_worker_healthcheck=STARTING_S,
        )
        address, port = listener.getsockname()[:2]
        address = f"[{address}]" if ":" in address else address
        LOG.info("http://%s:%d/, ready when a worker is", address, port)
        supervisor = _Supervisor(config, [listener])
        supervisor.run()
    failed = any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes)
    return 2 if failed else 0


class _Supervisor(Multiprocess):
    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # nohup
        super().__init__(config, sockets)

    def handle_hup(self) -> None:
        """Ends the service when its terminal is closed; uvicorn would restart the workers."""
        if not self._outlives_terminal:
            self.handle_term()

    def handle_ttin(self) -> None:
        """Adds no worker: only one can open a pool in a file."""

    def handle_ttou(self) -> None:
        """Ends no worker."""

    def terminate_all(self) -> None:
        """Ends the workers; whoever connects from now on is refused, and does not wait in vain."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def load_app(run: str, pool: str | None, token: str, queue: int, time_limit: int) -> Guard:
    """Loads a run in a worker, and compiles what its first requests would wait for."""
    from dim_tf.ranking.ranker import Ranker
    from dim_tf.retrieval.searcher import Searcher
    from dim_tf.service.app import create_app

    _start_log()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # that is for the supervisor
    started = Path(os.environ[metrics.FOLDER]) / "started"
    try:
        with print_warnings():
            searcher = Searcher.open(pool, run) if pool else None
            ranker = searcher.ranker if searcher else Ranker.load(run)
        if searcher:
            searcher.reply(["hello"])
        ranker.rank(["hello"], [], ["hello"])
        ranker.explain(["hello"], [], "hello")
    except Exception as error:
        if not isinstance(error, DimError | OSError):
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        if not started.exists():
            sys.exit(STARTUP_FAILURE)  # another worker would fail as well
        time.sleep(RETRY_S)
        sys.exit(1)  # the supervisor starts another one
    started.touch()
    return create_app(ranker, token, queue, time_limit, searcher)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Locks a temporary folder, so that no cleaner of old files empties it after days."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _start_log() -> None:
    logging.basicConfig(format="%(asctime)s %(message)s")
    LOG.setLevel(logging.INFO)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that a worker will listen on once it is ready."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:  # a host name may have no encoding
        reason = getattr(error, "strerror", "no host name")
        raise UsageError(f"--host {host} --port {port}: {reason}") from None
    return listener
