"""The folder /reports as web pages, behind the login `admin` and the password in admin_password."""

from __future__ import annotations

import base64
import hmac
import http.server
import sys
from functools import partial
from pathlib import Path

FOLDER = "/reports"
PASSWORD_FILE = Path("/run/secrets/admin_password")
PORT = 8502
# Reports bring all they show with them; whatever a landed file smuggled into one reaches nobody.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'none'; form-action 'none'"
)


class ReportHandler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, for those who know the password."""

    timeout = 30
    server_version = "reports"
    sys_version = ""

    def __init__(self, *args: object, expected: bytes, **kwargs: object) -> None:
        self._expected = expected
        super().__init__(*args, directory=FOLDER, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a GET."""
        if self._may_read():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        if self._may_read():
            super().do_HEAD()

    def end_headers(self) -> None:
        """Add the headers that every answer has."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of answers that are as they should be."""

    def _may_read(self) -> bool:
        if self.path == "/healthz":
            self._answer(200, b"ok\n")
            return False
        if hmac.compare_digest(self.headers.get("Authorization", "").encode(), self._expected):
            return True
        self._answer(401, b"Log in as admin.\n")
        return False

    def _answer(self, status: int, text: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="reports", charset="UTF-8"')
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)


def main() -> int:
    """Serve until stopped."""
    password = PASSWORD_FILE.read_text().strip()
    if not password:
        sys.stderr.write(f"reports: {PASSWORD_FILE} is empty: run `make env`.\n")
        return 1
    expected = b"Basic " + base64.b64encode(f"admin:{password}".encode())
    handler = partial(ReportHandler, expected=expected)
    with http.server.ThreadingHTTPServer(("0.0.0.0", PORT), handler) as server:  # noqa: S104 - in a container
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
