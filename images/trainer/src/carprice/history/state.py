"""What a sequence of files tells: the listings, what they were seen with, and which ads are copies.

The state after one more file is made from the state before and that file alone, and of the state before only
the listings of the makes and models that the file has are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from carprice.history.columnar import (
    among,
    arrow_of,
    below,
    families,
    families_of,
    frame_of,
    is_one_of,
    rows_of,
)
from carprice.history.comparing import LOOKED_AT
from carprice.history.linking import PAIR_COLUMNS, aliases, link_file
from carprice.history.merging import CONTRADICTION_COLUMNS, merge_rows
from carprice.history.regrouping import CAR_COLUMNS, Draw, cars_after
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import as_canonical

RULES = 3
"""Whoever changes the code so that the same files give other listings, copies or sides raises this number."""

TIMES = ["first_seen_at", "last_seen_at"]
TABLES = ("sightings", "listings", "contradictions", "pairs", "cars")
_PROVENANCE = ("scraped_at", "source_sha256")


@dataclass(frozen=True)
class Terms:
    """What beside the files decides about a state.

    `cuts` are pairs of ids, in order, that a person said are two ads.
    """

    test_share: float
    seed: int
    cuts: Collection[tuple[str, str]] = ()


@dataclass(frozen=True)
class State:
    """The tables of a state, as Arrow in `tables` and each as pandas by its name.

    `sightings` has one row for each listing and content that it was seen with: the canonical columns, and the
    times at which it was seen so first and last. `listings` has one row per listing, with what all its copies
    say. `contradictions` is what copies say differently, `pairs` the copies (`linking.PAIR_COLUMNS`), `cars`
    the group and the side of each listing (`CAR_COLUMNS`), in the order of `listings`.
    """

    tables: Mapping[str, pa.Table]

    @property
    def sightings(self) -> pd.DataFrame:
        """All of the table, which takes about a GiB for a million rows."""
        return frame_of(self.tables["sightings"])

    @property
    def listings(self) -> pd.DataFrame:
        """All of the table, which takes about a GiB for a million rows."""
        return frame_of(self.tables["listings"])

    @property
    def contradictions(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["contradictions"])

    @property
    def pairs(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["pairs"])

    @property
    def cars(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["cars"])

    def __len__(self) -> int:
        """The number of listings."""
        return len(self.tables["listings"])

    def having(self, table: str, ids: Iterable[str], column: str = "listing_id") -> pd.DataFrame:
        """The rows of a table with one of these ids."""
        found = self.tables[table]
        return frame_of(rows_of(found, among(found, column, ids)))

    def kept(self, ids: pd.Series[Any]) -> pd.Series[Any]:
        """The ids that ads with these ids keep."""
        known = aliases(self.having("pairs", ids, "new"))
        return ids.map(known).fillna(ids).astype(object) if len(known) else ids


def empty_state() -> State:
    """The state before the first file."""
    canonical = as_canonical(pd.DataFrame(index=pd.RangeIndex(0)))
    times = dict.fromkeys(TIMES, canonical["scraped_at"])
    contradictions, pairs, cars = (
        pd.DataFrame(columns=names, dtype=object)
        for names in (CONTRADICTION_COLUMNS, PAIR_COLUMNS, CAR_COLUMNS)
    )
    frames = (canonical.assign(**times), canonical, contradictions, pairs.astype({"confidence": float}), cars)
    return State({name: arrow_of(frame) for name, frame in zip(TABLES, frames, strict=True)})


def with_file(
    state: State,
    rows: pd.DataFrame,
    received_at: datetime,
    terms: Terms,
    sides_before: pd.Series[Any] | None = None,
) -> State:
    """The state after a file with these accepted rows (canonical columns), received at a time with a zone.

    A row without a time of its own was seen when its file was received. `sides_before` has the sides, by id,
    of a state that was made on other terms; a listing that was a test listing there stays one.
    """
    received = pd.Timestamp(received_at).tz_convert("UTC").as_unit("us")
    rows = rows.reset_index(drop=True)
    known_pairs = state.having("pairs", rows["listing_id"].unique(), "new")
    linked, found = link_file(_alike(state, rows), known_pairs, rows, terms.cuts)
    seen_at = rows["scraped_at"].fillna(received)
    seen = linked.assign(**dict.fromkeys(TIMES, seen_at.array))
    tables = dict(state.tables)
    tables["pairs"] = below(tables["pairs"], arrow_of(found.astype({"confidence": float})))
    sightings, others = _taken_out(tables["sightings"], seen["listing_id"])
    touched = _distinct(pd.concat([sightings, seen], ignore_index=True) if len(sightings) else seen)
    tables["sightings"] = below(others, arrow_of(touched[sightings.columns]))
    merged, contradictions = merge_rows(touched[list(COLUMNS)], touched["last_seen_at"])
    tables["contradictions"] = below(
        _taken_out(tables["contradictions"], merged["listing_id"])[1], arrow_of(contradictions)
    )
    tables["listings"] = below(_taken_out(tables["listings"], merged["listing_id"])[1], arrow_of(merged))
    draw = Draw(terms.test_share, terms.seed, sides_before)
    tables["cars"] = cars_after(state.tables, tables["listings"], tables["pairs"], merged, draw)
    return State(tables)


def _alike(state: State, rows: pd.DataFrame) -> pd.DataFrame:
    """The sightings of the makes and models of a file's rows, and of the same ids: columns `LOOKED_AT`."""
    sightings = state.tables["sightings"].select(LOOKED_AT)
    chosen = is_one_of(families(sightings), families_of(rows))
    chosen = chosen | among(sightings, "listing_id", state.kept(rows["listing_id"]).unique())
    return frame_of(sightings, chosen=chosen, short=True)


def _taken_out(table: pa.Table, ids: pd.Series[Any]) -> tuple[pd.DataFrame, pa.Table]:
    """The rows of a table that have one of the ids, and the others."""
    chosen = among(table, "listing_id", ids.unique())
    if not chosen.any():
        return frame_of(table.slice(0, 0)), table
    return frame_of(rows_of(table, chosen)), rows_of(table, ~chosen)


def _distinct(sightings: pd.DataFrame) -> pd.DataFrame:
    """One row for each listing and content, the newest; in order of time, then in the order given."""
    ordered = sightings.sort_values("last_seen_at", kind="stable", ignore_index=True)
    content = ordered[[name for name in COLUMNS if name not in _PROVENANCE]]
    keys = pd.util.hash_pandas_object(content, index=False)
    first = ordered["first_seen_at"].groupby(keys.to_numpy(), sort=False).transform("min")
    newest = ~keys.duplicated(keep="last")
    return ordered.assign(first_seen_at=first)[newest].reset_index(drop=True)
