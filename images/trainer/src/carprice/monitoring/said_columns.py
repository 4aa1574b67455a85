"""Which files say what: a column that a file does not have at all tells nothing about the market."""

from __future__ import annotations

import pandas as pd

from carprice.landing.summaries import summaries
from carprice.listings.schema import COLUMNS, FEATURES
from carprice.store import DataRoot


def said_columns(root: DataRoot, listings: pd.DataFrame) -> pd.DataFrame:
    """For each listing and each feature, whether the listing or its file says it: bool, shape (n, features).

    A file says a column if its receipt names a column that was taken for it, or if any of its listings has a
    value. So a seller's empty field counts as empty, and a field that the file leaves out does not count.
    """
    said = listings[list(FEATURES)].notna()
    receipts = summaries(root, skip_broken=True)
    for sha256, rows in said.groupby(listings["source_sha256"].to_numpy(dtype=object), dropna=True):
        fields = set(receipts.get(str(sha256), {}).get("fields", ()))
        for name in FEATURES:
            if COLUMNS[name].field in fields or rows[name].any():
                said.loc[rows.index, name] = True
    return said
