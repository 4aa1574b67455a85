"""Which listings are the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def window(seen: pd.Series[Any], flagged: npt.NDArray[np.bool_], rows: int) -> npt.NDArray[np.bool_]:
    """Which of n listings are as recent as the newest `rows` of those that are not `flagged`: n flags."""
    unflagged = seen[~flagged]
    recent: npt.NDArray[np.bool_] = (seen >= unflagged[newest(unflagged, rows)].min()).to_numpy()
    return recent


def newest(seen: pd.Series[Any], rows: int) -> npt.NDArray[np.bool_]:
    """Which of n listings are the newest `rows`, by the time they were seen: n flags.

    Listings of the same time stand together, so there may be more.
    """
    if len(seen) <= rows:
        return np.ones(len(seen), dtype=bool)
    since = seen.sort_values(ascending=False).iloc[rows - 1]
    chosen: npt.NDArray[np.bool_] = (seen >= since).to_numpy()
    return chosen
