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


def newest_drawn(seen: pd.Series[Any], most: int) -> npt.NDArray[np.bool_]:
    """Which of n listings are the newest `most`, and no more of them: n flags.

    Of listings of the same time some are drawn, always the same ones.
    """
    chosen: npt.NDArray[np.bool_] = np.zeros(len(seen), dtype=bool)
    drawn = np.random.default_rng(0).permutation(len(seen))
    times = seen.to_numpy(dtype="datetime64[us]").astype(np.int64)
    chosen[drawn[np.argsort(-times[drawn], kind="stable")][:most]] = True
    return chosen


def newest(seen: pd.Series[Any], rows: int) -> npt.NDArray[np.bool_]:
    """Which of n listings are the newest `rows`, by the time they were seen: n flags.

    Listings of the same time stand together, so there may be more.
    """
    if len(seen) <= rows:
        return np.ones(len(seen), dtype=bool)
    since = seen.sort_values(ascending=False).iloc[rows - 1]
    chosen: npt.NDArray[np.bool_] = (seen >= since).to_numpy()
    return chosen
