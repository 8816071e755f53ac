"""The routes of the service."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException as StarletteHTTPException

from dim_tf.errors import DataError, PoolError, first_problem
from dim_tf.io import templates
from dim_tf.ranking.ranker import Ranker
from dim_tf.retrieval.searcher import Searcher
from dim_tf.service import metrics, schemas
from dim_tf.service.batcher import BUSY, Batcher
from dim_tf.service.guard import LOG, Guard, problem

Answer = TypeVar("Answer")
STATIC = Path(__file__).with_name("static")
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem} for status in (400, 401, 413, 422, 503)
}


def create_app(
    ranker: Ranker,
    token: str = "",
    queue: int = 100,
    time_limit: float = 30,
    searcher: Searcher | None = None,
) -> Guard:
    """The service as an ASGI application.

    Args:
        ranker: Ranker. Ranks and explains.
        token: str. What clients must send as `Authorization: Bearer ...`; empty for nothing.
        queue: int. The number of requests that may wait.
        time_limit: float. Seconds that a request may take.
        searcher: Searcher. Finds replies of a pool, if the service has one.
    """
    batcher = Batcher(ranker, queue)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with metrics.worker():
            async with batcher:
                LOG.info("worker %d is ready", os.getpid())
                yield

    app = FastAPIOffline(
        title="dim_tf",
        version="1",
        redoc_url=None,
        responses=ERRORS,
        lifespan=lifespan,
        max_body_size=schemas.MAX_BYTES,
    )
    app.mount("/static", StaticFiles(directory=STATIC))
    _answer_errors(app)
    # `Guard` checks the token; this tells the readers of /docs.
    protected = APIRouter(dependencies=[Depends(HTTPBearer(auto_error=False))])

    def check(turn: schemas.Turn) -> None:
        found, read = len(turn.persona), ranker.profiles_read
        if found > read:
            raise DataError(f"found {found} profiles, this model reads {read}", field="persona")

    @protected.post("/rank", response_model_exclude_unset=True)
    async def rank(request: schemas.RankRequest, http: Request) -> schemas.Ranking:
        """Ranks candidates by how well they fit the context and the persona."""
        check(request)
        turn = ranker.turn(request.context, request.persona, request.candidates)
        rows = await while_connected(http, batcher.do(turn))
        return schemas.Ranking(ranking=rows[: request.top_k])

    if searcher:

        @protected.post("/reply", response_model_exclude_unset=True)
        async def reply(request: schemas.ReplyRequest, http: Request) -> schemas.Replies:
            """Finds replies of the pool and ranks them."""
            check(request)
            work = functools.partial(searcher.reply, **request.model_dump())
            rows = await while_connected(http, batcher.do(work))
            return schemas.Replies(ranking=rows)

    else:

        @protected.post("/reply", include_in_schema=False)
        async def no_pool() -> None:
            raise HTTPException(404, "this service has no pool; start it with --pool DIR")

    @protected.post("/explain")
    async def explain(request: schemas.ExplainRequest, http: Request) -> schemas.Explanation:
        """Gives the attention weights of a reply."""
        check(request)
        work = functools.partial(
            ranker.explain, request.context, request.persona, request.candidate
        )
        found = await while_connected(http, batcher.do(work))
        return schemas.Explanation.model_validate(found, from_attributes=True)

    @protected.get("/metrics", response_class=Response)
    async def read_metrics() -> Response:
        """Gives the metrics of all workers in the format of Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    page = templates.render(
        __package__,
        "page.html.j2",
        protected=bool(token),
        profiles=ranker.profiles_read,
        limits=schemas,
        pool=searcher and len(searcher),
    )

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def read_page() -> str:
        return page

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        """Tells whether this worker still works."""
        if not batcher.alive:
            raise HTTPException(503, "this worker ranks no more; restart it")
        return {"status": "ok"}

    @app.get("/readyz")
    async def readiness() -> dict[str, str]:
        """Tells whether a request would be accepted now."""
        if batcher.full or not batcher.alive:
            raise HTTPException(503, BUSY)
        return {"status": "ok"}

    app.include_router(protected)
    return Guard(app, time_limit, token)


async def while_connected(http: Request, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """Awaits an answer, and gives it up once its client has gone, so that it waits no longer.

    Raises:
        HTTPException: 499, the client has gone.
    """

    async def gone() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass

    answering, listening = asyncio.ensure_future(answer), asyncio.ensure_future(gone())
    try:
        await asyncio.wait([answering, listening], return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        listening.result()  # raises if listening failed
        raise HTTPException(499, "the client has gone")
    finally:
        answering.cancel()
        listening.cancel()
        await asyncio.gather(answering, listening, return_exceptions=True)


def _answer_errors(app: FastAPI) -> None:
    """Makes each error one line of JSON that shows nothing of the program."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> Response:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes):
            return problem(422, "send JSON with Content-Type: application/json")
        path, message = first_problem(error)
        field = path.removeprefix("body").lstrip(".")
        if path == "body" and message == "missing":
            message = "the body is empty, expected an object"
        is_name = field and not field.startswith("[")  # of text that is no JSON, it is the place
        return problem(422, str(DataError(message, field=field if is_name else None)))

    @app.exception_handler(DataError)
    async def unreadable(request: Request, error: DataError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(PoolError)
    async def unreachable(request: Request, error: PoolError) -> Response:
        LOG.error("Milvus does not answer, or reports an error")
        return problem(503, "the pool cannot be searched now")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return problem(500, "the service failed; its log says where")
