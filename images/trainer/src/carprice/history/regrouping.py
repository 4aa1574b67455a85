"""The car group and the side of each listing, file after file: only what a file touches is grouped again."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from carprice.history.car_groups import (
    SIDES,
    TEST,
    Labels,
    Looks,
    Sides,
    groups_of,
    sides_of_groups,
)
from carprice.history.columnar import Mask, mixed, places_of, rows_of
from carprice.history.comparing import Bits, Codes, Side
from carprice.history.mileage_steps import step_of

_Number = TypeVar("_Number", bound=np.number[Any])

CAR_COLUMNS = ["listing_id", "group", "side"]

_KIND = ("fuel", "fiscal_power_cv", "gearbox")
_SAID = (*_KIND, "doors", "origin", "first_owner", "condition")


class Draw(NamedTuple):
    """How test groups are drawn."""

    test_share: float
    seed: int


class Groups:
    """The groups and sides of the listings that files may touch, by the numbers of their ids.

    `side` is the table of sightings that the listings are made of, `before` the sides that ids had in a
    state that was made on other terms (places in `SIDES`, by number of the id).
    """

    def __init__(self, side: Side, draw: Draw, before: Sides | None) -> None:
        n = len(side.names)
        self._names, self._draw = side.names, draw
        self._cars, self._price, self._low, self._high = side.hashed, side.price, side.low, side.high
        self._values = np.stack([side.values[name] for name in _SAID], axis=1).astype(np.int32)
        self._said, self._ticked = side.said, side.ticked
        self._looks = Looks(
            np.zeros(n, dtype=np.uint64),
            (np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)),
            np.zeros(n, dtype=np.int64),
            np.ones(n),
        )
        self._there: Mask = np.zeros(n, dtype=bool)
        self._group = np.full(n, -1, dtype=np.int64)
        self._sides = np.zeros(n, dtype=np.int8)
        self._before = before
        self._order = np.zeros(n, dtype=np.int64)
        self._place = np.full(n, -1, dtype=np.int64)
        self._changed: Mask = np.zeros(n, dtype=bool)
        self._doubts: tuple[Codes, Codes] = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def begin(self, cars: pa.Table, rows: Labels, ids: Codes) -> None:
        """Take the groups of known listings from the table `cars`.

        `rows` are their sightings, in order of listing and time, and `ids` the number of each.
        """
        if not len(rows):
            return
        listings, looks = self._merged(rows, ids)
        self._put(listings, looks)
        self._there[listings] = True
        texts = pa.array(self._names, pa.string())
        found, groups = (places_of(cars.column(name), texts) for name in ("listing_id", "group"))
        places = np.flatnonzero(found >= 0)
        places = places[self._there[found[places]]]
        known = found[places]
        self._order[known] = self._place[known] = places
        self._group[known] = groups[places]
        self._sides[known] = places_of(cars.column("side"), pa.array(SIDES, pa.string()))[places]

    def link(self, new: Codes, known: Codes, sure: Mask) -> None:
        """Take pairs of copies: sure ones are one listing, the others one car."""
        if self._before is not None:
            np.maximum.at(self._before, known[sure], self._before[new[sure]])
        self._doubts = (
            np.concatenate([self._doubts[0], new[~sure]]),
            np.concatenate([self._doubts[1], known[~sure]]),
        )

    def add(self, rows: Labels, ids: Codes, order: Labels, partners: Codes) -> None:
        """Group again what listings touch that a file changed, or brought.

        `rows` are all their sightings in order of listing and time, and `ids` the number of each; `order`
        tells the place of each of these listings, by number, in the table of listings. `partners` are
        listings that may be a copy of one of them.
        """
        listings, looks = self._merged(rows, ids)
        were = listings[self._there[listings]]
        kinds = [self._looks.kind[were], looks.kind, self._looks.kind[partners[self._there[partners]]]]
        self._put(listings, looks)
        self._there[listings] = True
        self._order[listings] = order
        alike = self._there & np.isin(self._looks.kind, np.unique(np.concatenate(kinds)))
        affected = alike | self._in_the_same_groups(alike)
        compared = self._there & np.isin(self._looks.kind, np.unique(self._looks.kind[affected]))
        found = np.flatnonzero(compared)
        found = found[np.argsort(self._order[found], kind="stable")]
        groups = groups_of(self._looks.take(found), [self._links_among(found, compared)])
        draw = self._draw
        first, sides = sides_of_groups(
            self._names[found], groups, self._told(found), draw.test_share, draw.seed
        )
        chosen = affected[found]
        regrouped, group, side = found[chosen], found[first][chosen], sides[chosen]
        differs = (self._group[regrouped] != group) | (self._sides[regrouped] != side)
        self._group[regrouped], self._sides[regrouped] = group, side
        self._changed[regrouped[differs]] = True

    def table(self, before: pa.Table, touched: Codes) -> pa.Table:
        """The table `cars` (`CAR_COLUMNS`), where the `touched` listings, in this order, stand at the end."""
        gone = np.zeros(len(before), dtype=bool)
        gone[self._place[touched][self._place[touched] >= 0]] = True
        others = np.flatnonzero(self._changed & (self._place >= 0))
        others = others[~gone[self._place[others]]]
        table = before.select(CAR_COLUMNS)
        kept = rows_of(table, ~gone)
        if len(others):
            # where they stand without what is at the end now
            places = self._place[others] - np.cumsum(gone)[self._place[others]]
            order = np.arange(len(kept), dtype=np.int64)
            order[places] = len(kept) + np.arange(len(others))
            kept = _below(kept, self._rows(others)).take(pa.array(order))
        return _below(kept, self._rows(touched))

    def _rows(self, listings: Codes) -> pa.Table:
        sides = pa.array(np.array(SIDES, dtype=object)[self._sides[listings]], pa.string())
        return pa.table(
            {
                "listing_id": pa.array(self._names[listings], pa.string()),
                "group": pa.array(self._names[self._group[listings]], pa.string()),
                "side": sides.dictionary_encode(),
            }
        )

    def _in_the_same_groups(self, chosen: Mask) -> Mask:
        """Which listings are in a group of the chosen ones, as groups were before."""
        groups = self._group[chosen]
        wanted = np.zeros(len(chosen) + 1, dtype=bool)
        wanted[groups] = True
        wanted[-1] = False
        found: Mask = self._there & wanted[self._group]
        return found

    def _links_among(self, found: Labels, compared: Mask) -> tuple[Labels, Labels]:
        """The pairs of the found listings that may be copies, as places among these."""
        new, known = self._doubts
        there = compared[new] & compared[known]
        if not there.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        place = np.zeros(len(compared), dtype=np.int64)
        place[found] = np.arange(len(found))
        return place[new[there]], place[known[there]]

    def _told(self, found: Labels) -> Sides:
        """The side that each listing has here or, under any of its names, had in the other state."""
        now = self._sides[found]
        if self._before is None:
            return now
        before, test = self._before[found], SIDES.index(TEST)
        return np.where(
            (before == _RANK_TEST) | (now == test), test, np.where(before > 0, _SIDE[before], now)
        )

    def _put(self, listings: Codes, looks: Looks) -> None:
        mine = self._looks
        for array, found in zip((mine.kind, *mine.fine), (looks.kind, *looks.fine), strict=True):
            array[listings] = found
        mine.step[listings], mine.price[listings] = looks.step, looks.price

    def _merged(self, rows: Labels, ids: Codes) -> tuple[Codes, Looks]:
        """The listings of sightings (in order of listing and time), and what each looks like."""
        starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
        newest = rows[np.append(starts[1:], len(rows)) - 1]
        values, said, ticked = self._values[rows], self._said[rows], self._ticked[rows]
        low, high = self._low[rows], self._high[rows]
        if len(starts) < len(rows):
            values = _newest_known(values, values >= 0, starts, -1)
            mileage = np.stack([low, high], axis=1)
            low, high = _newest_known(mileage, ~np.isnan(mileage[:, :1]), starts, np.nan).T
            said, ticked = _newest_bits(said, ticked, starts)
        column = dict(zip(_SAID, values.T, strict=True))
        kind = mixed([self._cars[newest], *(column[name] for name in _KIND)])
        fine = mixed([column[name] for name in _SAID if name not in _KIND])
        step = step_of(low, np.where(np.isinf(high), np.nan, high))
        return ids[starts], Looks(kind, (fine, mixed([said, ticked])), step, self._price[newest])


_RANK_TEST = 3
_SIDE = np.array([0, 1, 3, 2], dtype=np.int8)
"""The side of each rank: where names of a listing had several, test counts before neither and training."""


def ranks_of(sides: Sides) -> Sides:
    """The rank of each side, as `Groups` takes them."""
    return np.asarray(_SIDE[sides], dtype=np.int8)


def _newest_known(
    values: npt.NDArray[_Number], known: Mask, starts: Labels, otherwise: float
) -> npt.NDArray[_Number]:
    """The last known value of each segment, shape (segments, columns)."""
    places = np.where(known, np.arange(len(values))[:, None], -1)
    last = np.maximum.reduceat(places, starts, axis=0)
    rows = np.broadcast_to(np.maximum(last, 0), (len(starts), values.shape[1]))
    found: npt.NDArray[_Number] = np.take_along_axis(values, rows, axis=0)
    return np.where(last >= 0, found, otherwise).astype(values.dtype)


def _newest_bits(said: Bits, ticked: Bits, starts: Labels) -> tuple[Bits, Bits]:
    """What each segment says last of each bit."""
    ends = np.append(starts[1:], len(said))
    all_said, all_ticked = said[starts], ticked[starts] & said[starts]
    left, place = np.flatnonzero(ends - starts > 1), 1
    while len(left):
        row = starts[left] + place
        all_ticked[left] = (all_ticked[left] & ~said[row]) | (ticked[row] & said[row])
        all_said[left] |= said[row]
        place += 1
        left = left[ends[left] - starts[left] > place]
    return all_said, all_ticked


def _below(first: pa.Table, second: pa.Table) -> pa.Table:
    return pa.concat_tables([first, second]).unify_dictionaries().combine_chunks()
