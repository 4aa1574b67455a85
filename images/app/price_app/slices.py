"""A raw file cut into files small enough for one request, and the answers put together again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from carprice.listings import reading
from carprice.listings.problems import RowProblem
from price_contract.answers import Batch, BatchRow

ROWS, BYTES = 2_000, 3_000_000

# A row of which little is left never looks like the footer of its slice, because it has a number.
_ROW_NUMBER = "Unnamed: 0"


@dataclass(frozen=True)
class Slice:
    """Consecutive rows of a file: `content` is the CSV file of those without a fault, None if all have one.

    `faults` says by position in the slice what is wrong with the shape of a row.
    """

    rows: int
    content: bytes | None
    faults: Mapping[int, RowProblem]


@dataclass
class PricedRows:
    """The answers about the rows of a file so far; `row` counts from 1 in the whole file."""

    rows: list[BatchRow] = field(default_factory=list)
    coverage: float = 0.0
    version: str = ""

    @property
    def unpriced(self) -> list[BatchRow]:
        """The rows without a price."""
        return [row for row in self.rows if "price_mad" not in row]

    @property
    def with_warnings(self) -> list[BatchRow]:
        """The rows whose price is less certain than usual; a field without use makes none less certain."""
        return [
            row
            for row in self.rows
            if any(each["code"] != "not_used_by_model" for each in row.get("warnings", []))
        ]

    @property
    def priced(self) -> int:
        """The number of rows with a price."""
        return len(self.rows) - len(self.unpriced)

    def add(self, piece: Slice, batch: Batch | None) -> None:
        """Append the answers about the next slice; `batch` is None where nothing of it was sent."""
        first = len(self.rows)
        if batch is not None:
            self.coverage, self.version = batch["interval_coverage"], batch["model"]["version"]
        answers = iter(batch["predictions"] if batch is not None else ())
        for position in range(piece.rows):
            fault = piece.faults.get(position)
            answer = next(answers) if fault is None else _of_fault(fault)
            self.rows.append({**answer, "row": first + position + 1})


def slices_of(raw: reading.RawFile, rows: int = ROWS, size: int = BYTES) -> Iterator[Slice]:
    """The file in slices of at most `rows` rows and about `size` bytes, each with the header, in UTF-8.

    The API says of each row what it would say of it in the whole file.
    """
    columns = [raw.table[column].tolist() for column in raw.table.columns]
    lines: list[str] = []
    faults: dict[int, RowProblem] = {}
    length = held = 0
    for number, values in enumerate(zip(*columns, strict=True)):
        line = _line([*values, str(number)], raw.delimiter)
        weight = len(line.encode("utf-8", "replace"))
        if held and (held == rows or length + weight > size):
            yield _slice(raw, lines, faults, held)
            lines, faults, length, held = [], {}, 0, 0
        if number in raw.faults:
            faults[held] = raw.faults[number]
        else:
            lines.append(line)
            length += weight
        held += 1
    yield _slice(raw, lines, faults, held)


def _slice(raw: reading.RawFile, lines: list[str], faults: dict[int, RowProblem], rows: int) -> Slice:
    header = _line([*raw.header, _ROW_NUMBER], raw.delimiter)
    content = (header + "".join(lines)).encode("utf-8", "replace") if lines else None
    return Slice(rows, content, faults)


def _line(values: list[str], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(values)
    return text.getvalue()


def _of_fault(fault: RowProblem) -> BatchRow:
    """What the API answers for a row of a wrong shape."""
    return {
        "row": 0,
        "errors": [],
        "problem": fault.sentence(),
        "code": fault.code,
        "params": dict(fault.params),
    }


def first_rows(raw: reading.RawFile, rows: int) -> pd.DataFrame:
    """The first rows as they were written, for a preview."""
    return raw.table.head(rows).astype(object)
