"""A raw file cut into files small enough for one request, and their answers put together again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from carprice.lifecycle.prediction import PRICE, PROBLEM
from carprice.listings import reading

ROWS, BYTES = 2_000, 3_000_000


@dataclass
class Priced:
    """The priced file so far: the CSV, how many rows it has, and the rows without a price."""

    text: str = ""
    rows: int = 0
    # (1-based row of the whole file, sentence)
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def priced(self) -> int:
        """How many rows have a price."""
        return self.rows - len(self.problems)


def slices_of(content: bytes, raw: reading.RawFile, rows: int = ROWS, size: int = BYTES) -> Iterator[bytes]:
    """The file in pieces of at most `rows` rows and about `size` bytes, each with the header, in UTF-8.

    Cut between rows as `raw` (the same `content`, read) found them, with everything in them as it was
    written: the API says of each row what it would say of it in the whole file.
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


def add(priced: Priced, answer: str, delimiter: str) -> None:
    """Append the API's answer (CSV) for the next slice."""
    header, _, body = answer.partition("\n")
    rows = list(csv.DictReader(io.StringIO(answer, newline=""), delimiter=delimiter))
    priced.problems += [
        (priced.rows + place, row[PROBLEM] or "")
        for place, row in enumerate(rows, start=1)
        if not (row.get(PRICE) or "").strip()
    ]
    priced.text += body if priced.text else f"{header}\n{body}"
    priced.rows += len(rows)


def first_rows(raw: reading.RawFile, rows: int) -> pd.DataFrame:
    """The first rows as they were written, for a preview."""
    return raw.table.head(rows).astype(object)
