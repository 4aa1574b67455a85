"""Every row of a file with what became of it, as a CSV file."""

from __future__ import annotations

from typing import IO

import pandas as pd

from carprice.listings.schema import COLUMNS
from carprice.quality.judging import JudgedRows


class RowList:
    """Writes the rows of a file in its order: `line`, `outcome`, `reason` and the canonical columns.

    The canonical columns are empty where the file could not be read as listings.
    """

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        pd.DataFrame(columns=["line", "outcome", "reason", *COLUMNS]).to_csv(output, index=False)

    def add(self, rows: JudgedRows) -> None:
        """Write some rows."""
        said = pd.DataFrame(
            {"line": rows.lines, "outcome": rows.fates, "reason": rows.reasons}, index=rows.table.index
        )
        pd.concat([said, rows.values()], axis=1).to_csv(
            self._output, index=False, header=False, float_format="%.15g"
        )
