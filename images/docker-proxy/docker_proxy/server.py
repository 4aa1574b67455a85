"""The proxy itself: reads a request, checks it, and lets the engine answer it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from carprice_contract.containers import PROXY_LABEL
from docker_proxy.endpoints import Call, Endpoints
from docker_proxy.engine import Engine
from docker_proxy.http_request import MAX_HEAD_BYTES, read_request
from docker_proxy.refusal import MalformedRequest, Refusal, quoted
from docker_proxy.settings import Settings

LINGER_SECONDS = 2.0

log = logging.getLogger("docker_proxy")


class Proxy:
    """Answers one request for each connection, and then closes the connection.

    A client with another request connects again. So no second request can hide behind a first.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoints = Endpoints(settings)
        self._engine = Engine(settings.engine_socket)
        self._connections = 0

    async def serve(self) -> None:
        """Listen until SIGTERM or SIGINT. Raises `OSError` when the address can't be listened on."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = await asyncio.start_server(
            self.answer, self._settings.host, self._settings.port, limit=MAX_HEAD_BYTES
        )
        log.info("listening on %s:%d", self._settings.host, self._settings.port)
        await stop.wait()
        # The open connections end with the loop; the steps themselves run on.
        server.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection."""
        self._connections += 1
        peer = writer.get_extra_info("peername")
        try:
            await self._answer(reader, writer)
        except Refusal as refusal:
            log.warning("refused %s: %d %s", peer and peer[0], refusal.status, refusal)
            with contextlib.suppress(OSError):
                writer.write(refusal.message())
                await _deliver(reader, writer)
        except OSError as problem:  # the client or the engine closed it
            log.info("lost a connection: %s", problem)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that has gone silently must not hold its connection for ever.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._connections > self._settings.max_connections:
            raise Refusal(
                f"The proxy may have {self._settings.max_connections} connections at a time, found one more: "
                "raise CARPRICE_PROXY_MAX_CONNECTIONS if so many steps run at a time.",
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
        seconds = self._settings.request_seconds
        try:
            async with asyncio.timeout(seconds):
                request = await read_request(reader, self._settings.max_body_bytes)
        except TimeoutError:
            raise MalformedRequest(
                f"A request must arrive within {seconds:g} seconds, found only a part of it.",
                HTTPStatus.REQUEST_TIMEOUT,
            ) from None
        if request is None:
            return
        call = self._endpoints.call(request)
        await self._check_owner(call)
        log.info("%s %s", call.request.method, call.request.path)
        connection = await self._engine.send(call.request)
        try:
            # As it comes, because an answer may go on for as long as the step runs.
            await _until_either_ends(_copy(connection.reader, writer), _wait_for_more(reader))
        finally:
            connection.close()

    async def _check_owner(self, call: Call) -> None:
        """Refuses a container that was not created through this proxy."""
        if call.container is None:
            return
        found = await self._engine.label_of(call.version, call.container, PROXY_LABEL)
        if found != self._settings.system:
            raise Refusal(
                f"Container {call.container} was not created through this proxy: its label {PROXY_LABEL} "
                f"must be {quoted(self._settings.system)}, found {quoted(found)}."
            )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()


async def _wait_for_more(reader: asyncio.StreamReader) -> None:
    """Returns when the client closes, or sends more than its one request."""
    await reader.read(1)


async def _until_either_ends(*ways: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client read the refusal: the kernel discards it if unread bytes are left at the close."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await writer.drain()
            writer.write_eof()
            while await reader.read(65536):
                pass
