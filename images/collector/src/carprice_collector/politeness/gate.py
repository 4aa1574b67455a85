"""The gate in front of Scrapy's downloader: every request to a site passes it, and every answer.

Scrapy's own settings keep to one request at a time and to the delay, too. The gate adds what they do not
promise: a delay that chance only makes longer, robots.txt that is obeyed when it can't be read, Crawl-delay,
Retry-After, a budget that is kept across runs, and stopping for the day.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from protego import Protego
from scrapy import Request
from scrapy.http import Response, TextResponse
from scrapy.http.request import NO_CALLBACK

from carprice_collector.politeness.answers import is_challenge, retry_after
from carprice_collector.politeness.rules import ForbiddenPage, StopCode, Stopped

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from carprice_collector.spider import ListingsSpider

log = logging.getLogger(__name__)

_ROBOTS = "is_robots_txt"
_WAITED = "times_waited"
_MOST_WAITS = 2
_ROBOTS_BYTES = 500 * 1024


class Gate:
    """A downloader middleware, the one next to the network."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._robots: Protego | None = None
        self._crawl_delay = 0.0
        self._not_before = 0.0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """As Scrapy makes it."""
        return cls(crawler)

    @property
    def _spider(self) -> ListingsSpider:
        return self._crawler.spider  # type: ignore[return-value]

    async def process_request(self, request: Request) -> None:
        """Let a request through when its time has come. Raises `Stopped` and `ForbiddenPage`."""
        spider = self._spider
        # One slot, so that Scrapy's delay counts for robots.txt, too.
        request.meta["download_slot"] = spider.site
        if urlsplit(request.url).netloc != spider.site:
            raise ForbiddenPage(f"A page on {spider.site} was expected, found a redirect to another host.")
        if not request.meta.get(_ROBOTS):
            robots = await self._read_robots(request)
            if not robots.can_fetch(request.url, spider.agent):
                raise ForbiddenPage(
                    f"robots.txt of {spider.site} disallows {request.url} for {spider.agent}."
                )
        await self._wait()
        now = datetime.now(UTC)
        rules = spider.rules
        if rules.hours is not None and not rules.hours.hold(now):
            raise Stopped(StopCode.HOURS, f"The hours {rules.hours} are over; sites are asked in them only.")
        if not spider.ledger.take(rules.pages_per_day, now):
            raise Stopped(
                StopCode.BUDGET,
                f"{rules.pages_per_day} requests were sent to {spider.site} today, and no more are allowed.",
            )
        # A request that never ends counts as well.
        self._set_pace()

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """Obey what the site asks. Raises `Stopped`."""
        self._set_pace()
        site = self._spider.site
        if response.status in (403, 429, 503):
            self._spider.journal.count_refusal()
        if response.status == 403:
            raise self._stop(StopCode.REFUSED, f"{site} answered 403 (forbidden).")
        if response.status not in (429, 503):
            return response
        wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        times = request.meta.get(_WAITED, 0)
        if wait is None:
            if response.status == 503:
                return response
            raise self._stop(StopCode.TOO_MANY, f"{site} answered 429 (too many requests).")
        if wait > self._spider.rules.longest_wait or times >= _MOST_WAITS:
            raise self._stop(
                StopCode.TOO_MANY, f"{site} answered {response.status} and asked to wait {wait:,.0f} s.", wait
            )
        log.warning("%s answered %d and asked to wait %.0f s", site, response.status, wait)
        self._not_before = max(self._not_before, time.monotonic() + wait)
        return request.replace(meta=request.meta | {_WAITED: times + 1}, dont_filter=True)

    def process_exception(self, request: Request, exception: Exception) -> None:
        """The pace counts from the end of a request, however it ended."""
        if not isinstance(exception, Stopped | ForbiddenPage):
            self._set_pace()

    def _stop(self, code: StopCode, why: str, wait: float = 0) -> Stopped:
        self._spider.ledger.stop(why, datetime.now(UTC), wait)
        return Stopped(code, why)

    def _set_pace(self) -> None:
        self._spider.ledger.ended(datetime.now(UTC))
        rules = self._spider.rules
        gap = max(rules.delay, self._crawl_delay)
        gap += random.uniform(0, rules.jitter * gap)
        self._not_before = max(self._not_before, time.monotonic() + gap)

    async def _wait(self) -> None:
        if not self._not_before and (last := self._spider.ledger.last_request()) is not None:
            # An earlier run may have ended a moment ago.
            gone = (datetime.now(UTC) - last).total_seconds()
            self._not_before = time.monotonic() + min(
                self._spider.rules.delay, self._spider.rules.delay - gone
            )
        while (rest := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(rest)

    async def _read_robots(self, request: Request) -> Protego:
        """The rules of the site, read once in each run. Raises `Stopped` where they can't be known."""
        if self._robots is not None:
            return self._robots
        parts = urlsplit(request.url)
        address = f"{parts.scheme}://{parts.netloc}/robots.txt"
        try:
            answer = await self._crawler.engine.download_async(
                Request(address, meta={_ROBOTS: True}, callback=NO_CALLBACK)
            )
        except Stopped:
            raise
        except Exception as error:
            raise self._unknown(address, type(error).__name__) from error
        if 400 <= answer.status < 500 and answer.status != 401:
            text = ""  # there are no rules
        elif answer.status != 200:
            raise self._unknown(address, f"status {answer.status}")
        else:
            text = answer.body[:_ROBOTS_BYTES].decode("utf-8", "replace")
            if text.lstrip().lower().startswith(("<!doctype", "<html")):
                raise self._unknown(address, "a web page")
        self._robots = Protego.parse(text)
        self._crawl_delay = float(self._robots.crawl_delay(self._spider.agent) or 0)
        self._set_pace()
        return self._robots

    def _unknown(self, address: str, found: str) -> Stopped:
        return Stopped(
            StopCode.ROBOTS_UNKNOWN,
            f"The rules of the site were expected at {address}, found {found}; without them nothing is read.",
        )


class ChallengeGuard:
    """A downloader middleware that stops at a test for people which comes with an error status.

    It stands before the retries, which would ask again. A test that comes as an ordinary page is found by the
    spider, when the page has no data.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """As Scrapy makes it."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """Raises `Stopped` at a test for people."""
        if response.status >= 400 and isinstance(response, TextResponse) and is_challenge(response.text):
            spider: ListingsSpider = self._crawler.spider  # type: ignore[assignment]
            raise spider.stop_at_challenge(response.url)
        return response
