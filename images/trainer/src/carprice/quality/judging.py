"""What becomes of each row of a file, as far as the row itself decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.columns import Recognised
from carprice.listings.parsed import Parsed
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawChunk, RawTable
from carprice.listings.reading.raw_table import index_column
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import parse
from carprice.listings.vocabulary import Vocabulary
from carprice.quality.repeats import Hashes, SeenRows

WHOLE_FILE_REFUSED = RowProblem("whole_file_refused")
WHOLE_FILE = WHOLE_FILE_REFUSED.sentence()

FATES = ("accepted", "repeated", "unpriced", "not_used_car", "quarantined")
"""What becomes of a row: one of these, never two."""


@dataclass(frozen=True)
class JudgedRows:
    """Some consecutive rows of a file and what becomes of them.

    `table` has the file's own columns and words, `lines` are where the rows begin. `repeats` is the line of
    the earlier row that a row equals, 0 where there is none. `fates` are among `FATES`. `reasons` (object)
    are None for an accepted row. `parsed` are the rows that repeat none, in canonical columns; it is None
    where the columns of the file can't be used. `found` is what they are, `shared` are the ids that tell no
    ad, `vocabulary` the names that titles are read by.
    """

    table: pd.DataFrame
    lines: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    fates: npt.NDArray[Any]
    reasons: npt.NDArray[Any]
    parsed: Parsed | None
    found: Recognised | None
    shared: Hashes | None = None
    vocabulary: Vocabulary | None = None

    def of(self, fate: str) -> npt.NDArray[np.bool_]:
        """Which rows have this fate, shape (rows,)."""
        mask: npt.NDArray[np.bool_] = self.fates == fate
        return mask

    def listings(self) -> pd.DataFrame:
        """The accepted rows in canonical columns."""
        if self.parsed is None:
            return pd.DataFrame(columns=list(COLUMNS))
        return self.parsed.listings[self.parsed.good]

    def values(self) -> pd.DataFrame:
        """All rows in canonical columns, those that repeat one too; empty columns where there are none."""
        if self.parsed is None:
            return pd.DataFrame(index=self.table.index, columns=list(COLUMNS))
        again = self.table[self.repeats > 0]
        if again.empty:
            return self.parsed.listings
        more = parse(again, True, found=self.found, shared=self.shared, vocabulary=self.vocabulary).listings
        return pd.concat([self.parsed.listings, more]).loc[self.table.index]


def judge(
    raw: RawTable,
    chunks: Iterator[RawChunk],
    found: Recognised | None,
    shared: Hashes | None = None,
    vocabulary: Vocabulary | None = None,
) -> Iterator[JudgedRows]:
    """The rows of a file with their fates, from its `chunks`. Raises what `RawTable.chunks` raises.

    `found` is what its columns are; None where they can't be used, so that every row is quarantined.
    `shared` are hashes of the links and ids that tell no ad, `vocabulary` are the names that titles are read
    by.
    """
    numbers = {index_column(raw.header, raw.columns), *(found.of("index") if found else ())}
    compared = [column for column in raw.columns if column not in numbers]
    seen = SeenRows()
    for chunk in chunks:
        table = pd.DataFrame(
            {column: _coded(chunk.table[column]) for column in chunk.table.columns},
            columns=chunk.table.columns,
        )
        if compared:
            repeats = seen.first_lines(table[compared], chunk.lines)
        else:
            repeats = np.zeros(len(table), dtype=np.int64)
        fates = np.full(len(table), "quarantined", dtype=object)
        reasons = np.full(len(table), WHOLE_FILE, dtype=object)
        parsed = None
        if found is not None:
            new = np.flatnonzero(repeats == 0)
            place = {int(row): position for position, row in enumerate(new)}
            faults = {place[row]: fault for row, fault in chunk.faults.items() if row in place}
            parsed = parse(table.iloc[new], True, faults, found=found, shared=shared, vocabulary=vocabulary)
            fates[new], reasons[new] = parsed.fates, parsed.problems.to_numpy(dtype=object)
        again = np.flatnonzero(repeats)
        fates[again] = "repeated"
        reasons[again] = [f"the same as line {line}" for line in repeats[again]]
        yield JudgedRows(table, chunk.lines, repeats, fates, reasons, parsed, found, shared, vocabulary)


def _coded(column: pd.Series[Any]) -> pd.Categorical[Any]:
    """The column with each different text once: most columns repeat few texts, and all later work is less."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    codes, texts = pd.factorize(column)
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object))
