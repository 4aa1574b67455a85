"""Reads one HTTP/1.1 request with h11, and refuses a message that two servers could read differently.

h11 tolerates some of them: a bare line feed, a folded line, a length given twice. The checks around it
refuse these. The proxy forwards none of the bytes read here. It writes a request of its own to the
engine from the method, path, arguments and body, so the engine can't understand anything else.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

import h11

from docker_proxy.refusal import MalformedRequest, quoted

MAX_HEAD_BYTES = 32 * 1024
MAX_ARGUMENTS = 16
READ_BYTES = 65536

_PLAIN_HEAD = re.compile(rb"(?:[!-~][\t -~]*\r\n)+\r\n")
"""Lines of printable ASCII, none of them folded, each ended by one carriage return and line feed."""
_METHOD = re.compile(r"[A-Z]{3,10}")
_PATH = re.compile(r"/[A-Za-z0-9/_.:-]*")
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """A request as the proxy understands it; header names are in lower case."""

    method: str
    path: str
    arguments: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


async def read_request(reader: asyncio.StreamReader, max_body_bytes: int) -> Request | None:
    """The next request, or None if the client closes without one. Raises `MalformedRequest`.

    `reader` must have MAX_HEAD_BYTES as its limit.
    """
    head = await _read_head(reader)
    if head is None:
        return None
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.receive_data(head)
    event = _next_event(connection)
    if not isinstance(event, h11.Request):
        raise MalformedRequest("A request must begin with METHOD /path HTTP/1.1, found something else.")
    method, target = event.method.decode(), event.target.decode()
    if event.http_version != b"1.1" or not _METHOD.fullmatch(method) or not target.startswith("/"):
        first_line = head.partition(b"\r\n")[0].decode()
        raise MalformedRequest(
            f"A request must begin with METHOD /path HTTP/1.1, found {quoted(first_line)}."
        )
    headers = _checked_headers(head, event)
    path, arguments = _parsed_target(target)
    body = await _read_body(connection, reader, headers, max_body_bytes)
    return Request(method, path, arguments, headers, body)


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The request line and the headers, up to and with the empty line."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if not end.partial:
            return None
        raise MalformedRequest("The connection ended in the middle of a request's head.") from None
    except asyncio.LimitOverrunError:
        head = b""
    if not 0 < len(head) <= MAX_HEAD_BYTES:
        raise MalformedRequest(
            f"A request's head may have {MAX_HEAD_BYTES} bytes, found more.",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        )
    if not _PLAIN_HEAD.fullmatch(head):
        raise MalformedRequest(
            "A request's head must be lines of printable ASCII that end with a carriage return and a line "
            "feed and do not begin with a space, found another line."
        )
    return head


def _next_event(connection: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as problem:
        raise MalformedRequest(
            f"A request must be well-formed HTTP/1.1, found a fault: {quoted(str(problem))}."
        ) from None


def _checked_headers(head: bytes, request: h11.Request) -> dict[str, str]:
    """The headers, each of them there once and exactly as the client wrote it."""
    fields = [line.partition(b":") for line in head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]]
    written = [(name, value.strip(b" \t")) for name, _, value in fields]
    # h11 makes one length of several that are equal, and lower case of a coding in capitals.
    for found, understood in zip(written, request.headers.raw_items(), strict=False):
        if found != understood:
            raise MalformedRequest(
                f"A header must be in its plain form, found {quoted(b': '.join(found).decode())}."
            )
    if len(written) != len(request.headers):
        raise MalformedRequest("The header Content-Length may be there once, found it again.")
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if name.decode() in headers:
            raise MalformedRequest(f"The header {name.decode()} may be there once, found it again.")
        headers[name.decode()] = value.decode()
    if "content-length" in headers and "transfer-encoding" in headers:
        raise MalformedRequest("A request may have Content-Length or Transfer-Encoding, found both.")
    if "expect" in headers:
        raise MalformedRequest(
            f"The proxy does not support the header Expect, found {quoted(headers['expect'])}: leave it out.",
            HTTPStatus.EXPECTATION_FAILED,
        )
    return headers


def _parsed_target(target: str) -> tuple[str, dict[str, str]]:
    """Path and query arguments."""
    path, _, query = target.partition("?")
    if not _PATH.fullmatch(path):
        raise MalformedRequest(
            f"A path may have letters, digits and / _ . : - and nothing encoded, found {quoted(path)}."
        )
    if not query:
        return path, {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_ARGUMENTS
        )
    except ValueError:
        raise MalformedRequest(
            f"A query must be up to {MAX_ARGUMENTS} name=value joined by &, in UTF-8, found {quoted(query)}."
        ) from None
    arguments = dict(pairs)
    if len(arguments) != len(pairs):
        raise MalformedRequest(f"Each argument of a query may be there once, found {quoted(query)}.")
    return path, arguments


async def _read_body(
    connection: h11.Connection, reader: asyncio.StreamReader, headers: dict[str, str], max_bytes: int
) -> bytes:
    if int(headers.get("content-length", "0")) > max_bytes:
        raise _body_too_long(max_bytes)
    body = bytearray()
    chunks = _ChunkFraming()
    while not isinstance(event := _next_event(connection), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_bytes:
                raise _body_too_long(max_bytes)
            chunks.count_data(event)
        else:
            part = await reader.read(READ_BYTES)
            chunks.count_received(part)
            connection.receive_data(part)
    following, _ = connection.trailing_data
    if "transfer-encoding" in headers and not chunks.are_plain(following):
        raise MalformedRequest(
            "A chunk must begin with its length in hexadecimal digits and nothing else, and an empty line "
            "must follow the last one: found an extension, padding or a trailer."
        )
    return bytes(body)


class _ChunkFraming:
    """Counts the bytes of a body in chunks, because h11 silently skips extensions, padding and trailers."""

    def __init__(self) -> None:
        self._received_bytes = 0
        self._plain_bytes = len(_LAST_CHUNK)
        """The bytes that the chunks need so far."""
        self._chunk_bytes = 0
        self._end = b""

    def count_received(self, part: bytes) -> None:
        """Counts what came from the client."""
        self._received_bytes += len(part)
        self._end = self._end[-len(_LAST_CHUNK) :] + part

    def count_data(self, data: h11.Data) -> None:
        """Counts what h11 found in it."""
        self._chunk_bytes += len(data.data)
        if data.chunk_end:
            self._plain_bytes += len(f"{self._chunk_bytes:x}\r\n\r\n") + self._chunk_bytes
            self._chunk_bytes = 0

    def are_plain(self, following: bytes) -> bool:
        """Whether the body had no byte that it does not need; `following` came after it."""
        needed = self._plain_bytes + len(following)
        return self._received_bytes == needed and self._end.endswith(_LAST_CHUNK + following)


def _body_too_long(max_bytes: int) -> MalformedRequest:
    return MalformedRequest(
        f"A request's body may have {max_bytes} bytes, found more: raise CARPRICE_PROXY_MAX_BODY_BYTES "
        "if a step needs it.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
