"""Which pairs of listings are compared: their number grows with the listings, not with their square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.history.columnar import mixed
from carprice.history.comparing import Codes, Side

Rows = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
Key = list[tuple[Column, Column]]

MOST = 50
"""The most known listings that one new listing is compared with under one key.

Where more of them share a key, a finer key is used. Those that share the finest key as well can't be told
apart by what two files usually say; where that has the price, they are a crowd (`crowds`).
"""

LOWEST_CHANGE, HIGHEST_CHANGE = 0.7, 1.15
"""A changed price, as a multiple of the known one. Sellers lower prices; few raise them."""


@dataclass(frozen=True)
class Candidates:
    """Pairs as row numbers of both sides, each of shape (pairs,); no pair stands twice."""

    known: Rows
    new: Rows

    def __len__(self) -> int:
        return len(self.known)

    def take(self, chosen: npt.NDArray[np.bool_]) -> Candidates:
        """Those of the pairs that are chosen."""
        return Candidates(self.known[chosen], self.new[chosen])


def candidates(known: Side, new: Side, new_rows: Rows) -> Candidates:
    """The pairs worth comparing of those rows of `new`.

    Both have the same make, model and model year; and either the same price, or a price that may have
    changed, with a mileage that lies on the same step or on the one before.
    """
    found: list[tuple[Rows, Rows]] = []
    known_rows = np.flatnonzero(_among(known.car, new.car[new_rows]))
    car, alike, finest = _columns(known, new)
    price, step = _price_and_step(known, new)
    keys: list[Key] = [
        [car, price],
        [car, price, step],
        [car, price, step, *alike],
        [car, price, step, *finest],
    ]
    found.append(_refined(known_rows, new_rows, keys))
    driven = np.flatnonzero(new.step[new_rows] >= 0)
    for back in (0, 1):
        earlier = (known.step, new.step - back)
        keys = [[car, earlier], [car, earlier, *alike], [car, earlier, *finest]]
        found.append(_refined(known_rows, new_rows[driven], keys))
    pairs = Candidates(np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]))
    pairs = pairs.take(_plausible(known, new, pairs))
    once = np.unique(pairs.new * len(known) + pairs.known)
    return Candidates(once % max(len(known), 1), once // max(len(known), 1))


def crowds(known: Side, new: Side, new_rows: Rows) -> Candidates:
    """For each of those rows of `new` that looks like more than `MOST` known listings, one of these.

    They have the same price and agree in the finest key, so that no pair of them can be compared.
    """
    car, _, finest = _columns(known, new)
    key = [car, *_price_and_step(known, new), *finest]
    known_rows = np.flatnonzero(_among(known.car, new.car[new_rows]))
    pairs = Candidates(*_sharing(known_rows, new_rows, key, crowd=True)[:2])
    pairs = pairs.take(_plausible(known, new, pairs))
    _, first = np.unique(pairs.new, return_index=True)
    return Candidates(pairs.known[first], pairs.new[first])


def _columns(known: Side, new: Side) -> tuple[tuple[Column, Column], Key, Key]:
    """What keys are made of, on both sides: the car, what most files say, and what few files say as well."""
    alike = [(known.values[name], new.values[name]) for name in ("fuel", "fiscal_power_cv")]
    city = (known.values["city"], new.values["city"])
    return (known.car, new.car), alike, [*alike, city, (known.ticked, new.ticked)]


def _price_and_step(known: Side, new: Side) -> Key:
    return [(known.price.view(np.uint64), new.price.view(np.uint64)), (known.step, new.step)]


def _plausible(known: Side, new: Side, pairs: Candidates) -> npt.NDArray[np.bool_]:
    """Which pairs may be the same ad: a few things never change, whatever else agrees."""
    k, n = pairs.known, pairs.new
    ratio = new.price[n] / known.price[k]
    changed = (ratio >= LOWEST_CHANGE) & (ratio <= HIGHEST_CHANGE)
    steps = new.step[n] - known.step[k]
    unknown = (new.step[n] < 0) | (known.step[k] < 0)
    overlap = (known.low[k] <= new.high[n]) & (new.low[n] <= known.high[k])
    plausible: npt.NDArray[np.bool_] = (
        (known.car[k] == new.car[n]) & changed & (unknown | overlap | (steps == 0) | (steps == 1))
    )
    left = np.flatnonzero(plausible)
    k, n = k[left], n[left]
    sites = known.sites(k)
    two_ads_of_a_site = (sites == new.sites(n)) & ~pd.isna(sites) & (known.ids[k] != new.ids[n])
    plausible[left[two_ads_of_a_site.astype(bool)]] = False
    return plausible


def _among(codes: Codes, wanted: Codes) -> npt.NDArray[np.bool_]:
    """Which codes (0 or more) are among the wanted ones."""
    there = np.zeros(int(max(codes.max(initial=0), wanted.max(initial=0))) + 1, dtype=bool)
    there[wanted] = True
    return there[codes]


def _refined(known_rows: Rows, new_rows: Rows, keys: list[Key]) -> tuple[Rows, Rows]:
    """The pairs that share the first key, or a later and finer one where the first has too many."""
    known_found, new_found = [], []
    left = new_rows
    for key in keys:
        if not len(left):
            break
        pairs_known, pairs_new, left = _sharing(known_rows, left, key)
        known_found.append(pairs_known)
        new_found.append(pairs_new)
    empty = np.zeros(0, dtype=np.int64)
    return np.concatenate([empty, *known_found]), np.concatenate([empty, *new_found])


def _sharing(known_rows: Rows, new_rows: Rows, key: Key, crowd: bool = False) -> tuple[Rows, Rows, Rows]:
    """The pairs that share a key, as known and new rows, and the new rows that have too many.

    Where a `crowd` is wanted, the pairs are those of the rows that have too many, `MOST` of each.
    """
    known_keys = mixed([one[known_rows] for one, _ in key])
    new_keys = mixed([other[new_rows] for _, other in key])
    order = np.argsort(known_keys, kind="stable")
    ordered = known_keys[order]
    first = np.searchsorted(ordered, new_keys, side="left")
    count = np.searchsorted(ordered, new_keys, side="right") - first
    many = count > MOST
    taken = many if crowd else ~many
    count, first = np.minimum(count[taken], MOST), first[taken]
    inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return (
        known_rows[order[np.repeat(first, count) + inside]],
        np.repeat(new_rows[taken], count),
        new_rows[many],
    )
