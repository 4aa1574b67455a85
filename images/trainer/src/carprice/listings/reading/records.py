"""Reading the records that are not plain lines: values over several lines, odd quotation marks, damage."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carprice.listings.problems import RowProblem
from carprice.listings.reading.quotes import (
    has_cut_entity,
    lenient_values,
    strict_record,
    unwrapped,
    with_entities_joined,
)
from carprice.listings.reading.sections import Section
from carprice.listings.reading.shapes import ColumnShapes

Line = Callable[[int], str | None]
"""The text of a line with its line end, by its number; None after the last one."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Record:
    """The values of a record, the number of its lines, and what is wrong with it."""

    values: Sequence[str]
    lines: int = 1
    fault: RowProblem | None = None


class RecordReader:
    """Reads records one by one.

    After a damaged record it is in doubt until something reads like a row: the damage may be a quotation mark
    whose value goes on in the next lines.
    """

    def __init__(self, delimiter: str, shapes: ColumnShapes) -> None:
        self._delimiter = delimiter
        self._shapes = shapes
        self.in_doubt = False

    def read(self, line: Line, first: int, section: Section) -> Record:
        """The record that begins with line `first`."""
        record = self._read(line, first, section)
        doubted = self.in_doubt
        self.in_doubt = record.fault is not None
        if doubted and record.fault is None and not (record.lines == 1 and self.fits(record.values, section)):
            # The end of a record of several lines may be that of the damaged one before it.
            self.in_doubt = not self.fits(record.values, section)
            return Record(record.values, record.lines, RowProblem("doubtful_row"))
        return record

    def fits(self, values: Sequence[str], section: Section) -> bool:
        """Whether values look like a row below the header."""
        return len(values) == section.values and self._shapes.fit(values, section.places)

    def begins_like_a_row(self, text: str, section: Section) -> bool:
        """Whether a line that is no row has the first values of one, up to its last quotation mark."""
        begin = [token.strip().strip('"') for token in self.naive(text.rpartition('"')[0] or text)]
        begin = begin[:-1] if '"' in text else begin
        return self._shapes.fit(begin, section.places) and self._shapes.tell(begin, section.places)

    def naive(self, text: str) -> list[str]:
        """The values of a line if its quotation marks mean nothing."""
        return text.rstrip("\r\n").split(self._delimiter)

    def _read(self, line: Line, first: int, section: Section) -> Record:
        text = (line(first) or "").rstrip("\r\n")
        plain = self.naive(text)
        if "\0" in text:
            return Record(plain, 1, RowProblem("nul_byte"))
        strict = strict_record(line, first, self._delimiter, section.values)
        if strict is None:
            values = lenient_values(text, self._delimiter, section.values)
            if values is not None and self.fits(values, section):
                return Record(values)
            return Record(plain, 1, RowProblem("unclosed_quote"))
        values, lines = strict
        if lines > 1:
            if self._swallows(line, first, lines, values, section):
                return Record(plain, 1, RowProblem("joined_rows"))
            if len(values) != section.values and self._has_rows(line, first, lines, section):
                return Record(plain, 1, RowProblem("unclosed_quote"))
        else:
            values = unwrapped(values, self._delimiter, section.values)
        if lines == 1 and self._delimiter == ";" and "&" in text:
            values = with_entities_joined(values, section.values) or values
            if has_cut_entity(values):
                return Record(values, 1, RowProblem("doubtful_row"))
        return Record(values, lines, _fault(values, section))

    def _swallows(self, line: Line, first: int, lines: int, values: Sequence[str], section: Section) -> bool:
        """Whether a value over several lines may hold another row, because two odd marks enclose it."""
        inside = sum(value.count(self._delimiter) for value in values if _LINE_BREAK.search(value))
        return inside >= section.values - 1 and self._has_rows(line, first, lines, section)

    def _has_rows(self, line: Line, first: int, lines: int, section: Section) -> bool:
        """Whether one of the further lines of a record reads like a row or like the beginning of one."""
        for number in range(first + 1, first + lines):
            text = (line(number) or "").rstrip("\r\n")
            whole = len(self.naive(text)) >= section.values
            if not whole and text.count('"') % 2 == 0:
                continue
            begin = [token.strip().strip('"') for token in self.naive(text if whole else text.split('"')[0])]
            if self._shapes.fit(begin[: section.values], section.places):
                return True
        return False


def _fault(values: Sequence[str], section: Section) -> RowProblem | None:
    surplus = any(value.strip() for value in values[section.width :])
    if len(values) != section.values or surplus:
        columns = section.width
        return RowProblem("wrong_number_of_values", {"values": len(values), "columns": columns})
    return None if any(map(str.strip, values)) else RowProblem("empty_row")
