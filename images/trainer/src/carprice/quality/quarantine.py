"""The quarantine file: the refused rows of a raw file, each with its reason."""

from __future__ import annotations

import io
from typing import IO

import numpy as np

from carprice.listings.reading import RawTable
from carprice.quality.judging import JudgedRows
from carprice.spreadsheets import SpreadsheetWriter


class QuarantineFile:
    """Writes the refused rows in the file's own columns and words, then `line` and `reason`.

    In UTF-8 with a byte order mark, which spreadsheets recognise, and with the file's delimiter.
    """

    def __init__(self, output: IO[bytes], raw: RawTable) -> None:
        self._text = io.TextIOWrapper(output, encoding="utf-8-sig", newline="", write_through=True)
        self._writer = SpreadsheetWriter(self._text, [*raw.header, "line", "reason"], raw.delimiter)

    def add(self, rows: JudgedRows) -> None:
        """Write those of the rows that are quarantined."""
        chosen = np.flatnonzero(rows.of("quarantined"))
        words = rows.table.iloc[chosen].itertuples(index=False, name=None)
        self._writer.write(
            [*row, line, reason]
            for row, line, reason in zip(words, rows.lines[chosen], rows.reasons[chosen], strict=True)
        )

    def close(self) -> None:
        """Finish the file; the caller closes `output`."""
        self._text.flush()
        self._text.detach()
