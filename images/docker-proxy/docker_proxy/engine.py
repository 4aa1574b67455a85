"""The Docker engine behind its unix socket: one connection for each request, closed after it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from docker_proxy.refusal import Refusal

ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class EngineRequest:
    """A request to the engine, in the proxy's own words."""

    method: str
    path: str
    arguments: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hijack: bool = False
    """Whether the connection becomes a stream of the container's output."""
    protocol: str = "HTTP/1.1"

    def message(self) -> bytes:
        """The HTTP message."""
        target = f"{self.path}?{urlencode(self.arguments)}" if self.arguments else self.path
        lines = [
            f"{self.method} {target} {self.protocol}",
            "Host: docker",
            "User-Agent: carprice-docker-proxy",
        ]
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if self.hijack else ["Connection: close"]
        if self.body:
            lines.append("Content-Type: application/json")
        if self.method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


class Engine:
    """Sends requests to the engine."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def open(self, request: EngineRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which the engine answers `request` and then closes. Raises `Refusal`."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError as problem:
            raise Refusal(
                f"The proxy can't reach the Docker engine at {self._socket} ({problem.strerror}): "
                "start the engine, mount its socket there, and run the proxy in the group that owns it.",
                HTTPStatus.BAD_GATEWAY,
            ) from problem
        writer.write(request.message())
        return reader, writer

    async def label_of(self, version: str, container: str, label: str) -> str | None:
        """What `container`, a full id, has as its `label`, or None.

        Neither an id nor the labels under it ever change, so the answer holds for as long as the
        container is there. Raises `Refusal` when there is no such container, or no answer.
        """
        # HTTP/1.0, because then the answer is not cut into chunks.
        reader, writer = await self.open(
            EngineRequest("GET", f"{version}/containers/{container}/json", protocol="HTTP/1.0")
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _whole_answer(reader)
        except (TimeoutError, OSError) as problem:
            raise _no_answer() from problem
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if status == [b"404"]:
            raise Refusal(f"No such container: {container}", HTTPStatus.NOT_FOUND)
        if status != [b"200"]:
            raise _no_answer()
        try:
            found = json.loads(body)
            if found["Id"] != container:  # a name may look like an id
                raise Refusal(f"No such container: {container}", HTTPStatus.NOT_FOUND)
            value = (found["Config"]["Labels"] or {}).get(label)
        except (ValueError, KeyError, TypeError) as problem:
            raise _no_answer() from problem
        return value if isinstance(value, str) else None


async def _whole_answer(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while part := await reader.read(65536):
        answer += part
        if len(answer) > MAX_ANSWER_BYTES:
            raise _no_answer()
    return bytes(answer)


def _no_answer() -> Refusal:
    return Refusal(
        "The Docker engine did not say whose container this is: look at its log, then try again.",
        HTTPStatus.BAD_GATEWAY,
    )
