"""The one spider: it asks for the waiting pages of a run, one after the other, and writes what they tell."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import scrapy
from scrapy import Request
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.http import Response
from twisted.python.failure import Failure

from carprice_collector.ads import row
from carprice_collector.journal import Journal
from carprice_collector.pages import BrokenPage, Page, PageContent, ShapeMoved, decode
from carprice_collector.politeness.answers import is_challenge
from carprice_collector.politeness.ledger import Ledger
from carprice_collector.politeness.rules import ForbiddenPage, Rules, StopCode, Stopped
from carprice_collector.sources import Source

log = logging.getLogger(__name__)

_MOST_MOVED = 3
_MOST_FAILURES = 5


class ListingsSpider(scrapy.Spider):
    """Reads the pages of one source. `most_pages` is 0 for all."""

    name = "listings"

    def __init__(
        self,
        source: Source,
        journal: Journal,
        ledger: Ledger,
        rules: Rules,
        agent: str,
        most_pages: int,
    ) -> None:
        super().__init__()
        self.source, self.journal, self.ledger, self.rules = source, journal, ledger, rules
        self.agent, self.most_pages, self.site = agent, most_pages, source.site
        counts = journal.counts()
        self._pages = sum(counts.values()) - counts.get("waiting", 0)
        self._moved = self._failures = 0

    async def start(self) -> AsyncIterator[Any]:
        """The first page that waits."""
        for request in self._next():
            yield request

    def read_page(self, response: Response) -> Iterator[Request]:
        """Write what a page tells, and go on."""
        number, kind = response.meta["page"], response.meta["kind"]
        read_at = datetime.now(UTC)
        text = decode(response.body, (response.headers.get("Content-Type") or b"").decode("latin-1"))
        page = Page(response.url, text, read_at)
        try:
            content = self._content(page, kind)
        except BrokenPage as error:
            again = get_retry_request(
                _original(response), spider=self, reason="broken page", max_retry_times=2
            )
            if again is not None:
                yield again
                return
            self._failed(number, "failed", str(error))
        except ShapeMoved as error:
            if is_challenge(text):
                self._stop(self.stop_at_challenge(response.url))
                return
            self._moved += 1
            self._failed(number, "moved", str(error))
            if self._moved >= _MOST_MOVED:
                self._stop(
                    Stopped(StopCode.MOVED, f"{_MOST_MOVED} pages in a row had another shape: {error}")
                )
                return
        else:
            self._moved = self._failures = 0
            cleaned = [ad.cleaned() for ad in content.ads]
            rows = {ad.key: row(ad, self.source.name, read_at) for ad in cleaned}
            self.journal.page_read(number, rows, content.links, content.said_total)
            self._pages += 1
            log.info("page %d: %d ads, %s", self._pages, len(rows), response.url)
        yield from self._next()

    def page_failed(self, failure: Failure) -> Iterator[Request]:
        """Write why a page could not be fetched, and go on where that makes sense."""
        request: Request = failure.request  # type: ignore[attr-defined]
        error = failure.value
        if isinstance(error, Stopped):
            self._stop(error)
            return
        state = "forbidden" if isinstance(error, ForbiddenPage) else "failed"
        self._failed(request.meta["page"], state, str(error) or type(error).__name__)
        if self._failures >= _MOST_FAILURES:
            self._stop(
                Stopped(StopCode.FAILURES, f"{_MOST_FAILURES} pages in a row could not be read: {error}")
            )
            return
        yield from self._next()

    def stop_at_challenge(self, address: str) -> Stopped:
        """Ask nothing more of the site today: it wants to know whether we are a person, and we are none."""
        why = f"{self.site} answered with a test for people at {address}."
        self.journal.count_refusal()
        self.ledger.stop(why, datetime.now(UTC))
        return Stopped(StopCode.CHALLENGE, why)

    def _content(self, page: Page, kind: str) -> PageContent:
        try:
            content = self.source.read(page, kind)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
            raise ShapeMoved(
                "A page in the known shape was expected, found one that could not be read "
                f"({type(error).__name__}: {error})."
            ) from error
        # Links of a page are as many as the page says; a run stays within its limits all the same.
        return replace(content, links=[link for link in content.links if len(link.address) <= 2000])

    def _next(self) -> Iterator[Request]:
        if self.most_pages and self._pages >= self.most_pages:
            if self.journal.next_page() is not None:
                self._stop(Stopped(StopCode.PAGES, f"The run was asked for {self.most_pages} pages."))
            return
        page = self.journal.next_page()
        if page is not None:
            yield Request(
                page.address,
                callback=self.read_page,
                errback=self.page_failed,
                meta={"page": page.id, "kind": page.kind},
            )

    def _failed(self, number: int, state: str, why: str) -> None:
        self._failures += 1
        self._pages += 1
        log.warning("a page could not be read: %s", why)
        self.journal.page_failed(number, state, why)

    def _stop(self, why: Stopped) -> None:
        log.warning("the run stops: %s", why)
        self.journal.set(stopped=why.code, stopped_why=str(why))


def _original(response: Response) -> Request:
    request = response.request
    assert request is not None  # noqa: S101 - Scrapy sets it
    return request
