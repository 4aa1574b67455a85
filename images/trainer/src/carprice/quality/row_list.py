"""Every row of a file with what became of it, as a CSV file."""

from __future__ import annotations

from typing import IO

import pandas as pd

from carprice.listings.schema import COLUMNS
from carprice.quality.judging import JudgedRows
from carprice.spreadsheets import SpreadsheetWriter


class RowList:
    """Writes the rows of a file in its order: `line`, `outcome`, `reason` and the canonical columns.

    The canonical columns are empty where the file could not be read as listings.
    """

    def __init__(self, output: IO[str]) -> None:
        self._writer = SpreadsheetWriter(output, ["line", "outcome", "reason", *COLUMNS])

    def add(self, rows: JudgedRows) -> None:
        """Write some rows."""
        said = pd.DataFrame(
            {"line": rows.lines, "outcome": rows.fates, "reason": rows.reasons}, index=rows.table.index
        )
        self._writer.write_table(pd.concat([said, rows.values()], axis=1))
