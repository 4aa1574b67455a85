"""Files that are added to a state one after another, of which the tables are made once, at the end.

What a file says is decided by the files before it, so files are linked and grouped one at a time; but on
arrays of numbers, and only among the listings of the makes and models that the files have. So it makes no
difference to the state how many files are added at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.history.car_groups import side_codes
from carprice.history.columnar import (
    Mask,
    arrow_of,
    below,
    codes_of,
    frame_of,
    is_among,
    microseconds,
    mixed,
    numbers_in,
    rows_of,
    with_column,
    with_times,
)
from carprice.history.comparing import LOOKED_AT, Codes, side_of
from carprice.history.contents import Contents
from carprice.history.copies import SURE, copies_of, numbered_cuts
from carprice.history.looked_at import LOOKED_AT_BY, looked_at
from carprice.history.merging import merge_rows
from carprice.history.numberings import given_ids, ids_with_car, told_otherwise
from carprice.history.parts import InParts, Joined, some_columns, some_rows
from carprice.history.regrouping import Draw, Groups, ranks_of
from carprice.listings.schema import COLUMNS, FEATURES

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Landed:
    """A file to add: its accepted rows (Arrow, canonical columns), and when it was received (with a zone).

    `with_car` says whether its ids tell an ad only together with the car; None: it is to be found out.
    """

    rows: pa.Table
    received_at: datetime
    with_car: bool | None = None


@dataclass(frozen=True)
class Added:
    """What a file said of ads that were known before it.

    Of `ads` in the file `same_id` have the id of a known ad, `linked` are copies of a known ad, `unsure` may
    be one, and `new` are linked to nothing. `filled` counts, by column, the known listings that the file gave
    their first value. `pairs` are the copies that it brought (`linking.PAIR_COLUMNS`, ids as numbers).
    `content` tells what its rows say, with the ids that count (`with_car`).
    """

    content: str
    with_car: bool
    ads: int
    same_id: int
    linked: int
    unsure: int
    new: int
    filled: dict[str, int]
    pairs: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """The numbers of ads, as JSON."""
        return {name: getattr(self, name) for name in ("ads", "same_id", "linked", "unsure", "new")}


class WorkingSet:
    """The listings that files may touch: of a state, whose tables are given, and of the files themselves.

    `draw` and `cuts` are terms of the state. `sides_before` has the sides, by id, of a state that was made on
    other terms; a listing that was a test listing there stays one. Rows are those of known sightings, then
    those of the files; the id of each is a number, whose text is in `names` under it.
    """

    def __init__(
        self,
        tables: Mapping[str, pa.Table],
        files: Sequence[Landed],
        draw: Draw,
        cuts: Collection[tuple[str, str]],
        sides_before: pd.Series[Any] | None = None,
    ) -> None:
        self._tables, self._files = tables, files
        new = pa.concat_tables([file.rows for file in files]).unify_dictionaries().combine_chunks()
        lengths = [len(file.rows) for file in files]
        self._given = given_ids(new.column("listing_id"))
        with_car = ids_with_car(new, self._given)
        pairs, cars = tables["pairs"], tables["cars"]
        keys = some_columns(tables, "sightings", LOOKED_AT_BY)
        known = some_rows(tables, "sightings", looked_at(keys, pairs, cars, new, with_car))
        k = self._k = len(known)
        self._ends = k + np.cumsum(lengths)
        received = np.repeat([microseconds(file.received_at) for file in files], lengths)
        seen = np.asarray(new.column("scraped_at").cast(pa.int64()).fill_null(_NEVER))
        seen = np.where(seen == _NEVER, received, seen)
        times = [np.asarray(known.column(name).cast(pa.int64())) for name in _TIMES]
        self._first, self._last = (np.concatenate([time, seen]) for time in times)
        numbers, names = numbers_in(
            [
                known.column("listing_id"),
                new.column("listing_id"),
                with_car,
                pairs.column("new"),
                pairs.column("known"),
            ]
        )
        self._names, self._plain, self._with_car = names, numbers[1], numbers[2]
        self._ids: Codes = np.concatenate(numbers[:2])
        self._contents = Contents(new, lengths, self._given, names, self._with_car)
        self._table = below(known.select(list(COLUMNS)), new)
        del known, new, keys
        self._side = side_of(self._table.select(LOOKED_AT), self._ids, names)
        self._make = codes_of(self._table, "make")
        self._features = _features_of(self._table)
        rows, n = len(self._ids), len(names)
        self._alive: Mask = np.arange(rows) < k
        self._order = np.arange(rows)
        self._next, self._next_listing = k, len(cars)
        self._newest = np.full(n, -1, dtype=np.int64)
        self._newest[self._ids[:k]] = np.arange(k)
        self._touched: Mask = np.zeros(n, dtype=bool)
        self._listing_order = np.zeros(n, dtype=np.int64)
        self._kept = np.arange(n)
        self._cuts = numbered_cuts(cuts, names)
        self._pairs: list[pd.DataFrame] = []
        self._as_told: Codes = np.zeros(0, dtype=np.int64)
        before = None
        if sides_before is not None:
            before = ranks_of(side_codes(pd.Series(names, dtype=object).map(sides_before)))
        self._groups = Groups(self._side, draw, before)
        ordered = np.argsort(self._ids[:k], kind="stable")
        self._groups.begin(cars, ordered, self._ids[ordered])
        self._link(numbers[3], numbers[4], pairs.column("confidence").to_numpy() >= SURE)

    def __len__(self) -> int:
        """The number of files."""
        return len(self._files)

    def knows(self) -> bool:
        """Whether any listing is known."""
        return self._next_listing > 0

    def add(self, number: int) -> Added:
        """Add the file of this number, after those before it."""
        rows = self._rows(number)
        plain = self._plain[rows - self._k]
        with_car = self._files[number].with_car
        if with_car is None:
            with_car = self._numbered_otherwise(rows, plain)
        own = self._with_car[rows - self._k] if with_car else plain
        self._as_told = ids = self._kept[own]
        self._ids[rows] = ids
        pairs = self._copies(rows)
        sure = pairs["confidence"].to_numpy() >= SURE
        new, known = pairs["new"].to_numpy(), pairs["known"].to_numpy()
        self._link(new, known, sure)
        self._pairs.append(pairs)
        ids = np.where(np.isin(ids, new[sure]), self._kept[ids], ids)
        self._ids[rows] = ids
        there_before = self._newest[ids] >= 0
        filled = self._touch(rows, known[~sure])
        _, first = np.unique(own, return_index=True)
        own, there_before = own[first], there_before[first]
        linked = np.isin(own, new[sure])
        unsure = np.isin(own, new[~sure]) & ~linked
        return Added(
            content=self._contents.of(number, with_car),
            with_car=with_car,
            ads=len(own),
            same_id=int((there_before & ~linked).sum()),
            linked=int(linked.sum()),
            unsure=int((unsure & ~there_before).sum()),
            new=int((~there_before & ~linked & ~unsure).sum()),
            filled=filled,
            pairs=pairs,
        )

    def said_by(self, number: int, pairs: pd.DataFrame, columns: Sequence[str]) -> list[pd.DataFrame]:
        """What the ads of each pair say: the new one in the file that was added last, the known one first."""
        rows = self._rows(number)
        last = dict(zip(self._as_told.tolist(), rows.tolist(), strict=True))
        of_new = [last[ad] for ad in pairs["new"]]
        wanted = np.flatnonzero(self._alive & np.isin(self._ids, pairs["known"].to_numpy()))
        wanted = wanted[np.argsort(-self._order[wanted], kind="stable")]
        first = dict(zip(self._ids[wanted].tolist(), wanted.tolist(), strict=True))
        of_known = [first[ad] for ad in pairs["known"]]
        return [frame_of(self._table.select(columns).take(pa.array(found))) for found in (of_new, of_known)]

    def named(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Pairs with the texts of their ids."""
        texts = {name: self._names[pairs[name].to_numpy(dtype=np.int64)] for name in ("new", "known")}
        return pairs.assign(**texts).astype({"new": object, "known": object, "rule": object})

    def tables(self) -> Mapping[str, pa.Table]:
        """The tables of the state after the files that were added. Nothing can be added after it.

        Of the large tables of a stored state, only the rows that are new are in memory.
        """
        rows = np.flatnonzero(self._alive & self._touched[self._ids])
        rows = rows[np.argsort(self._order[rows], kind="stable")]
        ids = self._ids[rows]
        said = with_column(self._table.take(pa.array(rows)), "listing_id", self._names[ids])
        listings = np.flatnonzero(self._touched)
        listings = listings[np.argsort(self._listing_order[listings], kind="stable")]
        held = {"cars": self._groups.table(self._tables["cars"], listings)}
        gone = pa.array(self._names[listings], pa.string())
        merged, contradictions = self._merged(said, rows, ids)
        new = {
            "sightings": with_times(said, self._first[rows], self._last[rows]),
            "listings": merged,
            "contradictions": contradictions,
        }
        # a million rows take 700 MB, and the tables come on top of them
        del said, merged, self._table, self._side, self._groups, self._contents
        pairs = pd.concat(self._pairs, ignore_index=True) if self._pairs else None
        held["pairs"] = self._tables["pairs"]
        if pairs is not None and len(pairs):
            held["pairs"] = below(held["pairs"], arrow_of(self.named(pairs).astype({"confidence": float})))
        stays = {
            name: ~is_among(some_columns(self._tables, name, ["listing_id"]).column(0), gone) for name in new
        }
        if isinstance(self._tables, InParts) and not isinstance(self._tables, Joined):
            return Joined(self._tables, stays, new, held)
        for name in list(new):
            before = self._tables[name]
            held[name] = below(rows_of(before, stays[name]), new.pop(name).select(before.column_names))
        return held

    def _rows(self, number: int) -> Rows:
        end = self._ends[number]
        return np.arange(end - len(self._files[number].rows), end)

    def _numbered_otherwise(self, rows: Rows, ids: Codes) -> bool:
        """Whether the ids that a file gives stand for other cars before it: see `numberings`."""
        given = self._given[rows - self._k]
        if not given.any():
            return False
        _, first = np.unique(ids[given], return_index=True)
        mine = rows[given][first]
        theirs = self._newest[self._kept[ids[given][first]]]
        mine, theirs = mine[theirs >= 0], theirs[theirs >= 0]
        make, family, year = (
            array[mine] != array[theirs] for array in (self._make, self._side.family, self._side.year)
        )
        return told_otherwise(make, family, year)

    def _copies(self, rows: Rows) -> pd.DataFrame:
        """The pairs of copies that these rows make with what is known: numbers of ids, rule, confidence."""
        families = np.zeros(int(self._side.family.max(initial=0)) + 1, dtype=bool)
        families[self._side.family[rows]] = True
        mine = np.zeros(len(self._names), dtype=bool)
        mine[self._ids[rows]] = True
        known = np.flatnonzero(self._alive & (families[self._side.family] | mine[self._ids]))
        known = self._prices(known[np.argsort(self._order[known], kind="stable")])
        found = copies_of(self._side.take(known), self._side.take(rows), self._cuts)
        links = found.links[found.links["rule"] != "same_id"]
        tables = [table for table in (links, found.ambiguous) if len(table)]
        return pd.concat(tables, ignore_index=True) if tables else found.ambiguous

    def _prices(self, rows: Rows) -> Rows:
        """One row for each listing, price and mileage; the newest of them."""
        ids, side = self._ids[rows], self._side
        if len(pd.unique(ids)) == len(ids):
            return rows
        said = (array[rows].view(np.uint64) for array in (side.price, side.low, side.high))
        return rows[~pd.Series(mixed([ids, *said])).duplicated(keep="last").to_numpy()]

    def _link(self, new: Codes, known: Codes, sure: Mask) -> None:
        self._kept[new[sure]] = known[sure]
        self._groups.link(new, known, sure)

    def _touch(self, rows: Rows, partners: Codes) -> dict[str, int]:
        """Put new rows to the sightings of their listings; how many listings got first values, by column.

        Of each listing and content one sighting stays, the newest. Those of touched listings stand at the
        end, in order of time, then in the order given.
        """
        mine = np.zeros(len(self._names), dtype=bool)
        mine[self._ids[rows]] = True
        old = np.flatnonzero(self._alive & mine[self._ids])
        old = old[np.argsort(self._order[old], kind="stable")]
        seen = np.concatenate([old, rows])
        seen = seen[np.argsort(self._last[seen], kind="stable")]
        same = mixed([self._ids[seen], self._contents.hashes(self._table, seen)])
        place = np.unique(same, return_inverse=True)[1]
        first = np.full(int(place.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, place, self._first[seen])
        newest = np.zeros(len(first), dtype=np.int64)
        newest[place] = np.arange(len(seen))
        newest.sort()
        kept = seen[newest]
        self._first[kept] = first[place[newest]]
        filled = self._filled(old, kept)
        self._alive[old] = False
        self._alive[kept] = True
        self._order[kept] = self._next + np.arange(len(kept))
        self._next += len(kept)
        by_listing = np.argsort(self._ids[kept], kind="stable")
        ordered = kept[by_listing]
        ids = self._ids[ordered]
        ends = np.flatnonzero(np.append(ids[1:] != ids[:-1], True)) if len(ids) else np.zeros(0, np.int64)
        listings = ids[ends]
        self._newest[listings] = ordered[ends]
        self._touched[listings] = True
        self._listing_order[listings] = self._next_listing + by_listing[ends]
        self._next_listing += len(kept)
        if len(listings):
            self._groups.add(ordered, ids, self._listing_order[listings], partners)
        return filled

    def _filled(self, old: Rows, now: Rows) -> dict[str, int]:
        if not len(old):
            return {}
        listings = np.unique(self._ids[old])
        now = now[np.isin(self._ids[now], listings)]
        before, after = (np.zeros(len(listings), dtype=np.uint64) for _ in range(2))
        for said, rows in ((before, old), (after, now)):
            np.bitwise_or.at(said, np.searchsorted(listings, self._ids[rows]), self._features[rows])
        gained = after & ~before
        counts = {
            name: int((gained >> np.uint64(bit) & np.uint64(1)).sum()) for bit, name in enumerate(FEATURES)
        }
        counts.pop("mileage_km_max")
        return {name: n for name, n in sorted(counts.items(), key=lambda pair: -pair[1]) if n}

    def _merged(self, said: pa.Table, rows: Rows, ids: Codes) -> tuple[pa.Table, pa.Table]:
        """The touched listings, of all their sightings (rows), and what these contradict each other in."""
        several = np.bincount(ids, minlength=1)[ids] > 1
        times = pd.Series(pd.to_datetime(self._last[rows[several]], unit="us", utc=True))
        merged, contradictions = merge_rows(frame_of(rows_of(said, several)), times)
        # a listing stands where its newest row stands
        repeated = ids[several]
        newest = np.sort(len(repeated) - 1 - np.unique(repeated[::-1], return_index=True)[1])
        order = self._listing_order[np.concatenate([ids[~several], repeated[newest]])]
        listings = below(rows_of(said, ~several), arrow_of(merged))
        listings = listings.take(pa.array(np.argsort(order, kind="stable")))
        places = pd.Series(self._listing_order[repeated[newest]], index=merged["listing_id"])
        of_listing = places.reindex(contradictions["listing_id"]).to_numpy()
        return listings, arrow_of(contradictions.iloc[np.argsort(of_listing, kind="stable")])


_NEVER = np.iinfo(np.int64).min
_TIMES = ("first_seen_at", "last_seen_at")


def _features_of(table: pa.Table) -> npt.NDArray[np.uint64]:
    """One bit for each of `FEATURES` that a row says, shape (n,)."""
    said = np.zeros(len(table), dtype=np.uint64)
    for bit, name in enumerate(FEATURES):
        said |= np.asarray(table.column(name).is_valid()).astype(np.uint64) << np.uint64(bit)
    return said
