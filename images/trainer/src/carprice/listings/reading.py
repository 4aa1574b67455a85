"""Reading a scraper's CSV file as text: its encoding, its delimiter, its words and its line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.headers import field_of, is_index_header
from carprice.listings.problems import OTHER_FORMATS, RowProblem

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


class TooManyRows(DataRefused):
    """A file has more rows than the caller accepts."""


@dataclass(frozen=True)
class RawFile:
    """A CSV file as text.

    `table` has one row per data row of the file, in its order, every value a string exactly as
    written (dtype `str`, nothing read as missing); its columns are the header's words, made unique.
    `header` is the header as written. `lines` (int, shape (rows,)) are 1-based line numbers of the
    rows' beginnings. `faults` says, by row position, what is wrong with the shape of a row: a short row
    is filled with empty values, and the last column of a long row holds its surplus.
    """

    table: pd.DataFrame
    header: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    encoding: str
    delimiter: str
    faults: dict[int, RowProblem] = field(default_factory=dict)

    @property
    def index_column(self) -> str | None:
        """The unnamed row-number column, if the file has one."""
        first = str(self.table.columns[0])
        return first if is_index_header(self.header[0]) and field_of(first) is None else None

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Which rows equal an earlier row of the file in all columns but the row number, shape (rows,)."""
        columns = [c for c in self.table.columns if c != self.index_column]
        if not columns:
            return np.zeros(len(self.table), dtype=bool)
        codes = pd.DataFrame({c: pd.factorize(self.table[c])[0] for c in columns})
        return codes.duplicated().to_numpy()


def read_raw(content: bytes, name: str = "the file", most_rows: int | None = None) -> RawFile:
    """Read the bytes of a CSV file; `name` is what messages call it.

    Reads UTF-8 with or without byte order mark, UTF-16 with one, Windows-1252 and Latin-1; `;`, `,`,
    tab or `|`; quoted values over several lines. A row of the wrong shape is a fault of that row alone.
    Raises `DataRefused` for an empty file, a header without rows and a file that is not text, and
    `TooManyRows` at the first row after `most_rows`; the rest is not read.
    """
    if not content.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise DataRefused(
            f"{name} is empty ({len(content)} bytes): a CSV file with a header line and listings "
            "was expected; export it again and land the new file",
            code="empty_file",
            params={"bytes": len(content)},
        )
    text, encoding = _decode(content, name)
    # A file object, not a list of lines: many short lines take many times the memory of their text.
    lines = io.StringIO(text, newline="")
    first, declared = _begin(lines)
    delimiter, header, used = _header(lines, first, [declared] if declared else DELIMITERS, name)
    return _body(lines, first + used, header, encoding, delimiter, name, most_rows)


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


def _body(
    lines: io.StringIO,
    start: int,
    header: list[str],
    encoding: str,
    delimiter: str,
    name: str,
    most_rows: int | None,
) -> RawFile:
    width = len(header)
    columns = _unique(header)
    faults: dict[int, RowProblem] = {}
    numbers: list[int] = []
    chunks: list[pd.DataFrame] = []
    chunk: list[list[str]] = []
    for line, fields, unclosed in _records(lines, start, delimiter, width):
        if len(numbers) == most_rows:
            raise TooManyRows(
                f"{name} has too many rows: at most {thousands(most_rows)} were expected, found more; "
                "send them in several files",
                code="too_many_rows",
                params={"most": most_rows},
            )
        if unclosed:
            faults[len(numbers)] = RowProblem("unclosed_quote")
            fields = _fitted(fields, width, delimiter)
        elif len(fields) != width:
            if len(fields) > width and not any(value.strip() for value in fields[width:]):
                fields = fields[:width]  # surplus delimiters at the end
            else:
                faults[len(numbers)] = RowProblem(
                    "wrong_number_of_values", {"values": len(fields), "columns": width}
                )
                fields = _fitted(fields, width, delimiter)
        elif not any(map(str.strip, fields)):
            faults[len(numbers)] = RowProblem("empty_row")
        numbers.append(line + 1)
        chunk.append(fields)
        if len(chunk) == _ROWS_PER_CHUNK:
            chunks.append(_frame(chunk, columns))
            chunk = []
    if not numbers:
        raise DataRefused(
            f"{name} has a header of {width} columns and no rows: listings were expected below it; "
            "export it again and land the new file",
            code="no_rows",
            params={"columns": width},
        )
    chunks.append(_frame(chunk, columns))
    table = pd.concat(chunks, ignore_index=True) if len(chunks) > 1 else chunks[0]
    return RawFile(table, tuple(header), np.array(numbers, dtype=np.int64), encoding, delimiter, faults)


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


def _unique(header: list[str]) -> list[str]:
    """The header's words, made unique. A blank word is named by its place, except in the first column."""
    unique: list[str] = []
    for place, word in enumerate(header):
        label = word.strip() or ("" if place == 0 else f"column {place + 1}")
        while label in unique:
            label = f"{label} (again)"
        unique.append(label)
    return unique
