"""What a sequence of files tells: the listings, what they were seen with, and which ads are copies.

The state after one more file is made from the state before and that file alone, and of the state before only
the listings of the makes and models that the file has are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from carprice.history.columnar import arrow_of, frame_of
from carprice.history.linking import PAIR_COLUMNS
from carprice.history.merging import CONTRADICTION_COLUMNS
from carprice.history.parts import length_of
from carprice.history.regrouping import CAR_COLUMNS, Draw
from carprice.history.working_set import Landed, WorkingSet
from carprice.listings.tables import as_canonical

RULES = 5
"""Whoever changes the code so that the same files give other listings, copies or sides raises this number."""

TIMES = ["first_seen_at", "last_seen_at"]
TABLES = ("sightings", "listings", "contradictions", "pairs", "cars")


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
    """The tables of a state, as Arrow in `tables` and each as pandas by its name.

    `sightings` has one row for each listing and content that it was seen with: the canonical columns, and the
    times at which it was seen so first and last. `listings` has one row per listing, with what all its copies
    say. `contradictions` is what copies say differently, `pairs` the copies (`linking.PAIR_COLUMNS`), `cars`
    the group and the side of each listing (`CAR_COLUMNS`), in the order of `listings`.
    """

    tables: Mapping[str, pa.Table]

    @property
    def sightings(self) -> pd.DataFrame:
        """All of the table, which takes about a GiB for a million rows."""
        return frame_of(self.tables["sightings"])

    @property
    def listings(self) -> pd.DataFrame:
        """All of the table, which takes about a GiB for a million rows."""
        return frame_of(self.tables["listings"])

    @property
    def contradictions(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["contradictions"])

    @property
    def pairs(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["pairs"])

    @property
    def cars(self) -> pd.DataFrame:
        """All of the table."""
        return frame_of(self.tables["cars"])

    def __len__(self) -> int:
        """The number of listings."""
        return length_of(self.tables, "listings")


def empty_state() -> State:
    """The state before the first file."""
    canonical = as_canonical(pd.DataFrame(index=pd.RangeIndex(0)))
    times = dict.fromkeys(TIMES, canonical["scraped_at"])
    contradictions, pairs, cars = (
        pd.DataFrame(columns=names, dtype=object)
        for names in (CONTRADICTION_COLUMNS, PAIR_COLUMNS, CAR_COLUMNS)
    )
    frames = (canonical.assign(**times), canonical, contradictions, pairs.astype({"confidence": float}), cars)
    return State({name: arrow_of(frame) for name, frame in zip(TABLES, frames, strict=True)})


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
    files = working_set(state, [Landed(arrow_of(as_canonical(rows)), received_at)], terms, sides_before)
    files.add(0)
    return State(files.tables())


def working_set(
    state: State, files: Sequence[Landed], terms: Terms, sides_before: pd.Series[Any] | None = None
) -> WorkingSet:
    """The listings of a state that the files may touch; they are added in their order, each once."""
    draw = Draw(terms.test_share, terms.seed)
    return WorkingSet(state.tables, files, draw, terms.cuts, sides_before)
