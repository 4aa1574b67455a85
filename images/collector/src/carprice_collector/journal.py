"""The journal of a run: which pages wait, which were read, and the ads found so far.

A page and its ads are written in one transaction, so that a killed run goes on where it was: no ad is lost
and none is there twice. Scrapy's own persistence loses its queue when the process is killed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carprice_collector.pages import Link

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, address TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'waiting', ads INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS pages_by_state ON pages (state, id);
CREATE TABLE IF NOT EXISTS ads (key TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class WaitingPage:
    """A page that has not been read yet."""

    id: int
    kind: str
    address: str


class Journal:
    """One run's journal, a SQLite file."""

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_TABLES)

    def begin(self, facts: Mapping[str, Any], links: Iterable[Link]) -> None:
        """Write what the run is, and its first pages."""
        with self._transaction():
            for name, value in facts.items():
                self._set(name, value)
            self._add_links(links)

    def get(self, name: str) -> Any:
        """A fact of the run; None where it is not there."""
        found = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def set(self, **facts: Any) -> None:
        """Write facts of the run."""
        with self._transaction():
            for name, value in facts.items():
                self._set(name, value)

    def count_refusal(self) -> None:
        """The site asked to wait or to stop once more."""
        self.set(refusals=(self.get("refusals") or 0) + 1)

    def next_page(self) -> WaitingPage | None:
        """The first page that waits."""
        found = self._database.execute(
            "SELECT id, kind, address FROM pages WHERE state = 'waiting' ORDER BY id LIMIT 1"
        ).fetchone()
        return WaitingPage(*found) if found else None

    def page_read(
        self, page: int, rows: Mapping[str, Mapping[str, str]], links: Iterable[Link], said_total: int | None
    ) -> None:
        """A page was read: its ads by their keys, and the pages that it leads to.

        What an earlier page told of an ad, and this one does not, stays.
        """
        with self._transaction():
            for key, row in rows.items():
                found = self._database.execute("SELECT row FROM ads WHERE key = ?", (key,)).fetchone()
                known = json.loads(found[0]) if found else {}
                merged = known | {name: value for name, value in row.items() if value or name not in known}
                self._database.execute(
                    "REPLACE INTO ads VALUES (?, ?)", (key, json.dumps(merged, ensure_ascii=False))
                )
            self._add_links(links)
            self._database.execute("UPDATE pages SET state = 'read', ads = ? WHERE id = ?", (len(rows), page))
            if said_total is not None:
                self._set("said_total", said_total)

    def page_failed(self, page: int, state: str, why: str) -> None:
        """A page could not be read: `failed`, `forbidden`, or `moved` where its shape was another one."""
        self._database.execute("UPDATE pages SET state = ?, why = ? WHERE id = ?", (state, why, page))

    def counts(self) -> dict[str, int]:
        """The pages in each state."""
        return dict(self._database.execute("SELECT state, COUNT(*) FROM pages GROUP BY state"))

    def pages_in(self, state: str, most: int = 10) -> list[tuple[str, str]]:
        """Address and reason of pages in a state."""
        return list(
            self._database.execute(
                "SELECT address, why FROM pages WHERE state = ? ORDER BY id LIMIT ?", (state, most)
            )
        )

    def ads_of_search_pages(self) -> tuple[int, int]:
        """The search pages that were read, and the ads on them (an ad on two pages counts twice)."""
        found = self._database.execute(
            "SELECT COUNT(*), COALESCE(SUM(ads), 0) FROM pages WHERE state = 'read' AND kind = 'search'"
        ).fetchone()
        return int(found[0]), int(found[1])

    def rows(self) -> Iterator[dict[str, str]]:
        """The ads as rows, in the order of their keys."""
        for (row,) in self._database.execute("SELECT row FROM ads ORDER BY key"):
            yield json.loads(row)

    def close(self) -> None:
        """Close its file."""
        self._database.close()

    def remove(self) -> None:
        """Delete its file: the run is over and its ads are elsewhere."""
        self.close()
        for ending in ("-wal", "-shm", ""):
            if os.path.exists(self.path + ending):
                os.unlink(self.path + ending)

    def _add_links(self, links: Iterable[Link]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO pages (kind, address) VALUES (?, ?)",
            [(link.kind, link.address) for link in links],
        )

    def _set(self, name: str, value: Any) -> None:
        self._database.execute(
            "REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False))
        )

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        # The connection commits at the end of the block, or rolls back.
        return self._database
