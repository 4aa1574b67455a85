"""The server of the replica, which counts and times the requests that it gets."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from demo.replica import shapes
from demo.replica.market import Market, MarketAd, time_on

AVITO = "/fr/maroc/voitures_d_occasion-à_vendre"
MOTEUR = "/fr/voiture/achat-voiture-occasion/recherche/"
JSONLD = "/cars"
SITEMAP = "/sitemap.xml"
PER_PAGE = {AVITO: 35, MOTEUR: 30, JSONLD: 20}
FIRST_PAGES = {"avito": AVITO, "moteur": MOTEUR + "?per_page=30&page=1", "jsonld": JSONLD}
"""The first search page of each source of the collector, by the name of the source."""


@dataclass(frozen=True)
class Answer:
    """What the server sends: `body`, or many `times` the body, in chunks and without a length."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    close_early: bool = False
    times: int = 1


@dataclass(frozen=True)
class Arrival:
    """A request: when it came and when it was answered, by one clock, and the bytes of the answer."""

    path: str
    agent: str
    came: float
    answered: float
    sent: int = 0


Fault = Callable[[str, int], Answer | None]
"""What goes wrong: an answer for a path and the number of the request to it, or None."""


class Replica:
    """A site on a port of this machine. `day`, `robots` and `fault` may be changed while it runs."""

    def __init__(self, market: Market | None = None, port: int = 0) -> None:
        self.market = market or Market()
        self.day = 0
        self.robots: Answer = Answer(body=b"User-agent: *\nAllow: /\n")
        self.fault: Fault = lambda path, number: None
        self.apollo = False
        self.clock: Callable[[], datetime] | None = None
        self.arrivals: list[Arrival] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._ads: dict[int, list[MarketAd]] = {}
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                replica._handle(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Replica:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """The address of the site, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._at_once > 0

    @property
    def pages(self) -> list[str]:
        """The paths of the requests, the one for robots.txt aside."""
        return [arrival.path for arrival in self.arrivals if arrival.path != "/robots.txt"]

    def is_asked_for(self, path: str) -> bool:
        """Whether a request for a path came, answered or not."""
        return path in self._counts

    def ads(self) -> list[MarketAd]:
        """The ads of the present day."""
        if self.day not in self._ads:
            self._ads[self.day] = self.market.ads(self.day)
        return self._ads[self.day]

    def now(self) -> datetime:
        """The time of the pages."""
        return self.clock() if self.clock else time_on(self.day)

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        came, path = time.monotonic(), unquote(handler.path)
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            number = self._counts[path] = self._counts.get(path, 0) + 1
        sent = 0
        try:
            for piece in _pieces(handler, self.fault(path, number) or self._answer(path)):
                handler.wfile.write(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self._at_once -= 1
                agent = handler.headers.get("User-Agent", "")
                self.arrivals.append(Arrival(path, agent, came, time.monotonic(), sent))

    def _answer(self, path: str) -> Answer:
        if path == "/robots.txt":
            return self.robots
        return self.page(path)

    def page(self, path: str) -> Answer:
        """The page of the site at a path, without anything that goes wrong."""
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        asked = int((query.get("o") or query.get("page") or ["1"])[0])
        if parts.path == SITEMAP:
            return _html(shapes.sitemap([self.address + shapes.jsonld_path(ad) for ad in self.ads()]))
        if parts.path in PER_PAGE:
            shown, pages = self._cut(asked, PER_PAGE[parts.path])
            if parts.path == AVITO:
                return _html(shapes.avito_search(shown, asked, pages, len(self.ads()), AVITO))
            if parts.path == MOTEUR:
                return _html(shapes.moteur_search(shown, asked, pages, MOTEUR, self.now()))
            return _html(shapes.jsonld_search(shown, asked, pages, JSONLD))
        for ad in self.ads():
            if parts.path == shapes.jsonld_path(ad):
                return _html(shapes.jsonld_ad(ad))
            if parts.path == unquote(shapes.avito_path(ad)):
                return _html(shapes.avito_ad(ad, self.apollo))
        return Answer(404, b"<html><body>Not found</body></html>")

    def _cut(self, page: int, per_page: int) -> tuple[Sequence[MarketAd], int]:
        ads = self.ads()
        return ads[(page - 1) * per_page : page * per_page], max(1, -(-len(ads) // per_page))


def _html(text: str) -> Answer:
    return Answer(200, text.encode(), (("Content-Type", "text/html; charset=utf-8"),))


def _pieces(handler: BaseHTTPRequestHandler, answer: Answer) -> Iterator[bytes]:
    """Send the head of an answer, and give its body piece by piece."""
    handler.send_response(answer.status)
    names = {name.lower() for name, _ in answer.headers}
    for name, value in answer.headers:
        handler.send_header(name, value)
    if answer.times > 1:
        handler.send_header("Transfer-Encoding", "chunked")
    elif "content-length" not in names:
        handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    if answer.times > 1:
        piece = b"%x\r\n%b\r\n" % (len(answer.body), answer.body)
        yield from itertools.repeat(piece, answer.times)
        yield b"0\r\n\r\n"
    else:
        yield answer.body
    if answer.close_early:
        handler.wfile.flush()
        handler.close_connection = True
