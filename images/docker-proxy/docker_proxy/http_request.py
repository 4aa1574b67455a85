"""Reading one HTTP/1.1 request, strictly: what could be read in two ways is refused.

Nothing read here is handed on as it came. The proxy writes a request of its own to the engine from
the method, path, arguments and body it understood, so the two can't understand different things.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from docker_proxy.refusal import MalformedRequest, shown

MAX_HEAD_BYTES = 32 * 1024
MAX_CHUNK_LINE_BYTES = 64
MAX_ARGUMENTS = 16

_REQUEST_LINE = re.compile(r"([A-Z]{3,10}) (/[!-~]*) HTTP/1\.1")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~\t]*)")
_PATH = re.compile(r"[A-Za-z0-9/_.:-]+")
_LENGTH = re.compile(r"[0-9]{1,10}")
_CHUNK_LENGTH = re.compile(rb"[0-9a-fA-F]{1,8}\r\n")


@dataclass(frozen=True)
class Request:
    """A request as the proxy understood it; header names are in lower case."""

    method: str
    path: str
    arguments: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


async def read_request(reader: asyncio.StreamReader, max_body_bytes: int) -> Request | None:
    """The next request; None when the client closed without one. Raises `MalformedRequest`."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if not end.partial:
            return None
        raise MalformedRequest("The connection ended in the middle of a request's head.") from None
    except asyncio.LimitOverrunError:
        raise _head_too_long() from None
    if len(head) > MAX_HEAD_BYTES:
        raise _head_too_long()
    method, target, headers = _parsed_head(head)
    path, arguments = _parsed_target(target)
    body = await _body(reader, headers, max_body_bytes)
    return Request(method, path, arguments, headers, body)


def _head_too_long() -> MalformedRequest:
    return MalformedRequest(
        f"A request's head may have {MAX_HEAD_BYTES} bytes, found more.",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    )


def _parsed_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers."""
    try:
        first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError:
        raise MalformedRequest("A request's head must be ASCII.") from None
    request_line = _REQUEST_LINE.fullmatch(first)
    if not request_line:
        raise MalformedRequest(f"A request must begin with METHOD /path HTTP/1.1, found {shown(first)}.")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if not header:  # a folded line, a space before the colon, a bare line feed, a control character
            raise MalformedRequest(f"A header must be one line of name: value, found {shown(line)}.")
        name = header[1].lower()
        if name in headers:
            raise MalformedRequest(f"The header {header[1]} may be there once, found it again.")
        headers[name] = header[2].strip(" \t")
    if "host" not in headers:
        raise MalformedRequest("A request must have a Host header, found none.")
    if "expect" in headers:
        raise MalformedRequest(
            f"The header Expect is not understood, found {shown(headers['expect'])}: leave it out.",
            HTTPStatus.EXPECTATION_FAILED,
        )
    return request_line[1], request_line[2], headers


def _parsed_target(target: str) -> tuple[str, dict[str, str]]:
    """Path and query arguments."""
    path, mark, query = target.partition("?")
    if not _PATH.fullmatch(path):
        raise MalformedRequest(
            f"A path may have letters, digits and / _ . : - and nothing encoded, found {shown(path)}."
        )
    if not mark or not query:
        return path, {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_ARGUMENTS
        )
    except ValueError:
        raise MalformedRequest(
            f"A query must be name=value joined by &, in UTF-8, found {shown(query)}."
        ) from None
    arguments = dict(pairs)
    if len(arguments) != len(pairs):
        raise MalformedRequest(f"Each argument of a query may be there once, found {shown(query)}.")
    return path, arguments


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], max_bytes: int) -> bytes:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and coding is not None:
        raise MalformedRequest("A request may have Content-Length or Transfer-Encoding, found both.")
    try:
        if coding is not None:
            if coding != "chunked":
                raise MalformedRequest(f"Transfer-Encoding must be chunked, found {shown(coding)}.")
            return await _chunks(reader, max_bytes)
        if length is None:
            return b""
        if not _LENGTH.fullmatch(length):
            raise MalformedRequest(f"Content-Length must be a number, found {shown(length)}.")
        if int(length) > max_bytes:
            raise _body_too_long(max_bytes)
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise MalformedRequest("The connection ended in the middle of a request's body.") from None


async def _chunks(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            line = b""
        # No extensions: nothing needs them.
        if len(line) > MAX_CHUNK_LINE_BYTES or not _CHUNK_LENGTH.fullmatch(line):
            raise MalformedRequest(
                "A chunk must begin with its length in hexadecimal digits and nothing else."
            )
        length = int(line, 16)
        if len(body) + length > max_bytes:
            raise _body_too_long(max_bytes)
        body += await reader.readexactly(length)
        if await reader.readexactly(2) != b"\r\n":
            raise MalformedRequest("A chunk must be as long as it says, and have no trailer.")
        if not length:
            return bytes(body)


def _body_too_long(max_bytes: int) -> MalformedRequest:
    return MalformedRequest(
        f"A request's body may have {max_bytes} bytes, found more: raise CARPRICE_PROXY_MAX_BODY_BYTES "
        "if a step needs it.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
