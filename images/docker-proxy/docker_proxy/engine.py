"""The Docker engine behind its unix socket: one connection for each request, closed after it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

import h11

from docker_proxy.refusal import Refusal

ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
READ_BYTES = 65536


@dataclass(frozen=True)
class EngineRequest:
    """A request that the proxy itself writes to the engine."""

    method: str
    path: str
    arguments: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    becomes_stream: bool = False
    """Whether the connection becomes a stream of the container's output."""

    def message(self, connection: h11.Connection) -> bytes:
        """The HTTP message, written by `connection`, whose role must be CLIENT."""
        headers = [("Host", "docker"), ("User-Agent", "carprice-docker-proxy")]
        if self.becomes_stream:
            headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")]
        else:
            headers += [("Connection", "close")]
        if self.body:
            headers.append(("Content-Type", "application/json"))
        if self.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(self.body))))
        target = f"{self.path}?{urlencode(self.arguments)}" if self.arguments else self.path
        head = connection.send(h11.Request(method=self.method, target=target, headers=headers))
        body = connection.send(h11.Data(data=self.body)) if self.body else b""
        return head + body + connection.send(h11.EndOfMessage())


class EngineConnection:
    """A connection on which the engine answers one request and then closes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    def send(self, request: EngineRequest) -> None:
        """Send the one request."""
        self._writer.write(request.message(self._http))

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the answer. Raises `h11.RemoteProtocolError` and `OSError`."""
        status, body = 0, bytearray()
        while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER_BYTES:
                    raise h11.RemoteProtocolError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
            elif event is h11.NEED_DATA:
                self._http.receive_data(await self.reader.read(READ_BYTES))
            else:
                raise h11.RemoteProtocolError(f"the answer is no plain response: {event}")
        return status, bytes(body)

    def close(self) -> None:
        """Close it, whether or not the engine has answered."""
        self._writer.close()


class Engine:
    """Sends requests to the engine."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def send(self, request: EngineRequest) -> EngineConnection:
        """A connection on which the engine answers `request`. Raises `Refusal`."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError as problem:
            raise Refusal(
                f"The proxy can't reach the Docker engine at {self._socket} ({problem.strerror}): "
                "start the engine, mount its socket there, and run the proxy in the group that owns it.",
                HTTPStatus.BAD_GATEWAY,
            ) from problem
        connection = EngineConnection(reader, writer)
        connection.send(request)
        return connection

    async def label_of(self, version: str, container: str, label: str) -> str | None:
        """The value of `label` on `container`, which is a full id, or None if it has no such label.

        The id of a container and its labels never change, so the answer holds as long as the container
        exists. Raises `Refusal` if there is no such container, or no answer.
        """
        connection = await self.send(EngineRequest("GET", f"{version}/containers/{container}/json"))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, body = await connection.answer()
        except (TimeoutError, OSError, h11.RemoteProtocolError) as problem:
            raise _no_answer() from problem
        finally:
            connection.close()
        if status == HTTPStatus.NOT_FOUND:
            raise Refusal(f"No such container: {container}", HTTPStatus.NOT_FOUND)
        if status != HTTPStatus.OK:
            raise _no_answer()
        try:
            found = json.loads(body)
            if found["Id"] != container:  # the name of a container may look like an id
                raise Refusal(f"No such container: {container}", HTTPStatus.NOT_FOUND)
            value = (found["Config"]["Labels"] or {}).get(label)
        except (ValueError, KeyError, TypeError) as problem:
            raise _no_answer() from problem
        return value if isinstance(value, str) else None


def _no_answer() -> Refusal:
    return Refusal(
        "The Docker engine did not say which system this container belongs to: read the engine's log, then "
        "try again.",
        HTTPStatus.BAD_GATEWAY,
    )
