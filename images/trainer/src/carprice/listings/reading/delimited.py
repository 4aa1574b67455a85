"""Text whose values are separated by a delimiter (CSV): its encoding, its delimiter, its rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.headers import field_of
from carprice.listings.problems import OTHER_FORMATS, RowProblem
from carprice.listings.reading.raw_table import Note, RawChunk, no_rows, too_many_rows, unique

DELIMITERS = (";", ",", "\t", "|")
_ROWS_PER_CHUNK = 20_000
_CONTROLS = bytes((*range(1, 9), *range(14, 32)))
_SIGNATURES = {
    b"PK\x03\x04": "excel_or_zip",
    b"\xd0\xcf\x11\xe0": "old_excel",
    b"\x1f\x8b": "gzip",
    b"%PDF": "pdf",
    b"PAR1": "parquet",
}


class DelimitedTable:
    """A CSV file as a `RawTable`."""

    format = "csv"

    def __init__(self, content: bytes, name: str, most_rows: int | None = None) -> None:
        if not content.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
            raise DataRefused(
                f"{name} is empty ({len(content)} bytes): a CSV file with a header line and listings "
                "was expected; export it again and land the new file",
                code="empty_file",
                params={"bytes": len(content)},
            )
        self._name = name
        self._most_rows = most_rows
        self._text, self.encoding = _decode(content, name)
        lines = self._lines()
        first, declared = _begin(lines)
        self.delimiter, header, used = _header(lines, first, [declared] if declared else DELIMITERS, name)
        self.header = tuple(header)
        self.columns = unique(header)
        self.notes: list[Note] = []
        self._start, self._position = first + used, lines.tell()

    def _lines(self) -> io.StringIO:
        # A file object, not a list of lines: many short lines take many times the memory of their text.
        return io.StringIO(self._text, newline="")

    def chunks(self) -> Iterator[RawChunk]:
        """The rows of the file, as `RawTable` says."""
        lines = self._lines()
        lines.seek(self._position)
        width = len(self.header)
        faults: dict[int, RowProblem] = {}
        numbers: list[int] = []
        rows: list[list[str]] = []
        read = 0
        for line, fields, unclosed in _records(lines, self._start, self.delimiter, width):
            if read == self._most_rows:
                raise too_many_rows(self._name, read)
            fields, fault = _shaped(fields, width, self.delimiter, unclosed)
            if fault is not None:
                faults[len(rows)] = fault
            numbers.append(line + 1)
            rows.append(fields)
            read += 1
            if len(rows) == _ROWS_PER_CHUNK:
                yield self._chunk(rows, numbers, faults)
                rows, numbers, faults = [], [], {}
        if not read:
            raise no_rows(self._name, width)
        if rows:
            yield self._chunk(rows, numbers, faults)

    def _chunk(self, rows: list[list[str]], numbers: list[int], faults: dict[int, RowProblem]) -> RawChunk:
        return RawChunk(_frame(rows, list(self.columns)), np.array(numbers, dtype=np.int64), faults)


def _begin(lines: io.StringIO) -> tuple[int, str | None]:
    """Move to the header: its 0-based line, and the delimiter that a line `sep=` before it declares."""
    first = position = 0
    for number, line in enumerate(iter(lines.readline, "")):
        if line.strip("\r\n\t ;,|"):
            first = number
            declared = re.fullmatch(r'"?sep=(.)"?\s*', line)
            if declared:
                return first + 1, declared[1]
            break
        position = lines.tell()
    else:
        position = 0
    lines.seek(position)
    return first, None


def _decode(content: bytes, name: str) -> tuple[str, str]:
    for signature, found in _SIGNATURES.items():
        if content.startswith(signature):
            raise DataRefused(
                f"{name} is {OTHER_FORMATS[found]}: a CSV file (plain text) was expected; "
                "save it as CSV and land that file",
                code="other_format",
                params={"format": found},
            )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16"), "utf-16"
        except UnicodeDecodeError:
            pass
    controls = len(content) - len(content.translate(None, _CONTROLS))
    zeros = content.count(0)
    if zeros or controls > len(content) / 100:
        raise DataRefused(
            f"{name} is not text ({thousands(zeros)} NUL bytes and {thousands(controls)} other control "
            f"characters in {thousands(len(content))} bytes): a CSV file was expected; "
            "export the listings as CSV and land that file",
            code="not_text_file",
            params={"nul_bytes": zeros, "control_bytes": controls, "bytes": len(content)},
        )
    try:
        if content.startswith(codecs.BOM_UTF8):
            return content.decode("utf-8-sig"), "utf-8-sig"
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        damaged = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    # A few broken bytes do not make a UTF-8 file Windows-1252: every accent of it would be misread.
    lost = damaged.count("�")
    if sum(not c.isascii() for c in damaged) - lost > 10 * lost:
        return damaged, "utf-8"
    try:
        return content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _header(
    lines: io.StringIO, first: int, delimiters: Iterable[str], name: str
) -> tuple[str, list[str], int]:
    """The delimiter that makes most header words known ones, the header and its number of lines.

    Afterwards `lines` stands below the header.
    """
    best: tuple[tuple[int, int], str, list[str], int] | None = None
    position = lines.tell()
    for delimiter in delimiters:
        lines.seek(position)
        # a header over more than a few lines is an unclosed quote
        reader = csv.reader(islice(lines, 10), delimiter=delimiter)
        try:
            header = next(reader, [])
        except csv.Error:
            continue
        known = len({field_of(word) for word in header} - {None})
        rank = (known, len(header))
        if best is None or rank > best[0]:
            best = rank, delimiter, header, reader.line_num
    if best is None or not any(word.strip() for word in best[2]):
        raise DataRefused(
            f"{name} has no readable header: column names separated by ',' or ';' were expected in "
            f"line {first + 1}; export it again and land the new file",
            code="no_header",
            params={"line": first + 1},
        )
    _, delimiter, header, used = best
    lines.seek(position)
    for _ in range(used):
        lines.readline()
    return delimiter, header, used


def _shaped(
    fields: list[str], width: int, delimiter: str, unclosed: bool
) -> tuple[list[str], RowProblem | None]:
    """The `width` values of a record, and what is wrong with its shape."""
    if unclosed:
        return _fitted(fields, width, delimiter), RowProblem("unclosed_quote")
    if len(fields) != width:
        if len(fields) > width and not any(value.strip() for value in fields[width:]):
            return fields[:width], None  # surplus delimiters at the end
        fault = RowProblem("wrong_number_of_values", {"values": len(fields), "columns": width})
        return _fitted(fields, width, delimiter), fault
    return fields, None if any(map(str.strip, fields)) else RowProblem("empty_row")


def _records(
    lines: io.StringIO, start: int, delimiter: str, width: int
) -> Iterator[tuple[int, list[str], bool]]:
    """0-based first line and values of each record, and whether a quote in it is never closed.

    `lines` stands at line `start`. A quote that is never closed would swallow the lines after it. So when
    a record of several lines does not have `width` values, its first line becomes a row of its own and
    reading continues below it.
    """
    while True:
        reader = csv.reader(lines, delimiter=delimiter)
        first, position = start, lines.tell()
        broken = False
        while not broken:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:  # a value longer than csv allows
                broken = True
            else:
                after = start + reader.line_num
                broken = after - first > 1 and len(fields) != width
                if not broken:
                    if fields and (len(fields) > 1 or fields[0].strip() or width == 1):
                        yield first, fields, False
                    first, position = after, lines.tell()
        lines.seek(position)
        yield first, lines.readline().rstrip("\r\n").split(delimiter), True
        start = first + 1


def _fitted(fields: list[str], width: int, delimiter: str) -> list[str]:
    """Exactly `width` values: empty ones are added, and a surplus is kept in the last one."""
    surplus = [delimiter.join(fields[width - 1 :])] if len(fields) >= width else []
    return [*fields[: width - 1], *surplus] + [""] * (width - len(fields))


def _frame(rows: list[list[str]], columns: list[str]) -> pd.DataFrame:
    values: Iterable[Any] = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pd.DataFrame(
        {c: pd.array(list(v), dtype="str") for c, v in zip(columns, values, strict=True)},
        columns=pd.Index(columns, dtype=object),
    )
