"""Two tables of listings as numbers that can be compared: what both say, and how rare what they say is."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.history.mileage_steps import step_of
from carprice.listings.folding import words_of
from carprice.listings.identity import rule_of
from carprice.listings.schema import EQUIPMENT

Codes = npt.NDArray[np.int64]
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

UNKNOWN = -1
_HOST = re.compile(r"(?:https?:)?(?://)?(?:www\.|m\.)?([^/?#:]+)")


@dataclass(frozen=True)
class Side:
    """One table of n listings as arrays of shape (n,).

    `car` is the code of make, model and model year together, `family` that of make and model,
    `year` that of the model year. `values` has
    the codes of the columns `COMPARED`. Codes of equal texts are equal in both tables; -1 is unknown. `step`
    is the mileage as a step of the site's brackets, -1 unknown. `said` and `ticked` have one bit for each
    piece of equipment. `urls` are the links as they stand in the file, or None.
    """

    ids: npt.NDArray[np.object_]
    car: Codes
    family: Codes
    year: Codes
    price: Floats
    low: Floats
    high: Floats
    step: Codes
    values: dict[str, Codes]
    said: Bits
    ticked: Bits
    urls: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.ids)

    def sites(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """The site whose own id each listing of these rows has, of their shape; None without one."""
        distinct, inverse = np.unique(rows, return_inverse=True)
        found = np.empty(len(distinct), dtype=object)
        found[:] = [_site(self.ids[row], self.urls[row]) for row in distinct]
        sites: npt.NDArray[np.object_] = found[inverse]
        return sites

    def take(self, rows: npt.NDArray[np.bool_]) -> Side:
        """The chosen listings."""
        values = {name: codes[rows] for name, codes in self.values.items()}
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "values"}
        return Side(values=values, **arrays)


def sides_of(known: pd.DataFrame, new: pd.DataFrame) -> tuple[Side, Side]:
    """Both tables (canonical columns) as sides whose codes can be compared."""
    tables = (known, new)
    texts = {name: _codes(tables, name) for name in ("make", "model", *COMPARED)}
    years = _codes(tables, "model_year")
    families = _joined(texts["make"], texts["model"])
    cars = _joined(families, years)
    sides = []
    for place, table in enumerate(tables):
        low = table["mileage_km_min"].to_numpy(dtype=np.float64)
        high = table["mileage_km_max"].to_numpy(dtype=np.float64)
        open_ended = np.where(np.isnan(low), np.nan, np.where(np.isnan(high), np.inf, high))
        said, ticked = _equipment(table)
        sides.append(
            Side(
                ids=table["listing_id"].to_numpy(dtype=object),
                car=cars[place],
                family=families[place],
                year=years[place],
                price=table["price_mad"].to_numpy(dtype=np.float64),
                low=low,
                high=open_ended,
                step=step_of(low, high),
                values={name: texts[name][place] for name in COMPARED},
                said=said,
                ticked=ticked,
                urls=table["url"].to_numpy(dtype=object),
            )
        )
    return sides[0], sides[1]


def agreement_by_chance(
    values: Codes, group: Codes | None, prior: Floats | float, weight: float = 10.0
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


def _codes(tables: tuple[pd.DataFrame, pd.DataFrame], name: str) -> tuple[Codes, Codes]:
    values = pd.concat([table[name] for table in tables], ignore_index=True)
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    if values.dtype == object:
        # "GOLF 7" and "Golf 7" are one model, "Diesel" and "diesel" one fuel
        folded = pd.factorize(np.array([" ".join(words_of(str(text))) for text in uniques], dtype=object))[0]
        codes = np.where(codes >= 0, folded[codes], UNKNOWN) if len(folded) else codes
    return _split(codes.astype(np.int64), tables)


def _joined(one: tuple[Codes, Codes], other: tuple[Codes, Codes]) -> tuple[Codes, Codes]:
    left, right = np.concatenate(one), np.concatenate(other)
    codes = np.unique(left * (right.max(initial=0) + 2) + right + 1, return_inverse=True)[1]
    return codes[: len(one[0])].astype(np.int64), codes[len(one[0]) :].astype(np.int64)


def _split(codes: npt.NDArray[np.integer], tables: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[Codes, Codes]:
    first = len(tables[0])
    return codes[:first].astype(np.int64), codes[first:].astype(np.int64)


def _equipment(table: pd.DataFrame) -> tuple[Bits, Bits]:
    said, ticked = np.zeros(len(table), dtype=np.uint32), np.zeros(len(table), dtype=np.uint32)
    for bit, name in enumerate(EQUIPMENT):
        flags = table[name].to_numpy(dtype=np.float64)
        said |= (~np.isnan(flags)).astype(np.uint32) << np.uint32(bit)
        ticked |= (flags == 1).astype(np.uint32) << np.uint32(bit)
    return said, ticked


def _site(listing_id: str, url: str | None) -> str | None:
    """The site whose own id a listing has; None where no link tells the listing."""
    if url is None or rule_of(listing_id) not in ("site", "query", "address"):
        return None
    host = _HOST.match(str(url))
    return None if host is None else host[1]
