"""How the proxy reads HTTP: a message that two servers could read differently is refused."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from running_proxy import API, NOBODY, Answer, RunningProxy, changed, container_name, text_of

pytestmark = [pytest.mark.docker]


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


PING = "GET /_ping HTTP/1.1"
HOST = "Host: engine"
START = f"POST {API}/containers/{NOBODY}/start HTTP/1.1"
AMBIGUOUS_MESSAGES: dict[str, bytes] = {
    "both lengths": head(START, HOST, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "length twice": head(START, HOST, "Content-Length: 0", "Content-Length: 4") + b"abcd",
    "the same length twice": head(START, HOST, "Content-Length: 0", "Content-Length: 0"),
    "two lengths in one": head(START, HOST, "Content-Length: 0, 0"),
    "a signed length": head(START, HOST, "Content-Length: +0"),
    "a hexadecimal length": head(START, HOST, "Content-Length: 0x0"),
    "another coding": head(START, HOST, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a coding in capitals": head(START, HOST, "Transfer-Encoding: Chunked") + b"0\r\n\r\n",
    "coding twice": head(START, HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "space before the colon": head(START, HOST, "Content-Length : 4") + b"abcd",
    "a folded line": head(START, HOST, "X-One: a", " Content-Length: 4") + b"abcd",
    "a bare line feed": b"GET /_ping HTTP/1.1\r\nHost: x\nContent-Length: 4\r\n\r\nabcd",
    "a bare carriage return": head(PING, HOST, "X-One: a\rb"),
    "a zero byte": head(PING, HOST, "X-One: a\0b"),
    "a byte beyond ASCII": head(PING, HOST, "X-One: \xe9"),
    "no host": head(PING),
    "host twice": head(PING, HOST, HOST),
    "HTTP/1.0": head("GET /_ping HTTP/1.0", HOST),
    "HTTP/0.9": head("GET /_ping"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": head("GET  /_ping HTTP/1.1", HOST),
    "a whole address": head("GET http://docker/_ping HTTP/1.1", HOST),
    "a tunnel": head("CONNECT docker:80 HTTP/1.1", HOST),
    "a lower case method": head("get /_ping HTTP/1.1", HOST),
    "an encoded path": head("GET /%5fping HTTP/1.1", HOST),
    "an encoded slash": head(f"GET {API}/containers%2fjson HTTP/1.1", HOST),
    "a fragment": head("GET /_ping#x HTTP/1.1", HOST),
    "a backslash": head(f"GET {API}\\containers\\json HTTP/1.1", HOST),
    "a semicolon in the query": head(f"DELETE {API}/containers/{NOBODY}?v=1;link=1 HTTP/1.1", HOST),
    "an argument twice": head(f"DELETE {API}/containers/{NOBODY}?link=0&link=1 HTTP/1.1", HOST),
    "an argument without a value": head(f"DELETE {API}/containers/{NOBODY}?link HTTP/1.1", HOST),
    "an argument that is no UTF-8": head(f"GET {API}/containers/json?filters=%ff HTTP/1.1", HOST),
    "an expectation": head(START, HOST, "Content-Length: 0", "Expect: 100-continue"),
    "a chunk with an extension": head(START, HOST, "Transfer-Encoding: chunked") + b"1;x=y\r\na\r\n0\r\n\r\n",
    "a chunk of a negative length": head(START, HOST, "Transfer-Encoding: chunked") + b"-1\r\n\r\n",
    "a chunk longer than it says": head(START, HOST, "Transfer-Encoding: chunked") + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk ended by a line feed": head(START, HOST, "Transfer-Encoding: chunked") + b"0\n\n\r\n",
    "a last chunk with an extension": head(START, HOST, "Transfer-Encoding: chunked") + b"0;x=y\r\n\r\n",
    "a last chunk with a space": head(START, HOST, "Transfer-Encoding: chunked") + b"0 \r\n\r\n",
    "a last chunk with two zeros": head(START, HOST, "Transfer-Encoding: chunked") + b"00\r\n\r\n",
    "a last chunk and a line feed": head(START, HOST, "Transfer-Encoding: chunked") + b"0\r\n\n",
    "a last chunk with a space and a line feed": head(START, HOST, "Transfer-Encoding: chunked")
    + b"0 \r\n\n",
    "a chunk's length without end": head(START, HOST, "Transfer-Encoding: chunked") + b"1;" + b"x" * 70_000,
    "a length without end": head(START, HOST, f"Content-Length: {'1' * 5000}"),
    "an empty line at the start": b"\r\n" + head(PING, HOST),
    "any header twice": head(PING, HOST, "X-One: a", "x-one: a"),
    "a trailer": head(START, HOST, "Transfer-Encoding: chunked") + b"0\r\nX-One: a\r\n\r\n",
    "a head without end": head(PING, HOST, "X-One: " + "a" * 70_000),
    "not HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("message", AMBIGUOUS_MESSAGES.values(), ids=AMBIGUOUS_MESSAGES)
def test_a_message_that_could_be_read_in_two_ways_is_refused(proxy: RunningProxy, message: bytes) -> None:
    answer = proxy.send(message)

    assert answer.status in (400, 403, 417, 431)
    assert answer.message
    assert answer.reached_engine == []


@pytest.mark.parametrize(
    "path",
    ["//_ping", "/./_ping", "/x/../_ping", f"{API}//containers/json", f"{API}/../_ping", f"{API}{API}/_ping"],
)
def test_a_path_that_would_be_cleaned_is_refused(proxy: RunningProxy, path: str) -> None:
    answer = proxy.send(head(f"GET {path} HTTP/1.1", HOST))

    assert (answer.status, answer.reached_engine) == (403, [])


def test_a_second_request_on_a_connection_is_never_looked_at(proxy: RunningProxy) -> None:
    second = head(f"GET {API}/containers/json HTTP/1.1", HOST)
    before = len(proxy.relay.received)

    proxy.send(head(PING, HOST) + second)

    # The connection may be closed before the first request has reached the engine: wait for that.
    end = time.monotonic() + 20
    while not (received := proxy.relay.received[before:]):
        assert time.monotonic() < end, "the first request never reached the engine"
        time.sleep(0.01)
    assert received == [PING]


def test_a_body_in_chunks_is_checked_like_any_other(proxy: RunningProxy, step: dict[str, Any]) -> None:
    def create(body: bytes) -> Answer:
        chunks = [body[at : at + 100] for at in range(0, len(body), 100)]
        message = head(
            f"POST {API}/containers/create?name={container_name()} HTTP/1.1",
            HOST,
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
        )
        return proxy.send(message + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in [*chunks, b""]))

    refused = create(text_of(changed(step, "HostConfig/Privileged", True)))
    assert (refused.status, refused.reached_engine) == (403, [])

    allowed = create(text_of(step))
    assert allowed.status == 201
    identity = re.search(rb"[0-9a-f]{64}", allowed.content)
    assert identity
    assert proxy.ask("DELETE", f"{API}/containers/{identity[0].decode()}").status == 204


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_long_is_refused(
    proxy: RunningProxy, step: dict[str, Any], announced: bool
) -> None:
    body = text_of(changed(step, "Cmd", ["x" * 2 * 1024 * 1024]))
    start = [f"POST {API}/containers/create?name={container_name()} HTTP/1.1", HOST]
    if announced:
        answer = proxy.send(head(*start, f"Content-Length: {len(body)}") + body)
    else:
        chunk = b"%x\r\n%s\r\n" % (len(body), body)
        answer = proxy.send(head(*start, "Transfer-Encoding: chunked") + chunk + b"0\r\n\r\n")

    assert (answer.status, answer.reached_engine) == (413, [])
    assert "may have 1048576 bytes, found more" in answer.message


def test_a_request_that_does_not_arrive_is_given_up(start: Callable[..., RunningProxy]) -> None:
    proxy = start(CARPRICE_PROXY_REQUEST_SECONDS="0.5")

    for part in (b"GET /_p", head(START, HOST, "Content-Length: 10") + b"abc"):
        answer = proxy.send(part)
        assert (answer.status, answer.reached_engine) == (408, [])
        assert "must arrive within 0.5 seconds" in answer.message


def test_connections_have_a_limit(start: Callable[..., RunningProxy]) -> None:
    proxy = start(CARPRICE_PROXY_MAX_CONNECTIONS="1")
    with socket.create_connection(("127.0.0.1", proxy.port)) as idle:
        idle.sendall(b"GET ")
        answer = proxy.ask("GET", "/_ping")

    assert (answer.status, answer.reached_engine) == (503, [])
    assert "raise CARPRICE_PROXY_MAX_CONNECTIONS" in answer.message
