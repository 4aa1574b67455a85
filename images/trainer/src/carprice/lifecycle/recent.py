"""When listings were seen, and which of them are the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def seen_at(manifest: dict[str, Any], listings: pd.DataFrame) -> pd.Series[Any]:
    """When each listing of a snapshot (canonical columns, n rows) was seen last: n times, UTC.

    It is the time that its file says, or, where the file says none or a later one, the time at which the file
    was received.
    """
    times = {
        entry["sha256"]: pd.Timestamp(entry["received_at"]).tz_convert("UTC") for entry in manifest["files"]
    }
    received = pd.to_datetime(listings["source_sha256"].map(times), utc=True).fillna(max(times.values()))
    said = listings["scraped_at"]
    return said.where(said <= received, received).astype("datetime64[us, UTC]")


def newest(seen: pd.Series[Any], rows: int) -> npt.NDArray[np.bool_]:
    """Which of n listings are the newest `rows`, by the time they were seen: n flags.

    Listings of the same time stand together, so there may be more.
    """
    if len(seen) <= rows:
        return np.ones(len(seen), dtype=bool)
    since = seen.sort_values(ascending=False).iloc[rows - 1]
    chosen: npt.NDArray[np.bool_] = (seen >= since).to_numpy()
    return chosen
