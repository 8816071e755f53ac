"""What holds for every request: limits of time and size, headers, metrics and the log."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dim_tf.service import metrics
from dim_tf.service.schemas import MAX_BYTES

LOG = logging.getLogger("dim_tf.service")
# What needs no token: the page, the description of the routes, and what they load.
OPEN = re.compile(r"/|/healthz|/readyz|/openapi\.json|/docs.*|/static.*")
QUIET = ("/healthz", "/readyz", "/metrics")
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
CONTENT = (
    "default-src 'none'; script-src 'self'{inline}; style-src 'self'{inline}; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def problem(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as one line of JSON; after a 503 the client may try again."""
    if status == 503:
        headers = {"Retry-After": "1"}
    # Half a surrogate pair, say of the name of an unknown field, has no UTF-8.
    message = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return JSONResponse({"error": message}, status, headers)


class Guard:
    """Refuses requests without the token, too large ones and those that take too long; counts all.

    The log has the route, the status and the time of a request, but nothing that it says.

    Args:
        app: The application.
        time_limit: float. Seconds that a request may take.
        token: str. What clients must send as `Authorization: Bearer ...`; empty for nothing.
    """

    def __init__(self, app: ASGIApp, time_limit: float, token: str = ""):
        self._app, self._time_limit, self._token = app, time_limit, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                inline = " 'unsafe-inline'" if scope["path"].startswith("/docs") else ""
                security = {"Content-Security-Policy": CONTENT.format(inline=inline)}
                MutableHeaders(scope=message).update({**HEADERS, **security})
            await send(message)

        try:
            app, headers = self._app, Headers(scope=scope)
            if not (OPEN.fullmatch(scope["path"]) or self._is_authorised(headers)):
                # Before the body is read.
                challenge = {"WWW-Authenticate": "Bearer"}
                app = problem(401, "a valid token is missing", challenge)
            elif int(headers.get("content-length", 0)) > MAX_BYTES:
                app = problem(413, f"the body is larger than {MAX_BYTES:,} bytes")
            async with asyncio.timeout(self._time_limit):
                await app(scope, receive, send_guarded)
        except TimeoutError:
            if status:
                LOG.error("the time is up in the middle of an answer")
            else:
                late = problem(503, f"no answer within {self._time_limit:g} seconds; try again")
                await late(scope, receive, send_guarded)
        except Exception as error:  # answered with a 500; its message may quote a text
            frames = traceback.extract_tb(error.__traceback__)
            places = ", ".join(f"{each.filename}:{each.lineno}" for each in frames[-5:])
            LOG.error("%s at %s", type(error).__name__, places)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began
            metrics.REQUESTS.labels(path, status).inc()
            metrics.SECONDS.labels(path).observe(seconds)
            if path not in QUIET or status >= 400:
                LOG.info("%s %d %.0f ms", path, status, 1000 * seconds)

    def _is_authorised(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        same = secrets.compare_digest(given.strip().encode("latin-1"), self._token.encode())
        return not self._token or (kind.lower() == "bearer" and same)
