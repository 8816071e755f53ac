"""Requests wait here, and those that arrive together are ranked together."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from fastapi import HTTPException

from dim_tf.ranking.ranker import Ranker
from dim_tf.ranking.turn import CANDIDATES_TOGETHER, TURNS_TOGETHER, Turn
from dim_tf.service import metrics

BUSY = "too many requests wait; try again"


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    work: Turn | Callable[[], Any]
    result: asyncio.Future

    @property
    def size(self) -> int:
        """Its candidates; a call is as large as a whole batch, so it shares none."""
        return CANDIDATES_TOGETHER if callable(self.work) else len(self.work.texts)


class Batcher:
    """Does the work of all requests in one thread, in the order of their arrival.

    Turns that have arrived while the thread was busy become one call of `Ranker.rank_many`. Use it
    as an asynchronous context manager.

    Args:
        ranker: Ranker. Ranks the turns.
        room: int. The number of requests that may wait.
    """

    def __init__(self, ranker: Ranker, room: int):
        self._ranker, self._room = ranker, room
        self._waiting = collections.deque[_Job]()

    async def __aenter__(self) -> Self:
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "ranking")
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error) -> None:
        self._loop.cancel()
        self._thread.shutdown()

    @property
    def alive(self) -> bool:
        """Whether work is still done."""
        return not self._loop.done()

    @property
    def full(self) -> bool:
        """Whether no more requests may wait."""
        return len(self._waiting) >= self._room

    async def do(self, work: Turn | Callable[[], Any]) -> Any:
        """The ranking of a turn, or what a call without arguments returns.

        Raises:
            HTTPException: 503, too many requests wait.
        """
        if self.full:
            raise HTTPException(503, BUSY)
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._changed()
        try:
            return await job.result
        except asyncio.CancelledError:  # the time is up, or the client has gone
            with contextlib.suppress(ValueError):
                self._waiting.remove(job)
            self._changed()
            raise

    def _changed(self) -> None:
        metrics.WAITING.set(len(self._waiting))
        if self._waiting:
            self._arrived.set()
        else:
            self._arrived.clear()

    async def _run(self) -> None:
        running = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            jobs = self._next()
            for job, outcome in await running.run_in_executor(self._thread, self._outcomes, jobs):
                if job.result.done():  # cancelled
                    continue
                if isinstance(outcome, Exception):
                    job.result.set_exception(outcome)
                else:
                    job.result.set_result(outcome)

    def _next(self) -> list[_Job]:
        """Takes the first jobs that make one batch, at least one."""
        jobs = [self._waiting.popleft()]
        size = jobs[0].size
        while self._waiting and len(jobs) < TURNS_TOGETHER:
            size += self._waiting[0].size
            if size > CANDIDATES_TOGETHER:
                break
            jobs.append(self._waiting.popleft())
        self._changed()
        metrics.BATCH.observe(len(jobs))
        return jobs

    def _outcomes(self, jobs: list[_Job]) -> list[tuple[_Job, Any]]:
        """The result of each job, or its error; one that fails does not spoil the others."""
        try:
            if callable(jobs[0].work):
                outcomes = [jobs[0].work()]
            else:
                outcomes = self._ranker.rank_many([job.work for job in jobs])
        except Exception as error:
            if len(jobs) > 1:
                return [pair for job in jobs for pair in self._outcomes([job])]
            outcomes = [error]
        return list(zip(jobs, outcomes, strict=True))
