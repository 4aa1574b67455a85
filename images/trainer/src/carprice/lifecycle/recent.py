"""When listings were seen, and which of them are the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.asked_days import ASKED_ON, days_of


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


def dated(manifest: dict[str, Any], listings: pd.DataFrame) -> pd.DataFrame:
    """The listings of a snapshot with the day that each price was asked on, as a model takes it."""
    return listings.assign(**{ASKED_ON: days_of(seen_at(manifest, listings))})


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
