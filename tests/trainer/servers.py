"""A mail server and an HTTP sink on this machine, and a server that never says a word."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any


class _Smtp(socketserver.StreamRequestHandler):
    """As much of an SMTP server as taking a mail needs."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"EHLO":
                self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                continue
            if word == b"AUTH":
                # As some servers do: what was sent stands in the answer.
                said = base64.b64decode(line.split()[2]).decode().replace("\0", " ")
                self.wfile.write(f"535 no such user or password:{said}\r\n".encode())
                continue
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    mail += part
                if b"TOO LARGE" in mail:
                    self.wfile.write(b"552 message size exceeds the limit\r\n")
                    continue
                self.server.mails.append(message_from_bytes(mail))  # type: ignore[attr-defined]
                time.sleep(self.server.pause)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class _Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = b"TOO LARGE" in body
        if not refused:
            self.server.posts.append(json.loads(body))  # type: ignore[attr-defined]
            self.server.keys.append(self.headers["Idempotency-Key"])  # type: ignore[attr-defined]
            time.sleep(self.server.pause)  # type: ignore[attr-defined]
        self.send_response(400 if refused else 500 if "broken" in self.path else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _running(server: Any) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class _Rude(socketserver.BaseRequestHandler):
    """Hangs up at once."""

    def handle(self) -> None:
        self.server.callers.append(self.client_address)  # type: ignore[attr-defined]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server(port: int = 0, pause: float = 0) -> Iterator[tuple[int, list[Message]]]:
    """Its port, and the mails it took so far; it says so of each after a `pause` in seconds."""
    server: Any = _Server(("127.0.0.1", port), _Smtp)
    server.mails, server.pause = [], pause
    with _running(server) as bound:
        yield bound, server.mails


@contextmanager
def rude_server() -> Iterator[tuple[int, list[Any]]]:
    """The port of a server that hangs up on everybody, and who called so far."""
    server: Any = _Server(("127.0.0.1", 0), _Rude)
    server.callers = []
    with _running(server) as port:
        yield port, server.callers


@contextmanager
def http_sink(keys: list[str] | None = None, pause: float = 0) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Its port, and the JSON documents taken so far; a path with `broken` in it is answered with 500,
    and what says TOO LARGE with 400, as the mail server refuses it. The `Idempotency-Key` of each document
    goes to `keys`, and each is answered after a `pause` in seconds."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    server.posts, server.keys, server.pause = [], [] if keys is None else keys, pause
    with _running(server) as port:
        yield port, server.posts


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts every connection and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def text_of(mail: Message) -> str:
    """The plain text of a mail."""
    part = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    return bytes(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]


def page_of(mail: Message) -> str | None:
    """The attached HTML page of a mail."""
    pages = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    return bytes(pages[0].get_payload(decode=True)).decode() if pages else None  # type: ignore[arg-type]
