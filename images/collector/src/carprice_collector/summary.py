"""What a run covers and how full its fields are: the manifest beside the file that it landed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carprice_collector.ads import FIELDS
from carprice_collector.journal import Journal

FORMAT = 1


@dataclass(frozen=True)
class Filling:
    """How many of `ads` ads have each field, and the addresses of two that lack it."""

    ads: int
    filled: Mapping[str, int]
    without: Mapping[str, tuple[str, ...]]

    def share(self, field: str) -> float:
        """The share of ads with the field; 0 of no ads."""
        return self.filled[field] / self.ads if self.ads else 0.0


def filling(journal: Journal) -> Filling:
    """Count the fields of a run's ads, row by row."""
    ads, filled = 0, dict.fromkeys(FIELDS, 0)
    without: dict[str, list[str]] = {field: [] for field in FIELDS}
    for row in journal.rows():
        ads += 1
        for field in FIELDS:
            if row.get(field):
                filled[field] += 1
            elif len(without[field]) < 2:
                without[field].append(row.get("url", ""))
    return Filling(ads, filled, {field: tuple(found) for field, found in without.items()})


def manifest(journal: Journal, filled: Filling) -> dict[str, Any]:
    """What the run is, as JSON holds it.

    `complete` says that every page of `scope` was read: an ad of an earlier complete run of the same scope
    that is missing here is gone. A run that is not complete says nothing of ads that it does not hold.
    """
    counts = journal.counts()
    search_pages, on_them = journal.ads_of_search_pages()
    stopped = journal.get("stopped")
    lost = {state: counts[state] for state in ("failed", "forbidden", "moved") if counts.get(state)}
    return {
        "format": FORMAT,
        "run": journal.get("run"),
        "source": journal.get("source"),
        "site": journal.get("site"),
        "scope": journal.get("scope"),
        "started_at": journal.get("started_at"),
        "ended_at": journal.get("ended_at"),
        "complete": not stopped and not lost and not counts.get("waiting"),
        "stopped": stopped,
        "stopped_why": journal.get("stopped_why"),
        "pages_read": counts.get("read", 0),
        "pages_waiting": counts.get("waiting", 0),
        "pages_lost": lost,
        "refusals": journal.get("refusals") or 0,
        "search_pages": search_pages,
        "ads_on_search_pages": on_them,
        "said_total": journal.get("said_total"),
        "ads": filled.ads,
        "unpriced": filled.ads - filled.filled["price_mad"],
        "filled": {field: round(filled.share(field), 4) for field in FIELDS},
    }
