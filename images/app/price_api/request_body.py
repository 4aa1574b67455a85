"""Reads a body that may be too large or too slow, and refuses it so that the client learns why."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from carprice.listings.records import shown
from price_api.problems import Refusal

BODY_SECONDS = 30.0
_DISCARD_BYTES = 16 * 1024 * 1024
_DISCARD_SECONDS = 2.0
_GZIP = {"gzip", "x-gzip"}
_KNOWN_ENCODINGS = {"", "identity", *_GZIP}


async def whole_body(scope: Scope, receive: Receive, most_bytes: int) -> tuple[Receive, Refusal | None]:
    """Read the whole body: a `receive` that gives it again, and a refusal if it is too large or too slow."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 15 or int(value) > most_bytes):
            return receive, _too_large(most_bytes, int(value) if len(value) <= 15 else None)
    encoding = _encoding(scope["headers"])
    if encoding not in _KNOWN_ENCODINGS:
        wanted = {"expected": "gzip", "found": shown(encoding)}
        return receive, Refusal("unsupported-encoding", wanted, headers={"Accept-Encoding": "gzip"})
    parts: list[bytes] = []
    size = 0
    more = True
    deadline = time.monotonic() + BODY_SECONDS
    while more:
        message = await _within(deadline, receive)
        if message is None:
            params = {"most_seconds": BODY_SECONDS, "found_bytes": size}
            return receive, Refusal("body-too-slow", params, headers={"Connection": "close"})
        if message["type"] == "http.disconnect":
            return _once(message, receive), None
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            return receive, _too_large(most_bytes, None)
        parts.append(part)
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if encoding in _GZIP:
        unpack = asyncio.get_running_loop().run_in_executor(None, unpacked, body, most_bytes)
        try:
            body = await unpack
        except zlib.error:
            return receive, Refusal("invalid-gzip")
        if len(body) > most_bytes:
            return receive, _too_large(most_bytes, None)
        # The application sees the body as if it had come without the encoding.
        plain = [(n, v) for n, v in scope["headers"] if n not in (b"content-encoding", b"content-length")]
        scope["headers"] = [*plain, (b"content-length", b"%d" % len(body))]
    return _once({"type": "http.request", "body": body, "more_body": False}, receive), None


def unpacked(body: bytes, most_bytes: int) -> bytes:
    """The bytes of a gzip body, at most one more than `most_bytes` of them. Raises zlib.error."""
    parts: list[bytes] = []
    size = 0
    while body and size <= most_bytes:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        part = member.decompress(body, most_bytes + 1 - size)
        parts.append(part)
        size += len(part)
        if not member.eof and size <= most_bytes:
            raise zlib.error("the body ends too early")
        body = member.unused_data
    return b"".join(parts)


async def refuse_and_discard(response: Response, receive: Receive, send: Send) -> None:
    """Answer with a refusal at once, throw away what still arrives in a moment, and close.

    Without that, a client that is busy sending finds its connection reset before it reads the answer.
    """
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


def _encoding(headers: list[tuple[bytes, bytes]]) -> str:
    """The header `Content-Encoding` in lower case; "" where there is none."""
    found = [value for name, value in headers if name == b"content-encoding"]
    return b", ".join(found).decode("latin-1").strip().casefold()


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


def _too_large(most_bytes: int, found_bytes: int | None) -> Refusal:
    """A 413; `found_bytes` is None where the body was not read to its end."""
    params = {"most_bytes": most_bytes, "found_bytes": found_bytes}
    return Refusal("body-too-large", params, headers={"Connection": "close"})
