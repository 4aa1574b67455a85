"""Rows to look at: an even sample of a file of any size, and examples of each reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from carprice.quality.judging import WHOLE_FILE, JudgedRows

_MOST_ROWS = 20_000
_MOST_REASONS = 200


class RowSample:
    """Every row of a small file, every n-th row of a large one; repeated rows are left out.

    `raw` has the file's own columns and words, `listings` the accepted rows in canonical columns.
    """

    def __init__(self) -> None:
        self._every = 1
        self._rows = 0
        self._kept: list[tuple[np.ndarray[Any, Any], pd.DataFrame, pd.DataFrame]] = []

    @property
    def is_whole(self) -> bool:
        """Whether all rows are in it."""
        return self._every == 1

    def add(self, rows: JudgedRows) -> None:
        """Add rows of the file."""
        new = np.flatnonzero(rows.repeats == 0)
        places = np.arange(self._rows, self._rows + len(new))
        self._rows += len(new)
        kept = places % self._every == 0
        listings = rows.listings
        if not self.is_whole:
            listings = listings[listings.index.isin(rows.table.index[new[kept]])]
        self._kept.append(self._thinned(places[kept], rows.table.iloc[new[kept]], listings))
        while sum(len(places) for places, _, _ in self._kept) > _MOST_ROWS:
            self._every *= 2
            self._kept = [self._thinned(*kept) for kept in self._kept]

    def raw(self) -> pd.DataFrame:
        """The sampled rows in the file's own words."""
        frames = [raw.astype(object) for _, raw, _ in self._kept]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def listings(self) -> pd.DataFrame:
        """The sampled rows that are accepted, in canonical columns."""
        frames = [listings for _, _, listings in self._kept if len(listings)]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _thinned(
        self, places: np.ndarray[Any, Any], raw: pd.DataFrame, listings: pd.DataFrame
    ) -> tuple[np.ndarray[Any, Any], pd.DataFrame, pd.DataFrame]:
        if self._every == 1:
            return places, raw, listings
        kept = places % self._every == 0
        # a slice of a categorical column would keep every text of the column
        raw = raw[kept].astype(object)
        return places[kept], raw, listings[listings.index.isin(raw.index)]


@dataclass(frozen=True)
class Example:
    """One row of a file: its line, why it was put aside, and its values in the file's own words."""

    line: int
    reason: str
    values: dict[str, str]


class Examples:
    """Quarantined rows to look at: the first ones of each reason."""

    def __init__(self, columns: list[str], most: int) -> None:
        self._columns = columns
        self._most = most
        self._found: dict[str, list[Example]] = {}

    def add(self, rows: JudgedRows) -> None:
        """Add rows of the file."""
        quarantined = np.flatnonzero(rows.of("quarantined"))
        for row in quarantined:
            reason = rows.reasons[row]
            if reason == WHOLE_FILE or (reason not in self._found and len(self._found) == _MOST_REASONS):
                continue
            known = self._found.setdefault(reason, [])
            if len(known) < self._most:
                values = dict(zip(self._columns, map(str, rows.table[self._columns].iloc[row]), strict=True))
                known.append(Example(int(rows.lines[row]), reason, values))

    def chosen(self) -> list[Example]:
        """Some of each reason, in the order of the file."""
        ranked = [
            (rank, example.line, example)
            for examples in self._found.values()
            for rank, example in enumerate(examples)
        ]
        chosen = sorted(ranked, key=lambda each: each[:2])[: self._most]
        return sorted((example for _, _, example in chosen), key=lambda example: example.line)
