"""Opening a file of any format that is read."""

from __future__ import annotations

import os

from carprice.listings.reading.delimited import DelimitedTable
from carprice.listings.reading.raw_table import RawFile, RawTable, whole
from carprice.listings.reading.sources import Source


def open_raw(
    source: bytes | str | os.PathLike[str], name: str = "the file", most_rows: int | None = None
) -> RawTable:
    """Open a file by its bytes or its path; `name` is what messages call it.

    Reads UTF-8 with or without byte order mark, UTF-16 with one, Windows-1252 and Latin-1; `;`, `,`,
    tab or `|`; quoted values over several lines. A row of the wrong shape is a fault of that row alone.
    Raises `DataRefused` for an empty file and a file that is not text. `chunks` raises it for a header
    without rows, and `TooManyRows` at the first row after `most_rows`; the rest is not read.
    """
    return DelimitedTable(Source(source, name), most_rows)


def read_raw(
    source: bytes | str | os.PathLike[str], name: str = "the file", most_rows: int | None = None
) -> RawFile:
    """Read a whole file into memory, as `open_raw` opens it. Raises what `open_raw` and `chunks` raise."""
    return whole(open_raw(source, name, most_rows))
