"""Reading the rows of delimited text block by block: plain lines at once, the others one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from carprice.listings.problems import RowProblem
from carprice.listings.reading.beginning import Beginning, header_record, sampled_rows
from carprice.listings.reading.chunking import ChunkBuilder
from carprice.listings.reading.layout import (
    is_footer,
    is_header,
    is_total,
    places_in,
    same_words,
)
from carprice.listings.reading.lines import Block, Mask
from carprice.listings.reading.notes import NoteBook
from carprice.listings.reading.records import RecordReader
from carprice.listings.reading.sections import Section, header_and_values
from carprice.listings.reading.shapes import ColumnShapes

_LINES_BELOW_HEADER = 300
_LEAST_COLUMNS_WITH_FOOTER = 3
_ENTITY = re.compile(rb"&(?:#\d{2,6}|#x[0-9a-f]{2,6}|[a-z]{2,8}\d?);", re.IGNORECASE)


class RowReader:
    """One way through a file: takes its blocks in order and gives its rows and notes."""

    def __init__(self, begin: Beginning, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._delimiter = begin.delimiter
        self._section = Section(begin.words, tuple(range(len(columns))), begin.values)
        self._first_row = begin.line + begin.lines
        self._shapes = ColumnShapes(len(columns))
        self._learned = False
        self._records = RecordReader(begin.delimiter, self._shapes)
        self._builder = ChunkBuilder(columns)
        # the first line of the last record of several lines, and the line below it
        self._joined: tuple[int, int] | None = None
        self.notes = NoteBook()
        for code, lines in (
            ("delimiter_line", begin.declarations),
            ("title_line", begin.titles),
            ("blank_line", begin.blank),
        ):
            for line in lines:
                self.notes.add(code, line)

    def taken(self) -> ChunkBuilder:
        """The rows that were read since the last call."""
        builder, self._builder = self._builder, ChunkBuilder(self._columns)
        return builder

    def read(self, block: Block) -> int:
        """Read the lines of a block; how many are read. The further ones have to stand in the next block."""
        start = min(max(0, self._first_row - block.first_line), len(block))
        values = block.values(self._delimiter)
        tail = self._tail(block) if block.last else len(block)
        special = self._special(block)
        special[tail:] = True
        while start < len(block):
            section = self._section
            if not self._learned:
                self._learn(block, start)
            plain = (values == section.width) & ~special
            plain[:start] = False
            if section.values != section.width:
                plain[:] = False
            end = self._read_others(block, start, plain, tail)
            plain[end:] = False
            self._builder.add_plain(block, plain, self._delimiter, section.width, section.places)
            if section is self._section and end < len(block):
                return end
            start = end
        return len(block)

    def _special(self, block: Block) -> Mask:
        """Lines that have to be looked at although they may have the right number of values."""
        special = block.has_nul | block.has_few_digits | block.may_be_total
        if self._delimiter == ";" and b"&" in block.content:
            for entity in _ENTITY.finditer(block.content):
                special[np.searchsorted(block.starts, entity.start(), side="right") - 1] = True
        return special

    def _tail(self, block: Block) -> int:
        """The first of the lines at the end of a file that are no rows."""
        line = len(block)
        while line > 0 and self._no_row_at_the_end(block.line(line - 1)) is not None:
            line -= 1
        return line

    def _no_row_at_the_end(self, text: str) -> str | None:
        values = self._records.naive(text)
        if _is_blank(values):
            return "blank_line"
        if is_total(values):
            return "total_line"
        if self._section.width >= _LEAST_COLUMNS_WITH_FOOTER and is_footer(values):
            return "footer_line"
        return None

    def _learn(self, block: Block, start: int) -> None:
        """Learn what the columns look like from the first rows."""
        rows = sampled_rows(
            lambda n: _line(block, n), start, len(block), self._delimiter, self._section.words
        )
        for row in rows:
            if len(row) == self._section.values:
                self._shapes.add(row, self._section.places)
        self._learned = True

    def _read_others(self, block: Block, start: int, plain: Mask, tail: int) -> int:
        """Read the lines from `start` on that are not `plain`, up to and with another header.

        Gives the number of the first line that is not read. Lines that turn out to be no rows of their own
        are no longer `plain`.
        """
        others = np.flatnonzero(~plain[start:]) + start
        done = start
        while done < len(block):
            line = done
            if not self._records.in_doubt:
                place = int(np.searchsorted(others, done))
                if place == len(others):
                    return len(block)
                line = int(others[place])
            try:
                lines = self._read_line(block, line, plain, at_the_end=line >= tail)
            except _LinesMissing:
                return line
            done = line + lines
            if self._first_row > block.first_line + line:
                return done
        return done

    def _read_line(self, block: Block, line: int, plain: Mask, *, at_the_end: bool) -> int:
        """Read what begins with a line; its number of lines."""
        number = block.first_line + line
        text = block.line(line)
        code = self._no_row_at_the_end(text) if at_the_end else self._no_row(block, line, text)
        if code is not None:
            self.notes.add(code, number)
            return 1
        if block.has_few_digits[line]:
            lines = self._read_header(block, line)
            if lines:
                return lines
        section, doubted = self._section, self._records.in_doubt
        record = self._records.read(lambda n: _line(block, n), line, section)
        if record.lines > 1 and line + record.lines == len(block) and not block.last:
            self._records.in_doubt = doubted
            raise _LinesMissing
        joined = self._joined
        ends = joined is not None and joined[1] == number
        if joined and ends and record.fault and not self._records.begins_like_a_row(text, section):
            # The end of the record above may stand here, and what it has may be another one's.
            self._builder.doubt(joined[0], RowProblem("doubtful_row"))
        self._joined = (number, number + record.lines) if record.lines > 1 else None
        if record.fault is not None or not plain[line] or record.lines > 1:
            plain[line : line + record.lines] = False
            values = _fitted(record.values, section.width, self._delimiter)
            self._builder.add_row(number, values, section.places, record.fault)
        return record.lines

    def _no_row(self, block: Block, line: int, text: str) -> str | None:
        if block.has_few_digits[line] and _is_blank(self._records.naive(text)):
            return "blank_line"
        if block.may_be_total[line] and is_total(self._records.naive(text)):
            return "total_line"
        return None

    def _read_header(self, block: Block, line: int) -> int:
        """Begin another section if the line is a header; its number of lines, 0 where it is none."""

        def text(number: int) -> str | None:
            return _line(block, number)

        before = self._section
        words, lines = header_record(text, line, self._delimiter, before.width)
        if not is_header(words, before.words):
            return 0
        after = min(len(block), line + lines + _LINES_BELOW_HEADER)
        if after == len(block) and not block.last:
            raise _LinesMissing
        same = same_words(words, before.words)
        self.notes.add("repeated_header" if same else "other_header", block.first_line + line)
        rows = sampled_rows(text, line + lines, after, self._delimiter, words)
        header, values = header_and_values(words, rows)
        known = list(self._columns)
        self._section = Section(tuple(header), places_in(known, header), values)
        self._first_row = block.first_line + line + lines
        self._records.in_doubt = False
        return lines


class _LinesMissing(Exception):
    """What begins with a line may go on after the block."""


def _is_blank(values: Sequence[str]) -> bool:
    """Whether nothing is written in any cell, as in the rows that a spreadsheet writes below its last one."""
    return all(value.strip() in ("", '""') for value in values)


def _line(block: Block, number: int) -> str | None:
    if number < len(block):
        return block.line(number) + block.line_end(number)
    if block.last:
        return None
    raise _LinesMissing


def _fitted(values: Sequence[str], width: int, delimiter: str) -> list[str]:
    """Exactly `width` values: empty ones are added, and a surplus is kept in the last one."""
    if len(values) > width:
        surplus = values[width - 1 :] if any(map(str.strip, values[width:])) else values[width - 1 : width]
        return [*values[: width - 1], delimiter.join(surplus)]
    return [*values, *[""] * (width - len(values))]
