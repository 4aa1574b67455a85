"""One listing from all that its copies say: the newest value of each column, and what they contradict in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from carprice.listings.schema import FEATURES
from carprice.listings.tables import as_canonical

CONTRADICTION_COLUMNS = ["listing_id", "column", "older", "newest"]
_MILEAGE = ("mileage_km_min", "mileage_km_max")


def merge_rows(rows: pd.DataFrame, seen_at: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The listings of rows (canonical columns) that were seen at `seen_at` (times, of the same index).

    A listing has the newest value of each column that any of its rows says; both ends of a mileage come from
    one row. Rows of the same time count in their order. The listings stand where their newest rows stand.

    Also what the rows of one listing contradict each other in: `listing_id`, `column`, `older` and `newest`
    (text), one row for each value that is not the newest. Neither a new price nor a mileage inside a bracket
    is a contradiction.
    """
    ordered = rows.loc[seen_at.sort_values(kind="stable").index]
    several = ordered["listing_id"].duplicated(keep=False)
    newest = ~ordered["listing_id"].duplicated(keep="last")
    merged = ordered[newest]
    repeated = ordered[several]
    if len(repeated):
        filled = repeated.copy()
        # an open bracket has no end of its own, and must not get that of an older one
        open_ended = filled[_MILEAGE[0]].notna() & filled[_MILEAGE[1]].isna()
        filled.loc[open_ended, _MILEAGE[1]] = np.inf
        union = filled.groupby("listing_id", sort=False).last()
        union[_MILEAGE[1]] = union[_MILEAGE[1]].replace(np.inf, np.nan)
        merged = merged.copy()
        place = merged["listing_id"].isin(union.index)
        ids = merged.loc[place, "listing_id"]
        union = union.reindex(ids).set_axis(ids.index)
        for name in (*FEATURES, "url"):
            merged.loc[place, name] = union[name]
    return as_canonical(merged.sort_index().reset_index(drop=True)), _contradictions(repeated)


def _contradictions(repeated: pd.DataFrame) -> pd.DataFrame:
    found = [pd.DataFrame(columns=CONTRADICTION_COLUMNS, dtype=object)]
    if not len(repeated):
        return found[0]
    repeated = repeated.assign(mileage_km=_mileage_text(repeated))
    for name in (*(name for name in FEATURES if name not in _MILEAGE), "mileage_km"):
        said = repeated[["listing_id", name]].dropna().drop_duplicates(keep="last")
        newest = said.groupby("listing_id", sort=False)[name].last()
        older = said[said[name].to_numpy() != newest.reindex(said["listing_id"]).to_numpy()]
        if len(older):
            values = newest.reindex(older["listing_id"]).astype("str").to_numpy()
            found.append(
                pd.DataFrame(
                    {
                        "listing_id": older["listing_id"].to_numpy(),
                        "column": name,
                        "older": older[name].astype("str").to_numpy(),
                        "newest": values,
                    },
                    dtype=object,
                )
            )
    return pd.concat(found, ignore_index=True)


def _mileage_text(repeated: pd.DataFrame) -> pd.Series[Any]:
    """The mileage of each row as text, that of the newest row where it may be the same mileage."""
    low, high = repeated[_MILEAGE[0]], repeated[_MILEAGE[1]].fillna(np.inf)
    said = repeated.loc[low.notna(), ["listing_id", *_MILEAGE]].drop_duplicates("listing_id", keep="last")
    newest = said.set_index("listing_id").reindex(repeated["listing_id"]).set_axis(repeated.index)
    overlap = (low <= newest[_MILEAGE[1]].fillna(np.inf)) & (newest[_MILEAGE[0]] <= high)
    text: pd.Series[Any] = low.map("{:.0f}".format) + " - " + high.map("{:.0f}".format)
    same = newest[_MILEAGE[0]].map("{:.0f}".format) + " - " + newest[_MILEAGE[1]].map("{:.0f}".format)
    return text.where(~overlap, same).astype(object).where(low.notna(), None)
