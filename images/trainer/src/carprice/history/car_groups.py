"""Groups of listings that may be one car: what is split into training and test rows.

A group holds the copies of an ad (its links, and the pairs that may be copies) and its look-alikes: listings
that say the same of a car and differ only in price, mileage and place, as reposts do. A group lies on one
side of the split for ever.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from carprice.history.columnar import Hashes, arrow_of, codes_of, families, mixed, numbers_of
from carprice.history.mileage_steps import step_of
from carprice.history.splitting import is_test
from carprice.listings.schema import EQUIPMENT

Labels = npt.NDArray[np.int64]
Sides = npt.NDArray[np.int8]

COARSE: tuple[str, ...] = ("make", "model", "model_year", "fuel", "fiscal_power_cv", "gearbox")
FINE: tuple[tuple[str, ...], ...] = (
    ("doors", "origin", "first_owner", "condition"),
    EQUIPMENT,
)
"""What look-alikes agree in, first where their group would be larger than `MOST`, then where it still is."""

MOST = 50
"""The most listings of a group whose members agree in the coarse columns alone.

Where many cars of one kind are on sale, each has a neighbour in price and mileage, and the chain of
neighbours joins all of them. A chain that is longer is cut by asking for more agreement, never between two
listings that say the same of the car, because a repost says the same.
"""

PRICE_RATIO = 1.125
"""The largest ratio of two neighbouring prices: 10 % less is 11 % more the other way, and
sellers round."""

TRAINING, TEST, NEITHER = "training", "test", "neither"
SIDES = (None, TRAINING, TEST, NEITHER)
"""The sides, each with a number; the first is that of a listing without one."""

GROUPED_BY = [
    "listing_id",
    *COARSE,
    *(name for names in FINE for name in names),
    "mileage_km_min",
    "mileage_km_max",
    "price_mad",
]
"""The columns that `group_cars` needs."""

_NUMBERS = ("mileage_km_min", "mileage_km_max", "price_mad")


class Looks(NamedTuple):
    """What n listings look like, arrays of shape (n,).

    `kind` tells what look-alikes agree in (`COARSE`), `fine` what they agree in where a group is large: one
    array for each of `FINE`. Equal numbers say the same. `step` is the mileage (`step_of`).
    """

    kind: Hashes
    fine: tuple[Hashes, ...]
    step: Labels
    price: npt.NDArray[np.float64]

    def take(self, rows: Labels) -> Looks:
        """The chosen listings."""
        fine = tuple(hashes[rows] for hashes in self.fine)
        return Looks(self.kind[rows], fine, self.step[rows], self.price[rows])


def group_cars(listings: pd.DataFrame, pairs: pd.DataFrame) -> Labels:
    """The group of each listing (canonical columns, n rows): numbers from 0, of shape (n,).

    `pairs` has the listing ids `new` and `known` of copies, sure or possible; pairs of other listings are
    left out. Rows with the same `listing_id` are in one group. Groups are numbered in order of appearance.
    """
    table = arrow_of(listings[["listing_id", *(name for name in GROUPED_BY if name != "listing_id")]])
    codes, names = pd.factorize(listings["listing_id"].to_numpy(dtype=object))
    first = _first_row(codes)
    rows = pd.Series(np.unique(first), index=pd.Index(names, dtype=object))
    known, new = rows.reindex(pairs["known"]).to_numpy(), rows.reindex(pairs["new"]).to_numpy()
    there = ~np.isnan(known) & ~np.isnan(new)
    links = [
        (np.arange(len(codes)), first),
        (known[there].astype(np.int64), new[there].astype(np.int64)),
    ]
    return groups_of(looks_of(table), links)


def groups_of(looks: Looks, links: list[tuple[Labels, Labels]]) -> Labels:
    """The group of each of n listings; `links` are pairs of rows that are one car. See `group_cars`."""
    labels = _lookalikes(looks)
    return _components(len(labels), [(np.arange(len(labels)), _first_row(labels)), *links])


def looks_of(table: pa.Table) -> Looks:
    """What listings with the columns `GROUPED_BY` look like."""
    said = {name: codes_of(table, name) for name in GROUPED_BY[1:] if name not in _NUMBERS}
    low, high, price = (numbers_of(table, name) for name in _NUMBERS)
    kind = mixed([families(table), *(said[name] for name in COARSE[2:])])
    fine = tuple(mixed([said[name] for name in names]) for names in FINE)
    return Looks(kind, fine, step_of(low, high), price)


def assign_sides(
    listings: pd.DataFrame, groups: Labels, before: pd.Series | None, test_share: float, seed: int
) -> pd.DataFrame:
    """The side of each listing: columns `listing_id`, `group` (its first listing) and `side`, n rows.

    `before` has the side of each listing id that had one; see `sides_of_groups`.
    """
    ids = listings["listing_id"].to_numpy(dtype=object)
    old = np.zeros(len(ids), dtype=np.int8)
    if before is not None:
        old = side_codes(pd.Series(ids, dtype=object).map(before))
    first, sides = sides_of_groups(ids, groups, old, test_share, seed)
    side = np.array(SIDES, dtype=object)[sides]
    return pd.DataFrame({"listing_id": ids, "group": ids[first], "side": side}).astype(object)


def side_codes(sides: pd.Series[Any]) -> Sides:
    """The place of each side in `SIDES`, shape (n,); 0 where there is none."""
    return np.asarray(pd.Index(SIDES[1:]).get_indexer(pd.Index(sides, dtype=object)) + 1, dtype=np.int8)


def sides_of_groups(
    ids: npt.NDArray[np.object_], groups: Labels, before: Sides, test_share: float, seed: int
) -> tuple[Labels, Sides]:
    """The row of the first listing of each listing's group, and the side of each, shape (n,).

    `ids`, `groups` (numbers) and `before` (the sides that they had, as places in `SIDES`) are of shape (n,).
    A group with a listing that was a test row is a test group, also where two groups have become one.
    Otherwise a group with a listing that had a side is a training group. A new group is drawn by the id of
    its first listing, as `is_test` draws.

    The side is `training`, `test`, or `neither`: a training row whose group has become a test group is not
    learned any more, and is no test row, because earlier models learned it.
    """
    training, test, neither = (SIDES.index(side) for side in (TRAINING, TEST, NEITHER))
    first = _first_row(groups)
    learned = (before == training) | (before == neither)
    was_test = np.bincount(groups, before == test) > 0
    was_training = np.bincount(groups, learned) > 0
    is_new = ~(was_test | was_training)[groups]
    drawn = np.zeros(len(ids), dtype=bool)
    leaders = np.unique(first[is_new])
    drawn[leaders] = is_test(pd.Series(ids[leaders], dtype=object), test_share, seed)
    of_test = np.where(is_new, drawn[first], was_test[groups])
    sides = np.where(of_test, np.where(learned, neither, test), training)
    return first, sides.astype(np.int8)


def _lookalikes(looks: Looks) -> Labels:
    """Components of neighbours in price and mileage among listings that say the same of the car."""
    price = np.log(looks.price)
    labels = _neighbours(looks.kind, looks.step, price)
    for column in looks.fine:
        large = np.flatnonzero(np.bincount(labels, minlength=1)[labels] > MOST)
        if not len(large):
            break
        finer = mixed([labels[large], column[large]])
        labels[large] = labels.max() + 1 + _neighbours(finer, looks.step[large], price[large])
        labels = _renumbered(labels)
    return labels


def _neighbours(key: Hashes, step: Labels, price: npt.NDArray[np.float64]) -> Labels:
    """Components of rows with the same key whose steps are at most one and prices `PRICE_RATIO` apart.

    It is enough to join each row with the next price of its own step, and with the nearest prices below and
    above on the next step: all other neighbours follow from these. So the work grows as n log n.
    """
    n = len(key)
    reach = np.log(PRICE_RATIO)
    order = np.lexsort((price, step, key))
    sorted_key, sorted_step, sorted_price = key[order], step[order], price[order]
    cell = np.zeros(n, dtype=np.int64)
    if n:
        change = (np.diff(sorted_key) != 0) | (np.diff(sorted_step) != 0)
        cell[1:] = np.cumsum(change)
    near = np.flatnonzero((np.diff(cell) == 0) & (np.diff(sorted_price) <= reach))
    links = [(order[near], order[near + 1])]
    # the cell of the same key on the next step, where there is one
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    follows = np.zeros(len(starts), dtype=bool)
    if len(starts) > 1:
        follows[:-1] = (
            (sorted_key[starts[1:]] == sorted_key[starts[:-1]])
            & (sorted_step[starts[1:]] == sorted_step[starts[:-1]] + 1)
            & (sorted_step[starts[:-1]] >= 0)
        )
    span = (sorted_price.max() - sorted_price.min() + 1) if n else 1.0
    ranked = cell * span + (sorted_price - (sorted_price.min() if n else 0.0))
    rows = np.flatnonzero(follows[cell])
    place = np.searchsorted(ranked, ranked[rows] + span)
    for offset in (-1, 0):
        other = place + offset
        inside = (other >= 0) & (other < n)
        mine, theirs = rows[inside], other[inside]
        close = (cell[theirs] == cell[mine] + 1) & (
            np.abs(sorted_price[theirs] - sorted_price[mine]) <= reach
        )
        links.append((order[mine[close]], order[theirs[close]]))
    return _components(n, links)


def _components(n: int, links: list[tuple[Labels, Labels]]) -> Labels:
    """Numbers of the connected components of n rows, in order of appearance, of shape (n,)."""
    one, other = (np.concatenate(ends) for ends in zip(*links, strict=True))
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(n, n))
    return _renumbered(connected_components(graph.tocsr(), directed=False)[1])


def _renumbered(labels: npt.NDArray[np.integer]) -> Labels:
    return pd.factorize(labels)[0].astype(np.int64)


def _first_row(labels: npt.NDArray[np.integer]) -> Labels:
    """The first row with the label of each row, of shape (n,)."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rows: Labels = first[inverse].astype(np.int64)
    return rows
