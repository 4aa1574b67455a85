"""Two tables of listings as numbers that can be compared: what both say, and how rare what they say is."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.history.columnar import Hashes, arrow_of, codes_of, families, numbered, numbers_of
from carprice.history.mileage_steps import step_of
from carprice.listings.identity import rule_of
from carprice.listings.schema import EQUIPMENT

Codes = npt.NDArray[np.int64]
ShortCodes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint32]

COMPARED: tuple[str, ...] = (
    "fuel", "fiscal_power_cv", "gearbox", "doors", "origin", "first_owner", "condition", "city",
)  # fmt: skip
"""The columns whose values two copies either share or not; district is left out, sites cut it differently."""

LOOKED_AT = [
    "listing_id", "url", "make", "model", "model_year", "mileage_km_min", "mileage_km_max", "price_mad",
    *COMPARED, *EQUIPMENT,
]  # fmt: skip
"""The columns that are needed to find copies."""

_HOST = re.compile(r"(?:https?:)?(?://)?(?:www\.|m\.)?([^/?#:]+)")


@dataclass(frozen=True)
class Side:
    """One table of n listings as arrays of shape (n,).

    `ids` has a number for each listing, whose text is in `names` under it. `family` is the code of make and
    model, `car` that of make, model and model year, and `hashed` a hash of the same; `year` is the code of
    the model year. `values` has the codes of the columns `COMPARED`, in 32 bits; -1 is unknown. Numbers and
    codes of equal texts are equal in the sides of one table. `step` is the mileage as a step of the site's
    brackets, -1 unknown. `said` and `ticked` have one bit for each piece of equipment. `row` is the place of
    each listing in `urls`, a column of links as they stand in the file.
    """

    ids: Codes
    row: Codes
    car: Codes
    hashed: Hashes
    family: Codes
    year: Codes
    price: Floats
    low: Floats
    high: Floats
    step: Codes
    values: dict[str, ShortCodes]
    said: Bits
    ticked: Bits
    names: npt.NDArray[np.object_]
    urls: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.ids)

    def sites(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """The site whose own id each listing of these rows has, of their shape; None without one."""
        distinct, inverse = np.unique(rows, return_inverse=True)
        urls = self.urls.take(pa.array(self.row[distinct])).to_pylist()
        found = np.empty(len(distinct), dtype=object)
        found[:] = [_site(name, url) for name, url in zip(self.names[self.ids[distinct]], urls, strict=True)]
        sites: npt.NDArray[np.object_] = found[inverse]
        return sites

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Side:
        """The chosen listings."""
        values = {name: codes[rows] for name, codes in self.values.items()}
        whole = ("values", "names", "urls")
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in whole}
        return Side(values=values, names=self.names, urls=self.urls, **arrays)


def sides_of(known: pd.DataFrame, new: pd.DataFrame) -> tuple[Side, Side]:
    """Both tables (canonical columns) as sides whose numbers can be compared."""
    both = pd.concat([known[LOOKED_AT], new[LOOKED_AT]], ignore_index=True)
    ids, names = pd.factorize(both["listing_id"])
    side = side_of(arrow_of(both), ids.astype(np.int64), np.asarray(names, dtype=object))
    first = np.arange(len(both)) < len(known)
    return side.take(first), side.take(~first)


def side_of(table: pa.Table, ids: Codes, names: npt.NDArray[np.object_]) -> Side:
    """A table with the columns `LOOKED_AT` as a side; `ids` (n rows) are the numbers of the listings."""
    low, high, price = (numbers_of(table, name) for name in ("mileage_km_min", "mileage_km_max", "price_mad"))
    open_ended = np.where(np.isnan(low), np.nan, np.where(np.isnan(high), np.inf, high))
    hashed, years = families(table), numbers_of(table, "model_year")
    cars = (hashed * np.uint64(0x9E3779B97F4A7C15)) ^ years.view(np.uint64)
    said, ticked = _equipment(table)
    return Side(
        ids=ids,
        row=np.arange(len(table)),
        car=numbered(cars),
        hashed=cars,
        family=numbered(hashed),
        year=numbered(years),
        price=price,
        low=low,
        high=open_ended,
        step=step_of(low, high),
        values={name: codes_of(table, name).astype(np.int32) for name in COMPARED},
        said=said,
        ticked=ticked,
        names=names,
        urls=table.column("url"),
    )


def agreement_by_chance(
    values: Codes | ShortCodes, group: Codes | None, prior: Floats | float, weight: float = 10.0
) -> Floats:
    """How likely another listing says the same as each listing, shape (n,); NaN where it says nothing.

    The share of the listings of its `group` (a code, shape (n,); None for all listings) that say the same,
    without the listing itself. A small group leans on `prior` (shape (n,), or one number), as if `weight`
    more listings of the group were known.
    """
    said = values >= 0
    chance = np.full(len(values), np.nan)
    if not said.any():
        return chance
    value = values[said]
    of_group = np.zeros(len(value), dtype=np.int64) if group is None else group[said]
    expected = prior[said] if isinstance(prior, np.ndarray) else prior
    same = counts_of(of_group * (value.max() + 1) + value) - 1
    others = counts_of(of_group) - 1
    chance[said] = (same + weight * expected) / (others + weight)
    return chance


def counts_of(codes: Codes) -> Floats:
    """How often the code (0 or more) of each row occurs, shape (n,)."""
    # counting is faster than numbering where codes are small
    small = len(codes) and codes.min() >= 0 and codes.max() < 4 * len(codes) + 1024
    inverse = codes if small else pd.factorize(codes)[0]
    found: Floats = np.bincount(inverse)[inverse].astype(np.float64)
    return found


def _equipment(table: pa.Table) -> tuple[Bits, Bits]:
    said, ticked = np.zeros(len(table), dtype=np.uint32), np.zeros(len(table), dtype=np.uint32)
    for bit, name in enumerate(EQUIPMENT):
        flags = numbers_of(table, name)
        said |= (~np.isnan(flags)).astype(np.uint32) << np.uint32(bit)
        ticked |= (flags == 1).astype(np.uint32) << np.uint32(bit)
    return said, ticked


def _site(listing_id: str, url: str | None) -> str | None:
    """The site whose own id a listing has; None where no link tells the listing."""
    if url is None or rule_of(listing_id) not in ("site", "query", "address"):
        return None
    host = _HOST.match(str(url))
    return None if host is None else host[1]
