"""When the listings of a snapshot were seen, and the day that a model takes their prices to be of."""

from __future__ import annotations

from typing import Any

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
