"""E-mail and webhook, against real servers on this machine."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any

import pytest
from systems import System

from carprice import reports
from carprice.notifications import notify


class Mailbox(socketserver.StreamRequestHandler):
    """As much of an SMTP server as taking a mail needs."""

    mails: list[bytes]

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    mail += part
                self.server.mails.append(mail)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running(server: Any) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)
    server.mails = []
    with running(server) as port:
        monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
        yield server.mails


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posts = []
    with running(server) as port:
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook")
        yield server.posts


def test_the_report_of_a_run_is_mailed_with_its_page_and_posted(
    system: System, mails: list[bytes], posts: list[dict[str, str]]
) -> None:
    run_id = str(system.registry.version_of("production").run_id)
    sent = reports.send_pipeline_report(system.root, system.registry, run_id, "1", {})["sent"]
    assert sent == ["e-mail", "webhook"]
    mail = message_from_bytes(mails[0])
    assert mail["To"] == "ops@example.invalid"
    assert "version 1 is in production" in mail["Subject"]
    page = next(part for part in mail.walk() if part.get_content_type() == "text/html")
    assert "Version 1 is in production" in page.get_payload(decode=True).decode()
    assert "promote_to_staging" in posts[0]["text"]
    assert len(mails) == len(posts) == 1


def test_nothing_is_sent_where_nothing_is_configured() -> None:
    assert notify("subject", "text") == []


def test_a_dead_mail_server_stops_neither_the_report_nor_the_webhook(
    posts: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
    assert notify("subject", "text") == ["webhook"]
    assert "the e-mail was not sent" in caplog.text
    assert posts == [{"text": "subject\ntext"}]


def test_a_mail_without_a_recipient_is_named(
    mails: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_TO", "")
    assert notify("subject", "text") == []
    assert "CARPRICE_SMTP_TO must name" in caplog.text
    assert mails == []
