"""Access to /v1: API key, rate limit and size of the body. Pure ASGI, because each request passes it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from price_api.metrics import Metrics
from price_api.problems import Refusal
from price_api.rate_limit import TokenBuckets
from price_api.request_body import refuse_and_discard, whole_body
from price_api.settings import Settings

if TYPE_CHECKING:
    from price_api.api_keys import ApiKeys

log = logging.getLogger(__name__)

BATCH = "/v1/predict/batch"
# Readers of feeds send no key; the secret in the path is as good as one.
FEED = re.compile(r"/v1/watches/[^/]+/feed/?")
LARGEST_SINGLE = 64 * 1024
LONGEST_QUERY = 16 * 1024
_REMEMBERED_KEYS = 1_000
_KEY_SECONDS = 2.0


class AccessMiddleware:
    """ASGI middleware: checks key, rate and body size, and counts, before the application sees a request."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: ApiKeys, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._asks_for_keys = settings.asks_for_keys
        self._buckets = TokenBuckets(settings.requests_per_second, settings.burst)
        self._limits = [
            (b"ratelimit-limit", b"%d" % settings.burst),
            (
                b"ratelimit-policy",
                b"%d;w=%d" % (settings.burst, math.ceil(settings.burst / settings.requests_per_second)),
            ),
        ]
        # SHA-256 of a key -> moment until which the answer counts, its state, its name
        self._known_keys: OrderedDict[bytes, tuple[float, str, str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        of_v1 = _is_of_v1(scope)

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if of_v1:
                    message["headers"] = [*message.get("headers", ()), *self._headers(scope)]
            await send(message)

        try:
            refusal = await self._refusal(scope)
            # Only paths under /v1/ take a body; elsewhere the service does not wait for one.
            if refusal is None and of_v1 and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                most = self._settings.max_body_bytes
                if scope["path"] != BATCH:
                    most = min(most, LARGEST_SINGLE)
                receive, refusal = await whole_body(scope, receive, most)
            if refusal is None:
                await self._app(scope, receive, counting)
            elif refusal.status == 413:
                await refuse_and_discard(refusal.response(_language(scope)), receive, counting)
            else:
                await refusal.response(_language(scope))(scope, receive, counting)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.count_request(path, status)
            if of_v1 and status >= 400:
                log.info("%s %s was answered with status %d", scope["method"], path, status)

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers that tell the caller how much of its rate is left."""
        left = self._buckets.left(scope["state"]["caller"]) if "caller" in scope.get("state", ()) else 0.0
        full = math.ceil((self._buckets.burst - left) / self._buckets.rate)
        return [
            *self._limits,
            (b"ratelimit-remaining", b"%d" % max(0, math.floor(left))),
            (b"ratelimit-reset", b"%d" % full),
        ]

    async def _refusal(self, scope: Scope) -> Refusal | None:
        if not _is_of_v1(scope):
            return None
        query_bytes = len(scope["query_string"])
        if query_bytes > LONGEST_QUERY:
            return Refusal("query-too-long", {"most_bytes": LONGEST_QUERY, "found_bytes": query_bytes})
        client = scope.get("client")
        caller = f"address {client[0] if client else 'unknown'}"
        denied: Refusal | None = None
        key = _key_in(scope["headers"])
        name = ""
        # A browser's question before its request has no key.
        asks = self._asks_for_keys and not _is_feed(scope)
        if (key or asks) and scope["method"] != "OPTIONS":
            denied, name = await self._checked(key)
            if name and not denied:
                caller = f"key {name}"
        state = scope.setdefault("state", {})
        state["caller"], state["key_name"] = caller, name or None
        wait = self._buckets.take(caller, time.monotonic())
        if wait:
            seconds = math.ceil(wait)
            params = {"requests_per_second": self._settings.requests_per_second, "wait_seconds": seconds}
            return Refusal("too-many-requests", params, headers={"Retry-After": str(seconds)})
        return denied

    async def _checked(self, plain: bytes) -> tuple[Refusal | None, str]:
        """Why the caller's key does not open the API, or None, and the name of the key."""
        if not plain:
            return Refusal("key-missing", headers={"WWW-Authenticate": "Bearer"}), ""
        digest = hashlib.sha256(plain).digest()
        until, state, name = self._known_keys.get(digest, (0.0, "", ""))
        now = time.monotonic()
        if until < now:
            # The database of the keys may be slow or away; other requests do not wait for it.
            found = await asyncio.get_running_loop().run_in_executor(
                None, self._keys.check, plain.decode("utf-8", "replace")
            )
            if found.state == "unavailable":
                if not self._asks_for_keys:
                    return None, ""
                return Refusal("keys-away", headers={"Retry-After": "2"}), ""
            state, name = found.state, found.name or ""
            self._known_keys[digest] = (now + _KEY_SECONDS, state, name)
            self._known_keys.move_to_end(digest)
            if len(self._known_keys) > _REMEMBERED_KEYS:
                self._known_keys.popitem(last=False)
        if state == "ok":
            return None, name
        if state == "revoked":
            return Refusal("key-revoked"), name
        if not self._asks_for_keys:
            return Refusal("key-unneeded"), ""
        return Refusal("key-unknown", headers={"WWW-Authenticate": "Bearer"}), ""


def _is_of_v1(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/v1/"))


def _is_feed(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD") and FEED.fullmatch(scope["path"]) is not None


def _language(scope: Scope) -> str:
    """The header `Accept-Language` of a request; "" where there is none."""
    return Headers(scope=scope).get("accept-language", "")


def _key_in(headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            return value.strip()
    return b""
