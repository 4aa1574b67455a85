"""Running the spider: Scrapy with the settings that the contract of politeness needs."""

from __future__ import annotations

from typing import Any

from scrapy.crawler import AsyncCrawlerProcess

from carprice_collector.journal import Journal
from carprice_collector.politeness.ledger import Ledger
from carprice_collector.politeness.rules import Rules
from carprice_collector.settings import AGENT, Settings
from carprice_collector.sources import Source
from carprice_collector.spider import ListingsSpider


def crawl(source: Source, journal: Journal, ledger: Ledger, settings: Settings, most_pages: int) -> None:
    """Read the waiting pages of a run until none is left or the run stops. Once in each process."""
    rules = Rules(
        delay=settings.delay_seconds,
        jitter=settings.jitter,
        pages_per_day=settings.pages_per_day,
        longest_wait=settings.longest_wait_seconds,
        hours=settings.open_hours,
    )
    process = AsyncCrawlerProcess(scrapy_settings(settings))
    process.crawl(ListingsSpider, source, journal, ledger, rules, AGENT, most_pages)
    process.start()


def scrapy_settings(settings: Settings) -> dict[str, Any]:
    """Scrapy's settings."""
    return {
        "USER_AGENT": settings.user_agent,
        "DOWNLOAD_HANDLERS": dict.fromkeys(("data", "file", "ftp", "s3")),
        # One request at a time. The gate's delay is never shorter than Scrapy's.
        "CONCURRENT_REQUESTS": 1,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": settings.delay_seconds,
        "DOWNLOAD_DELAY_JITTER": 0,
        # Makes the delay longer while a site is slow, never shorter than DOWNLOAD_DELAY.
        "AUTOTHROTTLE_ENABLED": settings.delay_seconds > 0,
        "AUTOTHROTTLE_START_DELAY": settings.delay_seconds,
        "AUTOTHROTTLE_MAX_DELAY": max(60.0, settings.delay_seconds),
        # The gate reads robots.txt: Scrapy takes one that can't be read for a permission.
        "ROBOTSTXT_OBEY": False,
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
            "carprice_collector.politeness.gate.ChallengeGuard": 580,
            "carprice_collector.politeness.gate.Gate": 990,
        },
        "RETRY_TIMES": 2,
        "RETRY_HTTP_CODES": [500, 502, 503, 504, 408],
        "REDIRECT_MAX_TIMES": 4,
        "METAREFRESH_ENABLED": False,
        "DOWNLOAD_MAXSIZE": settings.page_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_TIMEOUT": settings.timeout_seconds,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        # Nobody is recognised, and nothing of a page is kept: pages hold names and telephone numbers.
        "COOKIES_ENABLED": False,
        "REFERRER_POLICY": "no-referrer",
        "HTTPCACHE_ENABLED": False,
        # The journal knows which pages were read.
        "DUPEFILTER_CLASS": "scrapy.dupefilters.BaseDupeFilter",
        # No port of this machine is opened, and the spider logs what there is to say.
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "EXTENSIONS": {"scrapy.extensions.logstats.LogStats": None},
        "LOG_INSTALL_ROOT_HANDLER": False,
        "STATS_DUMP": False,
    }
