"""Which rows of a file repeat an earlier one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.reading import RawFile


def first_rows(raw: RawFile) -> npt.NDArray[np.int64]:
    """The first row that each row equals in all columns but the row number; itself where it is the first.

    Shape (rows,).
    """
    rows = np.arange(len(raw.table), dtype=np.int64)
    columns = [c for c in raw.table.columns if c != raw.index_column]
    if not columns:
        return rows
    groups = np.zeros(len(rows), dtype=np.int64)
    for column in columns:
        codes, values = pd.factorize(raw.table[column])
        groups = pd.factorize(groups * len(values) + codes)[0]
    first: npt.NDArray[np.int64] = np.unique(groups, return_index=True)[1]
    return first[groups]
