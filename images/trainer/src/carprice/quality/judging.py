"""What becomes of each row of a file, as far as the row itself decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import cpu_count  # type: ignore[import-untyped]

from carprice.listings.columns import Recognised
from carprice.listings.parsed import Parsed
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawChunk, RawTable
from carprice.listings.reading.lines import BLOCK_BYTES
from carprice.listings.reading.raw_table import index_column
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import parse
from carprice.listings.vocabulary import Vocabulary
from carprice.quality.identities import RowIds
from carprice.quality.repeats import Hashes, SeenRows
from carprice.quality.second_process import SecondProcess

WHOLE_FILE_REFUSED = RowProblem("whole_file_refused")
WHOLE_FILE = WHOLE_FILE_REFUSED.sentence()

# A second process takes seconds to start; so many parts of a file are parsed sooner without it.
_PARSED_ALONE = 3
# It starts at once for a file that surely has more.
_LARGE_BYTES = 5 * BLOCK_BYTES

FATES = ("accepted", "repeated", "unpriced", "not_used_car", "quarantined")
"""What becomes of a row: one of these, never two."""


@dataclass(frozen=True)
class JudgedRows:
    """Some consecutive rows of a file and what becomes of them.

    `table` has the file's own columns and words, `lines` are where the rows begin. `repeats` is the line of
    the earlier row that a row equals, 0 where there is none. `fates` are among `FATES`. `reasons` (object)
    are None for an accepted row. `parsed` are the rows that repeat none, in canonical columns, and `ids` the
    ids of those that are accepted; both are None where the columns of the file can't be used. `found` is what
    they are, `shared` are the ids that tell no ad, `vocabulary` the names that titles are read by.
    """

    table: pd.DataFrame
    lines: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    fates: npt.NDArray[Any]
    reasons: npt.NDArray[Any]
    parsed: Parsed | None
    ids: RowIds | None
    found: Recognised | None
    shared: Hashes | None = None
    vocabulary: Vocabulary | None = None

    def of(self, fate: str) -> npt.NDArray[np.bool_]:
        """Which rows have this fate, shape (rows,)."""
        mask: npt.NDArray[np.bool_] = self.fates == fate
        return mask

    @cached_property
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
    unparsed = _compared(raw, chunks, found)
    if found is None:
        read: Iterator[tuple[_Rows, _Read]] = ((rows, (None, None)) for rows in unparsed)
    else:
        work = partial(_parse, found=found, shared=shared, vocabulary=vocabulary)
        read = _parsed(unparsed, work, 0 if raw.size > _LARGE_BYTES else _PARSED_ALONE)
    for rows, (what, ids) in read:
        fates = np.full(len(rows.table), "quarantined", dtype=object)
        reasons = np.full(len(rows.table), WHOLE_FILE, dtype=object)
        if what is not None:
            fates[rows.new], reasons[rows.new] = what.fates, what.problems.to_numpy(dtype=object)
        again = np.flatnonzero(rows.repeats)
        fates[again] = "repeated"
        reasons[again] = [f"the same as line {line}" for line in rows.repeats[again]]
        yield JudgedRows(
            rows.table, rows.lines, rows.repeats, fates, reasons, what, ids, found, shared, vocabulary
        )


class _Rows(NamedTuple):
    """Some consecutive rows, of which `new` (places) repeat none; `faults` are by place among those."""

    table: pd.DataFrame
    lines: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    new: npt.NDArray[np.int64]
    faults: dict[int, RowProblem]


def _compared(raw: RawTable, chunks: Iterator[RawChunk], found: Recognised | None) -> Iterator[_Rows]:
    """The rows of a file, each compared with all before it."""
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
        new = np.flatnonzero(repeats == 0)
        place = {int(row): position for position, row in enumerate(new)} if chunk.faults else {}
        faults = {place[row]: fault for row, fault in chunk.faults.items() if row in place}
        yield _Rows(table, chunk.lines, repeats, new, faults)


_Job = tuple[pd.DataFrame, dict[int, RowProblem]]
_Read = tuple[Parsed | None, RowIds | None]


def _parse(job: _Job, found: Recognised, shared: Hashes | None, vocabulary: Vocabulary | None) -> _Read:
    table, faults = job
    parsed = parse(table, True, faults, found=found, shared=shared, vocabulary=vocabulary)
    return parsed, RowIds.of(parsed.listings[parsed.good])


def _parsed(
    unparsed: Iterator[_Rows], work: Callable[[_Job], _Read], alone: int
) -> Iterator[tuple[_Rows, _Read]]:
    """Rows and what they say, in their order; after `alone` parts they are parsed while the next are read."""

    def job(rows: _Rows) -> _Job:
        return rows.table.iloc[rows.new], rows.faults

    for rows in itertools.islice(unparsed, alone):
        yield rows, work(job(rows))
    more = next(unparsed, None)
    if more is None:
        return
    rest = itertools.chain([more], unparsed)
    if cpu_count() == 1:
        yield from ((rows, work(job(rows))) for rows in rest)
        return
    under_way: _Rows | None = None
    with SecondProcess(work) as beside:
        for rows in rest:
            if not beside.is_ready():
                yield rows, work(job(rows))
                continue
            done = None if under_way is None else (under_way, beside.result())
            beside.begin(job(rows))
            under_way = rows
            if done is not None:
                yield done
        if under_way is not None:
            yield under_way, beside.result()


def _coded(column: pd.Series[Any]) -> pd.Categorical[Any]:
    """The column with each different text once: most columns repeat few texts, and all later work is less."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    codes, texts = pd.factorize(column)
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object))
