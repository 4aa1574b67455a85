"""The reports as web pages, behind the login `reviewer` and the password in reports_password.

They are in the folder /reports or, where DATA_DIR is the URL of an object store, in reports/ there.
"""

from __future__ import annotations

import base64
import hmac
import http.server
import io
import os
import posixpath
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from carprice.store import DataRoot

FOLDER = "/reports"
USER = "reviewer"
PASSWORD_FILE = Path("/run/secrets/reports_password")
PORT = 8502
# A report loads nothing from elsewhere, so a script that a landed file puts into one reaches nobody.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'none'; form-action 'none'"
)


class ReportHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the files of one folder to those who have the password."""

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
        """Log nothing: errors have their own message."""

    def _may_read(self) -> bool:
        if self.path == "/healthz":
            self._answer(200, b"ok\n")
            return False
        if hmac.compare_digest(self.headers.get("Authorization", "").encode(), self._expected):
            return True
        self._answer(401, f"Log in as {USER}.\n".encode())
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


class StoreHandler(ReportHandler):
    """Serves the reports of an object store; only the first folder has a list of its files."""

    def __init__(self, *args: object, root: DataRoot, **kwargs: object) -> None:
        self._root = root
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def send_head(self) -> io.BytesIO | None:
        """Send the head of the answer; the page itself, or None where there is none."""
        path = unquote(urlsplit(self.path).path)
        # Made absolute first, so that no '..' leads out of reports/.
        name = posixpath.normpath("/" + path).lstrip("/") or "index.html"
        try:
            page = self._root.read_bytes(f"reports/{name}")
        except FileNotFoundError:
            self._answer(404, b"There is no such report; see index.html.\n")
            return None
        except OSError as problem:
            sys.stderr.write(f"reports: {problem}\n")
            self._answer(503, b"The object store does not answer; try again later.\n")
            return None
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(name))
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        return io.BytesIO(page)


def main() -> int:
    """Serve until stopped."""
    password = PASSWORD_FILE.read_text().strip()
    if not password:
        sys.stderr.write(f"reports: {PASSWORD_FILE} is empty: run `make env`.\n")
        return 1
    expected = b"Basic " + base64.b64encode(f"{USER}:{password}".encode())
    handler: Callable[..., ReportHandler] = partial(ReportHandler, expected=expected)
    url = os.environ.get("DATA_DIR", "")
    if "://" in url:
        from carprice.store import DataRoot

        handler = partial(StoreHandler, expected=expected, root=DataRoot(url))
    with http.server.ThreadingHTTPServer(("0.0.0.0", PORT), handler) as server:  # noqa: S104 - in a container
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
