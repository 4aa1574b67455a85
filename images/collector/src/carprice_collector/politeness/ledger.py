"""What was asked of a site: the requests of each day, the last one, and until when the site wants none."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from carprice_collector.dates import MOROCCO

_TABLES = """
CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, requests INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class SiteBusy(Exception):
    """Another run asks the site already."""


class Ledger:
    """The account of one site, kept in its folder across runs. Each request is written before it is sent."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._database = sqlite3.connect(f"{folder}/ledger.sqlite", isolation_level=None)
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close its file."""
        self._database.close()

    def take(self, most: int, now: datetime) -> bool:
        """Count one more request of today (in Morocco); False when there were `most` of them."""
        day = _day(now)
        self._database.execute("BEGIN IMMEDIATE")
        found = self._database.execute("SELECT requests FROM days WHERE day = ?", (day,)).fetchone()
        asked = found[0] if found else 0
        if asked < most:
            self._database.execute("REPLACE INTO days VALUES (?, ?)", (day, asked + 1))
            self._write("last", now.isoformat())
        self._database.execute("COMMIT")
        return asked < most

    def ended(self, now: datetime) -> None:
        """A request ended, answered or not: the pace of the next run counts from here."""
        self._write("last", now.isoformat())

    def asked_on(self, now: datetime) -> int:
        """The requests of today."""
        found = self._database.execute("SELECT requests FROM days WHERE day = ?", (_day(now),)).fetchone()
        return int(found[0]) if found else 0

    def last_request(self) -> datetime | None:
        """When the last request ended, of any run, or was sent where its end was not seen."""
        told = self._read("last")
        return datetime.fromisoformat(told) if told else None

    def stop(self, why: str, now: datetime, wait_seconds: float = 0) -> None:
        """Ask nothing more of the site today, nor before `wait_seconds` are over."""
        here = now.astimezone(MOROCCO)
        tomorrow = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), MOROCCO)
        until = max(tomorrow.astimezone(UTC), now + timedelta(seconds=wait_seconds))
        self._write("stopped_until", until.isoformat())
        self._write("stopped_why", why)

    def stopped(self, now: datetime) -> tuple[datetime, str] | None:
        """Until when the site is not asked, and why; None when it may be."""
        until = self._read("stopped_until")
        if until is None or datetime.fromisoformat(until) <= now:
            return None
        return datetime.fromisoformat(until), self._read("stopped_why") or ""

    def _read(self, name: str) -> str | None:
        found = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else None

    def _write(self, name: str, value: str) -> None:
        self._database.execute("REPLACE INTO facts VALUES (?, ?)", (name, value))


@contextmanager
def only_run(folder: str) -> Iterator[None]:
    """Hold the site alone. Raises `SiteBusy`. A killed process lets it go."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SiteBusy from error
        yield


def _day(now: datetime) -> str:
    return now.astimezone(MOROCCO).date().isoformat()
