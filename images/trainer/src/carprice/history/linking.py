"""The ids of ads: a copy of a known ad has the id that this had first."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from carprice.history.copies import SURE

PAIR_COLUMNS = ["new", "known", "rule", "confidence"]


def aliases(pairs: pd.DataFrame) -> pd.Series:
    """The id that an ad keeps, by the other ids of its copies."""
    sure = pairs[pairs["confidence"] >= SURE]
    return sure.set_index("new")["known"].astype(object)


def names_of(listing_ids: pd.Series, pairs: pd.DataFrame) -> pd.DataFrame:
    """All ids of listings: `listing_id` and `name`, one row for each listing and id of one of its copies."""
    sure = pairs[(pairs["confidence"] >= SURE) & pairs["known"].isin(listing_ids)]
    own = pd.DataFrame({"listing_id": listing_ids, "name": listing_ids}, dtype=object)
    others = sure[["known", "new"]].set_axis(["listing_id", "name"], axis=1)
    return pd.concat([own, others], ignore_index=True)


def not_new(listing_ids: pd.Series, pairs: pd.DataFrame, known: Callable[[pd.Index], pd.Index]) -> pd.Series:
    """Which listings are or may be one of the known ads, by their own ids; a mask.

    `known` gives those of some distinct ids that are the id of a known ad.
    """
    names = names_of(listing_ids, pairs)
    unsure = pairs[pairs["confidence"] < SURE]
    kept = aliases(pairs)
    both = pd.concat([unsure[["new", "known"]], unsure[["known", "new"]].set_axis(["new", "known"], axis=1)])
    maybe = pd.DataFrame(
        {"listing_id": both["new"].map(kept).fillna(both["new"]), "name": both["known"]}, dtype=object
    )
    names = pd.concat([names, maybe], ignore_index=True)
    names = names[names["listing_id"].isin(listing_ids)]
    told = names["name"].isin(known(pd.Index(names["name"], dtype=object).unique()))
    return listing_ids.isin(names.loc[told, "listing_id"])
