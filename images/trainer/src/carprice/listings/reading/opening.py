"""Opening a file of any format that is read."""

from __future__ import annotations

import os

from carprice.listings.reading.delimited import DelimitedTable
from carprice.listings.reading.json_records import JsonTable, json_format
from carprice.listings.reading.raw_table import RawFile, RawTable, whole
from carprice.listings.reading.sources import Source
from carprice.listings.reading.workbook import SheetSource, is_workbook

_HEAD_BYTES = 64 << 10
_FEW_BYTES = 64 << 20


def open_raw(
    source: bytes | str | os.PathLike[str], name: str = "the file", most_rows: int | None = None
) -> RawTable:
    """Open a file by its bytes or its path; `name` is what messages call it.

    Reads CSV (`;`, `,`, tab, `|`, `^` or `~`), JSON, JSON Lines, Excel workbooks (`.xlsx`), and gzip archives
    of these; text in UTF-8, also mixed with another encoding by line, in UTF-16, in UTF-32 with a byte order
    mark, and in the encodings of `encodings.BYTE_ENCODINGS`. The content tells the format, whatever the
    file is called. A damaged row is a fault of that row alone.

    Raises `DataRefused` for an empty file and one that is none of these. `chunks` raises it for a header
    without rows, and `TooManyRows` at the first row after `most_rows`; the rest is not read.
    """
    # who takes few rows unpacks few bytes
    most = None if most_rows is None else _FEW_BYTES
    file = Source(source, name, most)
    if is_workbook(file):
        return DelimitedTable(SheetSource(file, most), most_rows, "xlsx", ["\t"])
    kind = json_format(file.head(_HEAD_BYTES))
    if kind is not None:
        return JsonTable(file, kind, most_rows)
    return DelimitedTable(file, most_rows)


def read_raw(
    source: bytes | str | os.PathLike[str], name: str = "the file", most_rows: int | None = None
) -> RawFile:
    """Read a whole file into memory, as `open_raw` opens it. Raises what `open_raw` and `chunks` raise."""
    return whole(open_raw(source, name, most_rows))
