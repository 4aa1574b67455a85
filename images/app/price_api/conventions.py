"""What HTTP clients take for granted of every path. Pure ASGI, outside of the access control."""

from __future__ import annotations

import re
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from price_api.settings import Settings

REQUEST_ID = "X-Request-ID"
# Smaller answers gain nothing; the lowest level costs a tenth of the highest for nearly the same size.
_COMPRESS_FROM_BYTES, _COMPRESS_LEVEL = 1_000, 1
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# W3C Trace Context: version, trace id, parent id, flags.
_TRACE_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SENT = (
    "Authorization",
    "X-API-Key",
    "X-Sticky-Key",
    "Content-Type",
    "If-None-Match",
    REQUEST_ID,
    "traceparent",
)
_READ = (
    REQUEST_ID, "ETag", "Link", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
    "RateLimit-Policy", "Content-Disposition",
)  # fmt: skip


def with_conventions(app: ASGIApp, settings: Settings) -> ASGIApp:
    """`app` with request ids, CORS where a setting names origins, compressed answers, and plain paths."""
    app = GZipMiddleware(app, _COMPRESS_FROM_BYTES, _COMPRESS_LEVEL)
    if settings.origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.origins,
            allow_methods=("GET", "HEAD", "POST", "DELETE", "OPTIONS"),
            allow_headers=_SENT,
            expose_headers=_READ,
        )
    app = CorrelationIdMiddleware(app, header_name=REQUEST_ID, validator=_is_request_id)
    return PlainRequests(app)


class PlainRequests:
    """ASGI middleware: HEAD is answered as GET, a slash at the end of a path counts for nothing.

    A request without an id of its own has the trace id of its `traceparent`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        changes: dict[str, Any] = {}
        if scope["method"] == "HEAD":  # the server itself leaves the body out
            changes["method"] = "GET"
        path = scope["path"]
        if path.endswith("/") and len(path) > 1:
            changes["path"] = path.rstrip("/") or "/"
        trace = _trace_id(scope["headers"])
        if trace is not None:
            changes["headers"] = [*scope["headers"], (REQUEST_ID.lower().encode(), trace)]
        await self._app({**scope, **changes} if changes else scope, receive, send)


def _trace_id(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    found = None
    for name, value in headers:
        if name == b"x-request-id":
            return None
        if name == b"traceparent" and (match := _TRACE_PARENT.fullmatch(value)):
            found = match[1]
    return found


def _is_request_id(text: str) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None
