"""The rows of a file with one id for each ad: a copy of a known ad gets the id that it had first."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from carprice.history.copies import SURE, find_copies

PAIR_COLUMNS = ["new", "known", "rule", "confidence"]


def link_file(
    sightings: pd.DataFrame, pairs: pd.DataFrame, rows: pd.DataFrame, cuts: Collection[tuple[str, str]] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a file (canonical columns) with linked ids, and the pairs of copies that it adds.

    `sightings` are the known listings (columns `comparing.LOOKED_AT`; several rows of one listing are what it
    was seen with), `pairs` the known copies. Pairs have the columns `new` and `known` (listing ids; `known`
    is the id that the ad keeps), `rule` and `confidence`; those below `copies.SURE` are ambiguous and link
    nothing. `cuts` are pairs of ids, in order, that are not linked.
    """
    ids = aliases(pairs)
    rows = rows.assign(listing_id=rows["listing_id"].map(ids).fillna(rows["listing_id"]))
    if not len(sightings) or not len(rows):
        return rows, pairs.iloc[:0]
    found = find_copies(_prices(sightings), rows, cuts)
    links = found.links[found.links["rule"] != "same_id"]
    ids = links.set_index("new")["known"]
    rows = rows.assign(listing_id=rows["listing_id"].map(ids).fillna(rows["listing_id"]))
    return rows, pd.concat([links, found.ambiguous], ignore_index=True)[PAIR_COLUMNS]


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


def not_new(listing_ids: pd.Series, pairs: pd.DataFrame, known: pd.Index) -> pd.Series:
    """Which listings are or may be one of the ads with the `known` ids, by their own ids; a mask.

    The known ids are distinct.
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
    told = names.loc[known.get_indexer(pd.Index(names["name"], dtype=object)) >= 0, "listing_id"]
    return listing_ids.isin(told)


def _prices(sightings: pd.DataFrame) -> pd.DataFrame:
    """One row for each listing, price and mileage; the newest of them."""
    seen = ["listing_id", "price_mad", "mileage_km_min", "mileage_km_max"]
    repeated = sightings.duplicated(seen, keep="last")
    return sightings[~repeated].reset_index(drop=True) if repeated.any() else sightings
