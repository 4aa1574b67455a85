"""The columns in which listings are compared, and the values of each as they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.schema import COLUMNS, FEATURES
from carprice.model.metrics import Floats

MILEAGE, PRICE, PRICE_LEVEL = "mileage_km", "price_mad", "price_at_equal_car"
MILEAGE_BRACKET = ("mileage_km_min", "mileage_km_max")
AGE_GROUPS = 3

Integers = npt.NDArray[np.int64]
Said = tuple[pd.DataFrame, pd.DataFrame]
"""For both tables, which rows come from files that have a column (`said_columns.said_columns`)."""


@dataclass(frozen=True)
class ComparedColumn:
    """One column of two tables of n and m listings: `reference` of shape (n,), `current` of shape (m,).

    Numbers are float64 with NaN for an empty value, other values are object with None. `age_groups` are
    groups of cars of similar age, for columns that depend on the age: one integer for each listing.
    """

    name: str
    is_number: bool
    reference: pd.Series
    current: pd.Series
    age_groups: tuple[Integers, Integers] | None = None

    @cached_property
    def rows(self) -> tuple[int, int]:
        """How many listings have a value: in the reference, in the current table."""
        return int(self.reference.notna().sum()), int(self.current.notna().sum())

    @property
    def empty(self) -> tuple[float, float]:
        """The shares of empty values; 1 for a table without rows."""
        shares = [1 - filled / max(len(side), 1) for filled, side in zip(self.rows, self.sides, strict=True)]
        return shares[0], shares[1]

    @property
    def sides(self) -> tuple[pd.Series, pd.Series]:
        """Reference and current."""
        return self.reference, self.current

    @property
    def has_empty_values(self) -> bool:
        """Whether any listing of either table has no value."""
        return max(self.empty) > 0

    @cached_property
    def is_constant(self) -> bool:
        """Whether both tables together hold at most one value, empty values aside."""
        return bool(pd.concat(self.sides).nunique() < 2)


def compared_columns(
    reference: pd.DataFrame, current: pd.DataFrame, said: Said | None = None
) -> list[ComparedColumn]:
    """Every feature and, where both tables have it, the price; a column that is empty in both is left out.

    With `said` only the rows of files that have a column are compared in it, and a column that no row of one
    table has is left out.

    The tables hold listings in canonical columns. One mileage takes the place of the two ends of its
    bracket.
    """
    priced = PRICE in reference and PRICE in current
    columns = []
    for name in column_names() if priced else column_names()[:-1]:
        sides = rows_that_say(name, reference, current, said)
        if said is not None and not all(len(side) for side in sides):
            continue
        ages = _age_groups(*sides) if name == MILEAGE else None
        values = values_of(sides[0], name), values_of(sides[1], name)
        column = ComparedColumn(name, is_number(name), *values, ages)
        if max(column.rows) > 0:
            columns.append(column)
    return columns


def rows_that_say(
    name: str, reference: pd.DataFrame, current: pd.DataFrame, said: Said | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both tables whose files have a column; all rows where `said` does not tell."""
    feature = MILEAGE_BRACKET[0] if name == MILEAGE else name
    if said is None or feature not in said[0]:
        return reference, current
    before, now = (
        table[mask[feature].to_numpy()] for table, mask in zip((reference, current), said, strict=True)
    )
    return before.reset_index(drop=True), now.reset_index(drop=True)


def column_names() -> list[str]:
    """Every column that can be compared, in the order of the features; the price is the last one."""
    names = [name for name in FEATURES if name not in MILEAGE_BRACKET]
    names.insert(names.index("model_year") + 1, MILEAGE)
    return [*names, PRICE]


def mileage_of(listings: pd.DataFrame) -> Floats:
    """One mileage for each listing, of shape (n,) in km: the middle of its bracket, NaN if unknown."""
    low, high = (listings[name].to_numpy(dtype=np.float64) for name in MILEAGE_BRACKET)
    middle: Floats = (np.where(np.isnan(low), high, low) + np.where(np.isnan(high), low, high)) / 2
    return middle


def is_number(column: str) -> bool:
    """Whether a column is compared by its values and not by the share of each value."""
    return column in (MILEAGE, PRICE, PRICE_LEVEL) or COLUMNS[column].kind == "number"


def values_of(listings: pd.DataFrame, column: str) -> pd.Series:
    """A column as it is compared: float64 (NaN if empty); categories and flags as object (None if empty)."""
    if column == MILEAGE:
        return pd.Series(mileage_of(listings), index=listings.index)
    if is_number(column):
        return listings[column].astype(np.float64)
    values = listings[column].astype(object)
    if COLUMNS[column].kind == "flag":
        return values.map({1.0: "yes", 0.0: "no"}).astype(object)
    return values.where(values.notna(), None)


def shares_of_values(
    before: pd.Series, after: pd.Series, most: int = 8, named: Sequence[str] = ()
) -> Mapping[str, tuple[float, float]]:
    """The shares of at most `most` values in two columns of categories, before and after.

    The values in `named` come first, then the most frequent ones, then all others together, then empty
    values.
    """
    n, m = max(len(before), 1), max(len(after), 1)
    shares = pd.DataFrame({"before": before.value_counts() / n, "after": after.value_counts() / m}).fillna(
        0.0
    )
    shares["largest"] = shares.max(axis=1)
    first = [value for value in named if value in shares.index]
    order = [*first, *(v for v in shares.sort_values("largest", ascending=False).index if v not in first)]
    shown, others = shares.loc[order[:most]], shares.loc[order[most:]]
    found = {
        str(value): (float(was), float(now))
        for value, was, now in zip(shown.index, shown["before"], shown["after"], strict=True)
    }
    if len(others):
        found[f"{len(others)} others"] = (float(others["before"].sum()), float(others["after"].sum()))
    empty = float(before.isna().mean()), float(after.isna().mean())
    if max(empty) > 0:
        found["(empty)"] = empty
    return found


def _age_groups(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[Integers, Integers]:
    """The group of similar age that each listing belongs to, with limits from the reference."""
    before, after = (table["model_year"].to_numpy(dtype=np.float64) for table in (reference, current))
    known = before[np.isfinite(before)]
    limits = np.quantile(known, np.arange(1, AGE_GROUPS) / AGE_GROUPS) if len(known) else np.zeros(0)
    return np.searchsorted(limits, before), np.searchsorted(limits, after)
