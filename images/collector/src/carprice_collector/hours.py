"""The hours of the day in which sites are asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

from carprice_collector.dates import MOROCCO


@dataclass(frozen=True)
class Hours:
    """A part of the day in Morocco; it may go over midnight."""

    begin: time
    end: time

    def hold(self, moment: datetime) -> bool:
        """Whether a moment (with a time zone) is in it."""
        now = moment.astimezone(MOROCCO).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"
