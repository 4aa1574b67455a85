"""A raw file cut into files small enough for one request, and the answers put together again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from carprice.listings import reading
from price_contract.answers import Batch, BatchRow

ROWS, BYTES = 2_000, 3_000_000


@dataclass
class PricedRows:
    """The answers about the rows of a file so far; `row` counts from 1 in the whole file."""

    rows: list[BatchRow] = field(default_factory=list)

    @property
    def unpriced(self) -> list[BatchRow]:
        """The rows without a price."""
        return [row for row in self.rows if "price_mad" not in row]

    @property
    def priced(self) -> int:
        """The number of rows with a price."""
        return len(self.rows) - len(self.unpriced)

    def add(self, batch: Batch) -> None:
        """Append the answers about the next slice."""
        first = len(self.rows)
        for row in batch["predictions"]:
            self.rows.append({**row, "row": first + row["row"]})


def slices_of(content: bytes, raw: reading.RawFile, rows: int = ROWS, size: int = BYTES) -> Iterator[bytes]:
    """The file in pieces of at most `rows` rows and about `size` bytes, each with the header, in UTF-8.

    The cuts are between the rows as `raw` (the same `content`, read) has them, and each row keeps its
    text. The API therefore says of each row what it would say of it in the whole file.
    """
    text = content.decode(raw.encoding, "replace")
    lines = list(io.StringIO(text, newline=""))
    starts = [int(line) - 1 for line in raw.lines]
    before = "".join(lines[: starts[0]])
    piece: list[str] = []
    length = held = 0
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        row = "".join(lines[start:end])
        weight = len(row.encode())
        if held and (held == rows or length + weight > size):
            yield (before + "".join(piece)).encode()
            piece, length, held = [], 0, 0
        piece.append(row)
        length += weight
        held += 1
    yield (before + "".join(piece)).encode()


def first_rows(raw: reading.RawFile, rows: int) -> pd.DataFrame:
    """The first rows as they were written, for a preview."""
    return raw.table.head(rows).astype(object)
