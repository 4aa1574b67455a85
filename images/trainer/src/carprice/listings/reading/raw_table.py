"""A raw file as a table of text: what every format is read into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.header_names import REPEATED, field_of, is_index_header
from carprice.listings.problems import RowProblem


class TooManyRows(DataRefused):
    """A file has more rows than the caller accepts."""


@dataclass(frozen=True)
class Note:
    """Lines of a file that are no rows, and why.

    `lines` (int, ascending) are 1-based. `code` is one of `NOTE_CODES`, `params` are its parameters.
    """

    code: str
    lines: npt.NDArray[np.int64]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawChunk:
    """Some consecutive rows of a file.

    `table` has the columns of its `RawTable`, every value a string (dtype `str`, nothing read as missing).
    `lines` (int, shape (rows,)) are the 1-based lines where the rows begin. `faults` says, by position in
    this chunk, what is wrong with the shape of a row.
    """

    table: pd.DataFrame
    lines: npt.NDArray[np.int64]
    faults: dict[int, RowProblem]


class RawTable(Protocol):
    """A file whose format and header are known, and whose rows are read when they are asked for.

    `header` is the header as written, `columns` are its words made unique, `format` is `csv`. `delimiter`
    separates the values where the format has one, and otherwise those of a copy as CSV. `size` is that of the
    text in bytes, 0 where it is known only at the end. `notes` is complete when `chunks` is exhausted.
    """

    header: tuple[str, ...]
    columns: tuple[str, ...]
    encoding: str
    delimiter: str
    format: str
    size: int
    notes: list[Note]

    def chunks(self) -> Iterator[RawChunk]:
        """The rows of the file in its order, from the beginning at each call.

        Raises `DataRefused` when the file has no row, and `TooManyRows` when it has more than the caller
        takes.
        """


@dataclass(frozen=True)
class RawFile:
    """A whole file as text.

    `table` has one row per data row of the file, in its order, every value a string exactly as
    written (dtype `str`, nothing read as missing); its columns are the header's words, made unique.
    `header` is the header as written. `lines` (int, shape (rows,)) are 1-based line numbers of the
    rows' beginnings. `faults` says, by row position, what is wrong with the shape of a row: a short row
    is filled with empty values, and the last column of a long row holds its surplus. `notes` are the lines
    that are no rows.
    """

    table: pd.DataFrame
    header: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    encoding: str
    delimiter: str
    faults: dict[int, RowProblem] = field(default_factory=dict)
    format: str = "csv"
    notes: list[Note] = field(default_factory=list)

    @property
    def index_column(self) -> str | None:
        """The unnamed row-number column, if the file has one."""
        return index_column(self.header, list(self.table.columns))

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Which rows equal an earlier row of the file in all columns but the row number, shape (rows,)."""
        columns = [c for c in self.table.columns if c != self.index_column]
        if not columns:
            return np.zeros(len(self.table), dtype=bool)
        codes = pd.DataFrame({c: pd.factorize(self.table[c])[0] for c in columns})
        return codes.duplicated().to_numpy()


def index_column(header: Sequence[str], columns: Sequence[str]) -> str | None:
    """The unnamed row-number column of a table, if it has one."""
    return columns[0] if is_index_header(header[0]) and field_of(columns[0]) is None else None


def whole(table: RawTable) -> RawFile:
    """All rows of a table in one."""
    faults: dict[int, RowProblem] = {}
    frames: list[pd.DataFrame] = []
    lines: list[npt.NDArray[np.int64]] = []
    rows = 0
    for chunk in table.chunks():
        faults |= {rows + position: fault for position, fault in chunk.faults.items()}
        frames.append(chunk.table)
        lines.append(chunk.lines)
        rows += len(chunk.table)
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return RawFile(
        frame,
        table.header,
        np.concatenate(lines),
        table.encoding,
        table.delimiter,
        faults,
        table.format,
        table.notes,
    )


def unique(header: Sequence[str]) -> tuple[str, ...]:
    """The header's words, made unique. A blank word is named by its place, except in the first column."""
    words: list[str] = []
    for place, word in enumerate(header):
        label = word.strip() or ("" if place == 0 else f"column {place + 1}")
        while label in words:
            label = f"{label} {REPEATED}"
        words.append(label)
    return tuple(words)


def no_rows(name: str, columns: int) -> DataRefused:
    """The refusal of a file whose header has no row below it."""
    return DataRefused(
        f"{name} has a header of {columns} columns and no rows: listings were expected below it; "
        "export it again and land the new file",
        code="no_rows",
        params={"columns": columns},
    )


def too_many_rows(name: str, most: int) -> TooManyRows:
    """The refusal of a file with more than `most` rows."""
    return TooManyRows(
        f"{name} has too many rows: at most {thousands(most)} were expected, found more; "
        "send them in several files",
        code="too_many_rows",
        params={"most": most},
    )
