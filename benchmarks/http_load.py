"""HTTP load on a service of this machine over keep-alive connections; each answer is checked and timed.

The client is small, so that the service has the processor.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass
class Load:
    """The result: the seconds of each answer, in order of arrival, and each failure as a sentence."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return len(self.seconds) / self.elapsed

    def milliseconds(self, percentile: float) -> float:
        """The latency that `percentile` percent of the answers stayed under, in ms."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]


class _Connection:
    """One HTTP/1.1 connection; it reconnects if the service closed it between two requests."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        try:
            writer.write(message)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def load(
    url: str,
    bodies: Sequence[Any],
    seconds: float,
    connections: int = 8,
    per_second: float | None = None,
    headers: dict[str, str] | None = None,
    on_answer: Callable[[Any], None] | None = None,
) -> Load:
    """POST the JSON `bodies` to `url` in turn for `seconds`.

    Without `per_second` each connection sends its next request when it has its answer; with it requests
    are due at even intervals and a latency counts from when the request was due, so that a service
    that stalls is not spared the requests it made wait. `on_answer` gets every good answer.
    """
    messages = [_post(url, json.dumps(body).encode(), headers or {}) for body in bodies]
    return await _load(url, messages, seconds, connections, per_second, on_answer)


async def load_queries(
    url: str, queries: Sequence[dict[str, Any]], seconds: float, connections: int, per_second: float
) -> Load:
    """GET `url` with each of `queries` in turn for `seconds`, as `load` does; answers are compressed."""
    messages = [_get(url, query) for query in queries]
    return await _load(url, messages, seconds, connections, per_second, None)


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _get(url: str, query: dict[str, Any]) -> bytes:
    parts = urlsplit(url)
    path = f"{parts.path}?{urlencode(query, doseq=True)}"
    return f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: gzip\r\n\r\n".encode()


async def _load(
    url: str,
    messages: Sequence[bytes],
    seconds: float,
    connections: int,
    per_second: float | None,
    on_answer: Callable[[Any], None] | None,
) -> Load:
    numbers = itertools.count()
    found = Load()
    begun = time.perf_counter()

    async def client() -> None:
        connection = _Connection(url)
        while True:
            number = next(numbers)
            due = time.perf_counter() if per_second is None else begun + number / per_second
            if due >= begun + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                status, answer = await asyncio.wait_for(connection.ask(messages[number % len(messages)]), 30)
            except (OSError, EOFError, TimeoutError) as error:
                found.failures.append(f"{type(error).__name__}: {error}")
                continue
            found.seconds.append(time.perf_counter() - due)
            if status != 200:
                found.seconds.pop()
                found.failures.append(f"{status}: {answer[:200].decode(errors='replace')}")
            elif on_answer is not None:
                on_answer(json.loads(answer))
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    found.elapsed = time.perf_counter() - begun
    return found
