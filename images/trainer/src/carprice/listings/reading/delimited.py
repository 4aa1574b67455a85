"""Text whose values are separated by a delimiter (CSV) as a table."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.problems import OTHER_FORMATS
from carprice.listings.reading.beginning import DELIMITERS, beginning_of
from carprice.listings.reading.encodings import HEAD_BYTES, Decoder, EncodingSurvey, wide_encoding
from carprice.listings.reading.lines import BLOCK_BYTES, Block, blocks
from carprice.listings.reading.raw_table import Note, RawChunk, no_rows, too_many_rows, unique
from carprice.listings.reading.row_reader import RowReader
from carprice.listings.reading.sources import Readable

_SMALL_BLOCK_BYTES = 64 << 10
_FIRST_LINES = 1_000
_CONTROLS = bytes((*range(1, 9), *range(14, 32)))
_MOST_CONTROL_SHARE = 0.01
_OTHER_FORMATS = {
    b"PK\x03\x04": "excel_or_zip",
    b"\xd0\xcf\x11\xe0": "old_excel",
    b"%PDF": "pdf",
    b"PAR1": "parquet",
}


class DelimitedTable:
    """Lines of values as a `RawTable`; `format` is what they are in the file."""

    def __init__(
        self,
        source: Readable,
        most_rows: int | None = None,
        kind: str = "csv",
        delimiters: Sequence[str] = DELIMITERS,
    ) -> None:
        self.format = kind
        self._source = source
        self._name = source.name
        self._most_rows = most_rows
        # with few rows to take, few are looked at before the others are refused
        self._block_bytes = BLOCK_BYTES if most_rows is None else _SMALL_BLOCK_BYTES
        head = source.head(HEAD_BYTES)
        _require_no_other_format(head, self._name)
        self._wide = wide_encoding(head)
        self._mark = codecs.BOM_UTF8 if head.startswith(codecs.BOM_UTF8) else b""
        self._decoder = self._surveyed()
        self.encoding = self._decoder.name
        if self.encoding == "utf-8":
            self.encoding = self._wide or ("utf-8-sig" if self._mark else "utf-8")
        begin = beginning_of(self._first_lines(), self._name, delimiters)
        self._begin = begin
        # the tabs between the cells of a sheet are ours; people expect another delimiter in a copy
        self.delimiter = begin.delimiter if kind == "csv" else ";"
        self.header = begin.words
        self.columns = unique(begin.words)
        self.notes: list[Note] = []

    def _surveyed(self) -> Decoder:
        """Look at all bytes once."""
        survey = EncodingSurvey()
        self.size = zeros = controls = first_size = 0
        text = False
        for number, content in enumerate(self._contents()):
            if number == 0:
                controls = len(content) - len(content.translate(None, _CONTROLS))
                first_size = len(content)
            self.size += len(content)
            zeros += content.count(0)
            text = text or bool(content.strip(b" \t\r\n\x00\xef\xbb\xbf"))
            survey.add(content)
        if not text:
            raise _empty(self._name, len(self._source.head(BLOCK_BYTES)))
        if zeros > _MOST_CONTROL_SHARE * self.size or controls > _MOST_CONTROL_SHARE * first_size:
            raise _not_text(self._name, zeros, controls, self.size)
        return survey.decoder()

    def _contents(self) -> Iterator[bytes]:
        with self._source.open() as stream:
            stream.read(len(self._mark))
            yield from blocks(stream, self._wide, self._block_bytes)

    def _first_lines(self) -> list[str]:
        content = self._decoder.as_utf8(next(self._contents()))
        block = Block(content, 0, True)
        lines = min(len(block), _FIRST_LINES)
        return [block.line(number) + block.line_end(number) for number in range(lines)]

    def _blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Some complete lines in UTF-8, and whether they are the last."""
        before: bytes | None = None
        for content in self._contents():
            if before is not None:
                yield before, False
            before = self._decoder.as_utf8(content)
        if before is not None:
            yield before, True

    def chunks(self) -> Iterator[RawChunk]:
        """The rows of the file, as `RawTable` says."""
        reading = RowReader(self._begin, self.columns)
        first_line = read = 0
        left = b""
        for content, last in self._blocks():
            block = Block(left + content, first_line, last)
            done = reading.read(block)
            left = block.content[block.starts[done] :] if done < len(block) else b""
            first_line += done
            builder = reading.taken()
            if self._most_rows is not None and read + len(builder) > self._most_rows:
                raise too_many_rows(self._name, self._most_rows)
            if len(builder):
                read += len(builder)
                yield builder.chunk()
        if not read:
            raise no_rows(self._name, len(self.header))
        self.notes[:] = reading.notes.notes()


def _empty(name: str, size: int) -> DataRefused:
    return DataRefused(
        f"{name} is empty ({size} bytes): a CSV file with a header line and listings "
        "was expected; export it again and land the new file",
        code="empty_file",
        params={"bytes": size},
    )


def _require_no_other_format(head: bytes, name: str) -> None:
    for signature, found in _OTHER_FORMATS.items():
        if head.startswith(signature):
            raise DataRefused(
                f"{name} is {OTHER_FORMATS[found]}: a CSV file (plain text) was expected; "
                "save it as CSV and land that file",
                code="other_format",
                params={"format": found},
            )


def _not_text(name: str, zeros: int, controls: int, size: int) -> DataRefused:
    return DataRefused(
        f"{name} is not text ({thousands(zeros)} NUL bytes and {thousands(controls)} other control "
        f"characters in {thousands(size)} bytes): a CSV file was expected; "
        "export the listings as CSV and land that file",
        code="not_text_file",
        params={"nul_bytes": zeros, "control_bytes": controls, "bytes": size},
    )
