"""CSV files that people open in a spreadsheet.

Cells hold words of strangers. A spreadsheet runs a cell that begins with one of `SIGNS` as a formula, so a
text that does gets an apostrophe in front, which shows it as text. Numbers stay numbers, also those written
as text. Every text stands in quotation marks, so that no separator in it begins a new cell, whichever the
spreadsheet expects.
Source: OWASP, CSV injection.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
TEXT_MARK = "'"
_MARKED = tuple(TEXT_MARK + sign for sign in SIGNS)
_NUMBER = re.compile(r"[+-]\d+(?:[.,]\d+)?")
_LARGEST_WHOLE = 1e15  # whole numbers up to here are exact, and are written without a point


class _Output(Protocol):
    def write(self, text: str, /) -> Any: ...


class SpreadsheetWriter:
    """Writes the header to `output`, a text file, then rows. Cells are text, numbers, moments or None."""

    def __init__(self, output: _Output, header: Iterable[Any], delimiter: str = ",") -> None:
        self._writer = csv.writer(
            output, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )
        self._writer.writerow([_cell(name) for name in header])

    def write(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write rows of as many cells as the header has."""
        self._writer.writerows([_cell(value) for value in row] for row in rows)

    def write_table(self, table: pd.DataFrame) -> None:
        """Write the rows of `table`, whose columns are those of the header."""
        columns = (table.iloc[:, number].astype(object).tolist() for number in range(table.shape[1]))
        self.write(zip(*columns, strict=True))


def csv_text(table: pd.DataFrame, delimiter: str = ",") -> str:
    """The table with its header as the text of a CSV file."""
    text = io.StringIO()
    SpreadsheetWriter(text, table.columns, delimiter).write_table(table)
    return text.getvalue()


def without_text_mark(text: str) -> str:
    """The text of a cell as it was before it was written here."""
    return text[len(TEXT_MARK) :] if text.startswith(_MARKED) else text


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return TEXT_MARK + value if value.startswith(SIGNS) and not _NUMBER.fullmatch(value) else value
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, float) and abs(value) < _LARGEST_WHOLE and value == int(value):
        return int(value)
    return value
