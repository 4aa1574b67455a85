"""Excel workbooks as delimited text, so that titles, totals and further headers are read as in a CSV file."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, BinaryIO, cast

from carprice.errors import DataRefused
from carprice.listings.reading.beginning import beginning_of
from carprice.listings.reading.sources import ByteStream, Source, too_large

MOST_WORKBOOK_BYTES = 512 << 20
"""The most bytes that the parts of a workbook may unpack to."""

_IN_MEMORY = 64 << 20
_FIRST_ROWS = 60
_LEAST_KNOWN = 3
_LOCALE = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_CONDITION = re.compile(r"\[[^\]]*\]")
_CURRENCY = re.compile(r"€|\$|£|\b(?:EUR|USD|GBP)\b")
_BREAKS = re.compile(r"[\r\n\t]+")


class SheetSource:
    """The sheet of a workbook that holds listings, as lines of values separated by tabs: one for each row.

    Line ends and tabs within a cell are blanks. A number that its format shows in another currency than
    dirhams has the sign of that behind it. Raises `DataRefused` for a damaged or too large workbook, and for
    one with listings in several sheets.
    """

    def __init__(self, source: Source, most_bytes: int | None = None) -> None:
        self._most = most_bytes or MOST_WORKBOOK_BYTES
        self.name = source.name
        self._lines = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
        with source.open() as stream:
            content = stream if stream.seekable() and not source.packed else io.BytesIO(stream.read())
            self._unpack(content)

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """The text from its beginning."""
        yield _View(self._lines)

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`."""
        with self.open() as stream:
            return stream.read(size)

    def _unpack(self, content: BinaryIO) -> None:
        import openpyxl  # slow to load; other formats do without it
        from openpyxl.utils.exceptions import InvalidFileException

        _require_size(content, self.name, self._most)
        try:
            book = openpyxl.load_workbook(content, read_only=True, data_only=True, keep_links=False)
            sheet = self._sheet_of(book)
            self._write(sheet)
        except (
            InvalidFileException,
            zipfile.BadZipFile,
            KeyError,
            ValueError,
            TypeError,
            SyntaxError,
            OSError,
            EOFError,
            zlib.error,
        ) as error:
            raise DataRefused(
                f"{self.name} is a damaged Excel workbook: a whole one was expected, but reading it failed "
                f"({type(error).__name__}); save it again and land the new file",
                code="damaged_workbook",
                params={},
            ) from error

    def _sheet_of(self, book: Any) -> Any:
        """The only sheet with listings, else the first one with anything in it."""
        filled: list[Any] = []
        known: list[str] = []
        best: Any = None
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            lines = [line for line, _ in _lines_of(sheet, _FIRST_ROWS)]
            if not any(line.strip() for line in lines):
                continue
            filled.append(sheet)
            begin = beginning_of([f"{line}\n" for line in lines], self.name, ["\t"])
            if begin.known >= _LEAST_KNOWN and len(lines) > begin.line + 1:
                known.append(sheet.title)
                best = best or sheet
        if len(known) > 1:
            raise DataRefused(
                f"{self.name} has listings in several sheets ({', '.join(known[:5])}): one sheet with them "
                "was expected; save each sheet as a file of its own and land those",
                code="several_sheets",
                params={"sheets": known[:5]},
            )
        if not filled:
            raise DataRefused(
                f"{self.name} is an empty workbook: a sheet with a header and listings was expected; "
                "save it again and land the new file",
                code="empty_file",
                params={"bytes": 0},
            )
        return best or filled[0]

    def _write(self, sheet: Any) -> None:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as short:
            widths = array("l")
            for line, values in _lines_of(sheet, None):
                short.write(f"{line}\n".encode("utf-8", "replace"))
                widths.append(values)
            most = max(widths, default=0)
            short.seek(0)
            for written, values in zip(short, widths, strict=True):
                self._lines.write(written.rstrip(b"\n") + b"\t" * (most - values) + b"\n")


class _View:
    """Reads a file from its beginning, whoever else reads it meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        self._file.seek(self._place)
        content = self._file.read(size)
        self._place += len(content)
        return content


def is_workbook(source: Source) -> bool:
    """Whether a file is an Excel workbook of the kind that is read (`.xlsx`)."""
    if source.head(4) != b"PK\x03\x04":
        return False
    with source.open() as stream:
        content = stream if stream.seekable() and not source.packed else io.BytesIO(stream.read())
        try:
            with zipfile.ZipFile(content) as archive:
                return "xl/workbook.xml" in archive.namelist()
        except zipfile.BadZipFile:
            return False


def _require_size(content: BinaryIO, name: str, most: int) -> None:
    with zipfile.ZipFile(content) as archive:
        if sum(part.file_size for part in archive.infolist()) > most:
            raise too_large(name, most)
    content.seek(0)


def _lines_of(sheet: Any, most: int | None) -> Iterator[tuple[str, int]]:
    """The rows of a sheet as lines, each with its number of values; a row that is not there is blank."""
    # openpyxl gives rows that the file leaves out as empty ones
    for cells in sheet.iter_rows(max_row=most):
        values = [_text(cell) for cell in cells]
        while values and not values[-1].strip():
            values.pop()
        yield _line(values), max(1, len(values))


def _line(values: list[str]) -> str:
    if not any('"' in value for value in values):
        return "\t".join(values)
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="").writerow(values)
    return text.getvalue()


def _text(cell: Any) -> str:
    """A cell as people see it, for what matters here."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return _BREAKS.sub(" ", value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return str(
            value.date() if not (value.hour or value.minute or value.second) else value.replace(microsecond=0)
        )
    if isinstance(value, date):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    currency = _CURRENCY.search(_CONDITION.sub("", _LOCALE.sub(r"\1", cell.number_format or "")))
    return f"{text} {currency[0]}" if currency else text
