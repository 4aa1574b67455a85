"""Every row of a file with what became of it, as a CSV file."""

from __future__ import annotations

from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.schema import COLUMNS
from carprice.quality.outcome import Outcome

_ROWS_PER_CHUNK = 50_000


def write_row_list(output: IO[str], outcome: Outcome) -> None:
    """Write the rows of the file in its order: `line`, `outcome`, `reason` and the canonical columns.

    A repeated row holds the values of the row that it repeats. The canonical columns are empty where the
    file could not be read as listings.
    """
    heading = pd.DataFrame(columns=["line", "outcome", "reason", *COLUMNS])
    heading.to_csv(output, index=False)
    if outcome.raw is None:
        return
    fates, reasons, listings = outcome.fates, outcome.row_reasons(), outcome.listing_of_row()
    for start in range(0, len(fates), _ROWS_PER_CHUNK):
        part = slice(start, start + _ROWS_PER_CHUNK)
        said = pd.DataFrame(
            {"line": outcome.raw.lines[part], "outcome": fates[part], "reason": reasons[part]}
        )
        _rows(said, outcome, listings[part]).to_csv(output, index=False, header=False, float_format="%.15g")


def _rows(said: pd.DataFrame, outcome: Outcome, positions: npt.NDArray[np.int64]) -> pd.DataFrame:
    if outcome.parsed is None:
        return said.reindex(columns=[*said.columns, *COLUMNS])
    values = outcome.parsed.listings.iloc[positions].reset_index(drop=True)
    return pd.concat([said, values], axis=1)
