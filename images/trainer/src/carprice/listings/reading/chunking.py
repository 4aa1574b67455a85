"""Putting the rows of a block together: many plain lines at once, the others one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from carprice.listings.problems import RowProblem
from carprice.listings.reading.lines import Block, Mask
from carprice.listings.reading.raw_table import RawChunk

_PARSED_AT_ONCE = 1 << 20


class ChunkBuilder:
    """Collects the rows of a block in any order, and gives them in the order of the file."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._parts: list[list[pa.Array]] = []
        self._part_lines: list[npt.NDArray[np.int64]] = []
        self._rows: list[Sequence[str]] = []
        self._row_lines: list[int] = []
        self._faults: dict[int, RowProblem] = {}

    def add_plain(
        self, block: Block, chosen: Mask, delimiter: str, values: int, places: Sequence[int]
    ) -> None:
        """Add lines of a block whose quotation marks are in order and that have this number of `values`.

        `places` are the columns of the first values. Values without a column are left out.
        """
        lines = np.flatnonzero(chosen)
        if not len(lines):
            return
        read = _parsed(block, lines, delimiter, values)
        empty = pa.array([""] * len(lines), type=pa.large_string())
        ours: list[pa.Array] = [empty] * len(self._columns)
        for value, place in enumerate(places):
            if place < len(ours):
                ours[place] = read[value]
        self._parts.append(ours)
        self._part_lines.append(lines + block.first_line + 1)

    def add_row(
        self, line: int, values: Sequence[str], places: Sequence[int], fault: RowProblem | None = None
    ) -> None:
        """Add one row; `line` is the 0-based one where it begins."""
        row = [""] * len(self._columns)
        for value, place in zip(values, places, strict=False):
            if place < len(row):
                row[place] = value
        if fault is not None:
            self._faults[line + 1] = fault
        self._rows.append(row)
        self._row_lines.append(line + 1)

    def doubt(self, line: int, fault: RowProblem) -> None:
        """Give the row that begins with the 0-based `line` a fault if it has none."""
        self._faults.setdefault(line + 1, fault)

    def __len__(self) -> int:
        return sum(map(len, self._part_lines)) + len(self._rows)

    def chunk(self) -> RawChunk:
        """The rows in the order of the file."""
        parts, part_lines = list(self._parts), list(self._part_lines)
        if self._rows or not parts:
            columns: Iterable[Sequence[str]] = zip(*self._rows, strict=True)
            if not self._rows:
                columns = ([] for _ in self._columns)
            parts.append([pa.array(column, type=pa.large_string()) for column in columns])
            part_lines.append(np.array(self._row_lines, dtype=np.int64))
        lines = np.concatenate(part_lines)
        order = None if (lines[1:] > lines[:-1]).all() else np.argsort(lines)
        table = {}
        for place, column in enumerate(self._columns):
            values = pa.chunked_array([part[place] for part in parts], type=pa.large_string())
            if order is not None:
                values = values.take(pa.array(order))
            table[column] = pd.array(values.combine_chunks(), dtype="str")
        if order is not None:
            lines = lines[order]
        faults = {int(np.searchsorted(lines, line)): fault for line, fault in self._faults.items()}
        return RawChunk(
            pd.DataFrame(table, columns=pd.Index(list(self._columns), dtype=object)), lines, faults
        )


def _parsed(block: Block, lines: npt.NDArray[np.int64], delimiter: str, values: int) -> list[pa.Array]:
    content = _content(block, lines)
    names = [str(place) for place in range(values)]
    table = pyarrow.csv.read_csv(
        pa.py_buffer(content),
        pyarrow.csv.ReadOptions(column_names=names, block_size=max(_PARSED_AT_ONCE, _longest(block, lines))),
        pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if b'"' in content else False,
            ignore_empty_lines=False,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.large_string()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    if table.num_rows != len(lines):
        raise AssertionError(f"{len(lines)} lines were expected, found {table.num_rows}; this is a bug")
    return [_in_one(table.column(name)) for name in names]


def _in_one(values: pa.ChunkedArray) -> pa.Array:
    found = values.combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def _content(block: Block, lines: npt.NDArray[np.int64]) -> bytes:
    """The text of some lines, with their line ends."""
    if len(lines) == len(block):
        return block.content
    breaks = np.flatnonzero(np.diff(lines) != 1)
    firsts = lines[np.append(0, breaks + 1)]
    lasts = lines[np.append(breaks, len(lines) - 1)]
    after = np.append(block.starts[1:], len(block.content))
    runs = zip(block.starts[firsts].tolist(), after[lasts].tolist(), strict=True)
    return b"".join([block.content[start:end] for start, end in runs])


def _longest(block: Block, lines: npt.NDArray[np.int64]) -> int:
    return int((block.ends[lines] - block.starts[lines]).max()) + 2
