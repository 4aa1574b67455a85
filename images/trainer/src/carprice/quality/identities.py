"""The ids of a file's rows: which are of several cars, and how many ads the file has by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.identity import RULES, hashes_of, rules_of
from carprice.quality.repeats import Hashes, row_hashes

_RULES = tuple(RULES)
_CONTENT = _RULES.index("content")
# An ad that was edited between two sightings looks like two cars of one make; an address that stands for more
# cars, or for cars of two makes, is no ad's own.
_FEWEST_CARS = 3
_MOST_EXAMPLES = 3
# A car as 64 bits: its make in the upper 20, with the year the next 22, with model and mileage the lowest 22.
# The model is no part of the middle ones, since sellers and sites spell it in many ways.
_CAR, _MIDDLE_BITS, _LOW_BITS = ("make", "model_year"), 22, 22


class Merged(NamedTuple):
    """Rows that differ and count as fewer ads."""

    rows: int
    ads: int


class RowIds(NamedTuple):
    """The ids of rows: a hash of 64 bits of each, one of its car, and its rule, each of shape (rows,)."""

    ids: Hashes
    cars: Hashes
    rules: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, listings: pd.DataFrame) -> RowIds:
        """The ids of rows in canonical columns."""
        texts = listings["listing_id"].to_numpy(dtype=object)
        rules = rules_of(texts)
        cars = _cars(listings)
        content = rules == _CONTENT
        cars[content] = listings["price_mad"].to_numpy(dtype=np.float64)[content].view(np.uint64)
        return cls(hashes_of(texts), cars, rules)


class Identities:
    """The ids of the accepted rows of a file."""

    def __init__(self) -> None:
        self._ids: list[Hashes] = []
        self._cars: list[Hashes] = []
        self._rules: list[npt.NDArray[np.uint8]] = []
        self._sorted: _Sorted | None = None

    def add(self, rows: RowIds) -> None:
        """Add the ids of rows."""
        self._ids.append(rows.ids)
        self._cars.append(rows.cars)
        self._rules.append(rows.rules)
        self._sorted = None

    @property
    def rows(self) -> int:
        """How many rows were added."""
        return sum(map(len, self._ids))

    @property
    def distinct(self) -> int:
        """How many ads the rows are."""
        return len(self._in_order().begins)

    def by_rule(self) -> dict[str, int]:
        """How many ads are told by each rule that tells any."""
        found = self._in_order()
        counts = np.bincount(found.rules[found.begins], minlength=len(_RULES))
        return {rule: int(count) for rule, count in zip(_RULES, counts, strict=True) if count}

    def shared(self) -> Hashes:
        """The hashes of links and ids that stand in rows of several cars, so that they tell no ad."""
        found = self._in_order()
        if not len(found.ids):
            return found.ids
        makes = found.different(found.cars >> np.uint64(_MIDDLE_BITS + _LOW_BITS))
        cars = found.different(found.cars)
        linked = found.rules[found.begins] != _CONTENT
        ids: Hashes = found.ids[found.begins][linked & ((makes > 1) | (cars >= _FEWEST_CARS))]
        return ids

    def rows_of(self, ids: Hashes) -> int:
        """How many rows have one of these ids."""
        return int(np.isin(self._in_order().ids, ids).sum())

    def merged(self) -> Mapping[str, Merged]:
        """Rows that look different and count as one ad, by the code of the reason to hold a file for them."""
        found = self._in_order()
        if not len(found.ids):
            return {}
        content = found.rules[found.begins] == _CONTENT
        cars = found.different(found.cars >> np.uint64(_LOW_BITS)) > 1
        prices = found.different(found.cars)
        sizes = np.diff(np.append(found.begins, len(found.ids)))
        of_cars, alike = cars & ~content, (prices > 1) & content
        return {
            "ads_merged": Merged(int(sizes[of_cars].sum()), int(of_cars.sum())),
            "ads_alike": Merged(int((prices[alike] - 1).sum()), int(alike.sum())),
        }

    def _in_order(self) -> _Sorted:
        if self._sorted is None:
            found = _Sorted.of(*(_whole(parts) for parts in (self._ids, self._cars, self._rules)))
            # the rows are held once, in their order
            self._ids, self._cars, self._rules = [found.ids], [found.cars], [found.rules]
            self._sorted = found
        return self._sorted


def identity_words(identity: Mapping[str, Any]) -> list[tuple[int, str]]:
    """How the ads of a file are told apart, from its receipt: numbers with what they count."""
    counted = [(ads, f"told {RULES[rule]}") for rule, ads in identity["rules"].items()]
    shared = identity["shared"]
    if shared["ids"]:
        counted.append(
            (shared["rows"], "rows have a link or id that stands for several cars and tells no ad")
        )
    return counted


class _Sorted(NamedTuple):
    """Rows in the order of their ids and cars; `begins` are the places where another id begins."""

    ids: Hashes
    cars: Hashes
    rules: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids: Hashes, cars: Hashes, rules: npt.NDArray[np.uint8]) -> _Sorted:
        order = np.lexsort((cars, ids))
        # one after the other, so that few arrays are held twice at a time
        ids[:] = ids[order]
        cars[:] = cars[order]
        rules[:] = rules[order]
        begins = np.flatnonzero(np.concatenate([np.ones(min(1, len(ids)), dtype=bool), ids[1:] != ids[:-1]]))
        return cls(ids, cars, rules, begins)

    def different(self, cars: Hashes) -> npt.NDArray[np.int64]:
        """How many different `cars` (in the order of the rows) each id has."""
        changes = np.concatenate([[True], (cars[1:] != cars[:-1]) | (self.ids[1:] != self.ids[:-1])])
        counts: npt.NDArray[np.int64] = np.add.reduceat(changes, self.begins, dtype=np.int64)
        return counts


def _whole(parts: list[Any]) -> npt.NDArray[Any]:
    """All parts as one new array; the list is empty afterwards."""
    whole = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
    parts.clear()
    return whole


def _cars(listings: pd.DataFrame) -> Hashes:
    make = row_hashes(listings[["make"]])
    with_year = row_hashes(pd.DataFrame({name: listings[name] for name in _CAR}))
    # `row_hashes` knows no missing values
    mileage = listings["mileage_km_min"].fillna(-1)
    whole = row_hashes(listings[["make", "model_year", "model"]].assign(mileage=mileage))
    middle = (with_year >> np.uint64(64 - _MIDDLE_BITS)) << np.uint64(_LOW_BITS)
    upper = (make >> np.uint64(_MIDDLE_BITS + _LOW_BITS)) << np.uint64(_MIDDLE_BITS + _LOW_BITS)
    cars: Hashes = upper | middle | (whole >> np.uint64(64 - _LOW_BITS))
    return cars
