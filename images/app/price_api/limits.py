"""The door to /v1: who may come in, how often, and with how large a body. Pure ASGI, for speed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from price_api.metrics import Metrics
from price_api.problems import Refusal
from price_api.settings import Settings

if TYPE_CHECKING:
    from price_api.api_keys import ApiKeys

log = logging.getLogger(__name__)

BODY_SECONDS = 30.0
BATCH = "/v1/predict/batch"
LARGEST_SINGLE = 64 * 1024
LONGEST_QUERY = 16 * 1024
_REMEMBERED_CLIENTS = 10_000
_REMEMBERED_KEYS = 1_000
_KEY_SECONDS = 2.0
_DISCARD_BYTES = 16 * 1024 * 1024
_DISCARD_SECONDS = 2.0


class TokenBuckets:
    """A token bucket for each client: `rate` tokens a second, at most `burst` of them.

    The clients not seen for longest are forgotten first, so memory stays bounded.
    """

    def __init__(self, rate: float, burst: float, most: int = _REMEMBERED_CLIENTS) -> None:
        self.rate = rate
        self.burst = burst
        self.most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Takes a token of `client`; returns 0, or the seconds until there is one."""
        tokens, at = self._buckets.pop(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - at) * self.rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self.most:
            self._buckets.popitem(last=False)
        return wait


class Door:
    """ASGI middleware: keys, rates, body sizes and counts, before the application sees a request."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: ApiKeys | None, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._buckets = TokenBuckets(settings.requests_per_second, settings.burst)
        self._known: OrderedDict[bytes, tuple[float, str, str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = await self._refusal(scope)
            # Nothing outside /v1/ takes a body: there it is not waited for.
            if refusal is None and _is_of_v1(scope) and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                receive, refusal = await self._with_body(scope, receive)
            if refusal is None:
                await self._app(scope, receive, counting)
            elif refusal.status == 413:
                await _refuse_and_discard(refusal, receive, counting)
            else:
                await refusal.response()(scope, receive, counting)
        finally:
            route = scope.get("route")
            self._metrics.count_request(getattr(route, "path", "other"), status)

    async def _refusal(self, scope: Scope) -> Refusal | None:
        if not _is_of_v1(scope):
            return None
        if len(scope["query_string"]) > LONGEST_QUERY:
            return Refusal(
                414,
                f"a query of at most {LONGEST_QUERY:,} bytes was expected, found "
                f"{len(scope['query_string']):,}; send less of it",
            )
        client = scope.get("client")
        caller = f"address {client[0] if client else 'unknown'}"
        denied: Refusal | None = None
        if self._keys is not None:
            denied, name = await self._checked(self._keys, scope["headers"])
            caller = caller if denied else f"key {name}"
        wait = self._buckets.take(caller, time.monotonic())
        if wait:
            return Refusal(
                429,
                f"at most {self._settings.requests_per_second:g} requests a second were expected, found "
                f"more; send the request again in {math.ceil(wait)} s",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        return denied

    async def _checked(self, keys: ApiKeys, headers: list[tuple[bytes, bytes]]) -> tuple[Refusal | None, str]:
        """Why the caller may not come in, or None, and the name of the key."""
        plain = _key_in(headers)
        if not plain:
            return _unauthorised("an API key was expected, found none"), ""
        digest = hashlib.sha256(plain).digest()
        until, state, name = self._known.get(digest, (0.0, "", ""))
        now = time.monotonic()
        if until < now:
            # The keys' database may be slow or away: nobody else waits for it.
            found = await asyncio.get_running_loop().run_in_executor(
                None, keys.check, plain.decode("utf-8", "replace")
            )
            if found.state == "unavailable":
                sentence = "the API keys can't be read just now; try again in a moment"
                return Refusal(503, sentence, headers={"Retry-After": "2"}, cause="keys-away"), ""
            state, name = found.state, found.name or ""
            self._known[digest] = (now + _KEY_SECONDS, state, name)
            self._known.move_to_end(digest)
            if len(self._known) > _REMEMBERED_KEYS:
                self._known.popitem(last=False)
        if state == "ok":
            return None, name
        if state == "revoked":
            return Refusal(
                403,
                "an API key that is in force was expected, found a revoked one; "
                "ask for another (`python -m price_api keys create NAME`)",
            ), name
        return _unauthorised("a known API key was expected, found another"), ""

    async def _with_body(self, scope: Scope, receive: Receive) -> tuple[Receive, Refusal | None]:
        """The body read whole, as a `receive` that gives it again, unless it is too large or too slow."""
        most = self._settings.max_body_bytes
        if scope["path"] != BATCH:
            most = min(most, LARGEST_SINGLE)
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and (len(value) > 15 or int(value) > most):
                return receive, _too_large(most, f"{int(value[:15]):,}" if len(value) <= 15 else "more")
        parts: list[bytes] = []
        size = 0
        more = True
        deadline = time.monotonic() + BODY_SECONDS
        while more:
            message = await _within(deadline, receive)
            if message is None:
                return receive, Refusal(
                    408,
                    f"the whole body was expected within {BODY_SECONDS:g} s, found {size:,} bytes; "
                    "send it again",
                    headers={"Connection": "close"},
                )
            if message["type"] == "http.disconnect":
                return _once(message, receive), None
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                return receive, _too_large(most, "more")
            parts.append(part)
            more = message.get("more_body", False)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return _once({"type": "http.request", "body": body, "more_body": False}, receive), None


def _is_of_v1(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/v1/"))


def _once(message: Message, receive: Receive) -> Receive:
    given: list[Message] = [message]

    async def again() -> Message:
        return given.pop() if given else await receive()

    return again


async def _within(deadline: float, receive: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
            return await receive()
    except TimeoutError:
        return None


async def _refuse_and_discard(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Answer at once and close. What still arrives in a moment is thrown away: a client that is busy
    sending would otherwise find its connection reset before it has read why."""
    response = refusal.response()
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    deadline = time.monotonic() + _DISCARD_SECONDS
    discarded = 0
    while discarded < _DISCARD_BYTES:
        message = await _within(deadline, receive)
        if message is None or message["type"] == "http.disconnect":
            break
        discarded += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _key_in(headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            return value.strip()
    return b""


def _unauthorised(what: str) -> Refusal:
    return Refusal(
        401,
        f"{what}; send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _too_large(most: int, found: str) -> Refusal:
    return Refusal(
        413,
        f"a body of at most {most:,} bytes was expected, found {found}; send fewer listings at a time, "
        f"and several only to {BATCH}",
        headers={"Connection": "close"},
    )
