"""Forwards TCP connections: `forward.py 587=mail.example:587 443=hooks.example:443`.

Each argument is a port to listen on, and the one address to which its connections go. What is sent passes
unread and unchanged, so TLS stays between the two ends. A name is looked up for each connection.

`forward.py check` asks the running forwarder whether it listens, for health checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys

CONNECT_SECONDS = 20.0
MAX_CONNECTIONS = 256
ALIVE = "/tmp/forwarder"  # noqa: S108 - a folder of the container's own
"""A socket on which the forwarder lets health checks in."""

log = logging.getLogger("forwarder")


def main(arguments: list[str]) -> int:
    """Check, or forward until SIGTERM; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if arguments == ["check"]:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            return 1 if probe.connect_ex(ALIVE) else 0
    asyncio.run(Forwarder().serve(arguments))
    return 0


class Forwarder:
    """Listens on ports, and connects each client of a port with the port's address."""

    def __init__(self) -> None:
        self._connections = 0

    async def serve(self, ways: list[str]) -> None:
        """Forward `ways`, each PORT=HOST:PORT, until SIGTERM. Raises `ValueError` or `OSError`."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        for way in ways:
            port, _, target = way.partition("=")
            host, _, target_port = target.rpartition(":")
            await self._listen(int(port), host, int(target_port))
            log.info("port %s leads to %s", port, target)
        await asyncio.start_unix_server(lambda _, client: client.close(), ALIVE)
        await stop.wait()

    async def _listen(self, port: int, host: str, target_port: int) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections += 1
            try:
                if self._connections > MAX_CONNECTIONS:
                    raise OSError(f"{MAX_CONNECTIONS} connections are open already")
                async with asyncio.timeout(CONNECT_SECONDS):
                    there = await asyncio.open_connection(host, target_port)
                with contextlib.closing(there[1]):
                    await _join((reader, writer), there)
            except (OSError, TimeoutError) as problem:
                # The client only sees its connection end.
                log.warning("%s:%d: %s", host, target_port, problem or "no answer")
            finally:
                self._connections -= 1
                writer.close()

        await asyncio.start_server(answer, port=port)


async def _join(*ends: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Pass on what each of two ends sends, until both have ended or one fails."""
    (reader, writer), (far_reader, far_writer) = ends
    for end in (writer, far_writer):
        # An end that is gone silently must not hold its connection for ever.
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    ways = [
        asyncio.ensure_future(_copy(reader, far_writer)),
        asyncio.ensure_future(_copy(far_reader, writer)),
    ]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.write_eof()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
