"""What was read of a raw table: its listings, and what becomes of each of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd

from carprice.listings.problems import RowProblem
from carprice.listings.schema import PARTIAL_WITHOUT
from carprice.listings.title_facts import Contradiction

Fate = Literal["accepted", "unpriced", "not_used_car", "quarantined"]


@dataclass(frozen=True)
class Unreadable:
    """The values of an optional column that were not used: why, in how many rows, and some of them."""

    problem: RowProblem
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """A raw table read into canonical columns.

    `listings` has one row per raw row, in its order and with its index. `fates` (object, shape (rows,)) says
    what becomes of each row: it is accepted, or unpriced, or not a used car on sale, or quarantined.

    `problems` (object, the index of the rows) holds None for an accepted row, otherwise the reasons of its
    fate joined by "; ". `row_problems` holds the same reasons with their codes, by row position, for the rows
    that have any. `reasons` counts the quarantined rows of each reason, most frequent first, and `aside` the
    rows of other fates; a row with two reasons counts under both. `unreadable` tells which values of any row
    are unknown because they can't be read, `contradictions` where a title says something else than a column.
    """

    listings: pd.DataFrame
    problems: pd.Series[Any]
    fates: npt.NDArray[Any]
    reasons: dict[RowProblem, int] = field(default_factory=dict)
    aside: dict[RowProblem, int] = field(default_factory=dict)
    row_problems: dict[int, list[RowProblem]] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)

    @property
    def good(self) -> pd.Series[bool]:
        """Which rows can be used."""
        return self.problems.isna()

    @property
    def partial(self) -> pd.Series[bool]:
        """Which rows can be used and have no mileage or no fuel."""
        return self.good & self.listings[list(PARTIAL_WITHOUT)].isna().any(axis=1)
