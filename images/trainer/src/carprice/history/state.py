"""What a sequence of files tells: the listings, what they were seen with, and which ads are copies.

The state after one more file is made from the state before and that file alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from carprice.history.car_groups import NEITHER, TEST, TRAINING, assign_sides, group_cars
from carprice.history.linking import PAIR_COLUMNS, link_file, names_of
from carprice.history.merging import CONTRADICTION_COLUMNS, merge_rows
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import as_canonical

RULES = 2
"""Whoever changes the code so that the same files give other listings, copies or sides raises this number."""

CAR_COLUMNS = ["listing_id", "group", "side"]
TIMES = ["first_seen_at", "last_seen_at"]
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
    """The tables of a state.

    `sightings` has one row for each listing and content that it was seen with: the canonical columns, and the
    times at which it was seen so first and last. `listings` has one row per listing, with what all its copies
    say. `contradictions` is what copies say differently, `pairs` the copies (`linking.PAIR_COLUMNS`), `cars`
    the group and the side of each listing (`CAR_COLUMNS`).
    """

    sightings: pd.DataFrame
    listings: pd.DataFrame
    contradictions: pd.DataFrame
    pairs: pd.DataFrame
    cars: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """Each table by its name."""
        return {name: getattr(self, name) for name in TABLES}


TABLES = ("sightings", "listings", "contradictions", "pairs", "cars")


def empty_state() -> State:
    """The state before the first file."""
    canonical = as_canonical(pd.DataFrame(index=pd.RangeIndex(0)))
    times = dict.fromkeys(TIMES, canonical["scraped_at"])
    tables = (CONTRADICTION_COLUMNS, PAIR_COLUMNS, CAR_COLUMNS)
    contradictions, pairs, cars = (pd.DataFrame(columns=names, dtype=object) for names in tables)
    pairs = pairs.astype({"confidence": float})
    return State(canonical.assign(**times), canonical, contradictions, pairs, cars)


def as_written(tables: dict[str, pd.DataFrame]) -> State:
    """The state of tables that were read from files, typed as they were before."""
    canonical = as_canonical(tables["listings"])
    sightings = as_canonical(tables["sightings"])
    times = {
        name: pd.to_datetime(tables["sightings"][name], utc=True).astype("datetime64[us, UTC]")
        for name in TIMES
    }
    texts = {name: tables[name].astype(object) for name in ("contradictions", "cars")}
    pairs = tables["pairs"].astype(dict.fromkeys(PAIR_COLUMNS[:3], object) | {"confidence": float})
    return State(sightings.assign(**times), canonical, pairs=pairs, **texts)


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
    linked, found = link_file(state.sightings, state.pairs, rows, terms.cuts)
    pairs = _below(state.pairs, found)
    seen_at = rows["scraped_at"].fillna(received)
    seen = linked.assign(**dict.fromkeys(TIMES, seen_at.array))
    is_touched = state.sightings["listing_id"].isin(linked["listing_id"]).to_numpy()
    touched = _distinct(_below(state.sightings[is_touched], seen))
    merged, contradictions = merge_rows(touched[list(COLUMNS)], touched["last_seen_at"])
    state = replace(
        state,
        sightings=_below(state.sightings[~is_touched], touched),
        listings=_below(_without(state.listings, merged), merged),
        contradictions=_below(_without(state.contradictions, merged), contradictions),
        pairs=pairs,
    )
    sides = _sides(state, sides_before)
    groups = group_cars(state.listings, pairs)
    return replace(state, cars=assign_sides(state.listings, groups, sides, terms.test_share, terms.seed))


def _distinct(sightings: pd.DataFrame) -> pd.DataFrame:
    """One row for each listing and content, the newest; in order of time, then in the order given."""
    ordered = sightings.sort_values("last_seen_at", kind="stable", ignore_index=True)
    content = ordered[[name for name in COLUMNS if name not in _PROVENANCE]]
    keys = pd.util.hash_pandas_object(content, index=False)
    first = ordered["first_seen_at"].groupby(keys.to_numpy(), sort=False).transform("min")
    newest = ~keys.duplicated(keep="last")
    return ordered.assign(first_seen_at=first)[newest].reset_index(drop=True)


def _sides(state: State, before: pd.Series[Any] | None) -> pd.Series[Any] | None:
    """The side of each listing id that has one."""
    now: pd.Series[Any] = state.cars.set_index("listing_id")["side"]
    if before is None:
        return now
    names = names_of(state.listings["listing_id"], state.pairs)
    there = names["name"].map(before)
    told = []
    for side in (TEST, NEITHER, TRAINING):
        was = names.loc[(there == side).to_numpy(), "listing_id"].unique()
        told.append(pd.Series(side, index=was, dtype=object))
    sides = pd.concat([*told, now], axis=0).astype(object)
    # a test listing stays one; otherwise the side of this state counts
    sides = sides.iloc[(sides != TEST).argsort(kind="stable")]
    once: pd.Series[Any] = sides[~sides.index.duplicated()]
    return once


def _without(table: pd.DataFrame, replaced: pd.DataFrame) -> pd.DataFrame:
    return table[~table["listing_id"].isin(replaced["listing_id"]).to_numpy()]


def _below(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The rows of both tables, which have the same columns; an empty one gives no types."""
    filled = [table for table in (first, second) if len(table)]
    if not filled:
        return first.reset_index(drop=True)
    return pd.concat(filled, ignore_index=True)[list(first.columns)]
