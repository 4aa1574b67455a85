"""The rules that a site is asked by, and the reasons to stop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scrapy.exceptions import IgnoreRequest

from carprice_collector.hours import Hours


class StopCode(StrEnum):
    """Why a run ended before its last page."""

    REFUSED = "refused"
    TOO_MANY = "too_many_requests"
    CHALLENGE = "challenge"
    ROBOTS_UNKNOWN = "robots_unknown"
    BUDGET = "budget"
    HOURS = "hours"
    MOVED = "moved"
    FAILURES = "failures"
    PAGES = "pages"
    KILLED = "killed"
    INTERRUPTED = "interrupted"


class Stopped(IgnoreRequest):
    """The site is not asked any more in this run; the message says why."""

    def __init__(self, code: StopCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class ForbiddenPage(IgnoreRequest):
    """A page that is not for us: robots.txt disallows it, or it is on another host."""


@dataclass(frozen=True)
class Rules:
    """How a site is asked. Times are in seconds; `jitter` is a share of `delay`."""

    delay: float
    jitter: float
    pages_per_day: int
    longest_wait: float
    hours: Hours | None = None
