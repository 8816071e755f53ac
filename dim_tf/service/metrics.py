"""Metrics for Prometheus; those of several worker processes add up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Where the workers keep their numbers; it must be set before this module is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

REQUESTS = Counter("dim_tf_requests", "Requests that were answered.", ["path", "status"])
SECONDS = Histogram("dim_tf_request_seconds", "Time of a request.", ["path"])
WAITING = Gauge("dim_tf_waiting_requests", "Requests that wait.", multiprocess_mode="livesum")
BATCH = Histogram(
    "dim_tf_batch_requests", "Requests that were ranked together.", buckets=(1, 2, 4, 8, 16, 32)
)


@contextlib.contextmanager
def worker() -> Iterator[None]:
    """Forgets the requests that wait in this worker when it ends, and in workers that have died."""
    if FOLDER in os.environ:
        for file in Path(os.environ[FOLDER]).glob("gauge_live*.db"):
            process = int(file.stem.rsplit("_", 1)[1])
            if not Path(f"/proc/{process}").exists():
                mark_process_dead(process)
    yield
    if FOLDER in os.environ:
        mark_process_dead(os.getpid())


def text() -> bytes:
    """All metrics in the text format."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return generate_latest(registry)
