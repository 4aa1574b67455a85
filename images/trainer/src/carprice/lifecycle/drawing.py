"""Which listings are learned where there are more than a model takes.

Source: Efraimidis and Spirakis, Weighted Random Sampling with a Reservoir (2006).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.words import is_for_parts

# A listing counts half as much as one that was seen so many days later.
HALF_LIFE_DAYS = 180.0
# The chances of a listing fall with this power of the number of listings of its model: of 100 times as many
# listings, 10 times as many are drawn.
CROWDING = 0.5

Floats = npt.NDArray[np.float64]


def drawn(listings: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most `count` of the listings (canonical columns), in their order.

    Listings that were seen lately and those of rare models have better chances. Chance depends on the
    listing's id and `seed` alone: neither on the order of the rows nor on the other listings.
    """
    if count >= len(listings):
        return listings
    key = _exponential(listings["listing_id"], seed) / _chances(listings)
    chosen = np.argsort(key, kind="stable")[: max(count, 0)]
    return listings.iloc[np.sort(chosen)]


def at_market_prices(listings: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which listings (canonical columns, n rows) are of whole cars and not of parts: of shape (n,)."""
    parts = {value for value in listings["condition"].dropna().unique() if is_for_parts(value)}
    whole: npt.NDArray[np.bool_] = ~listings["condition"].isin(parts).to_numpy()
    return whole


def _chances(listings: pd.DataFrame) -> Floats:
    """How likely each listing is to be drawn, against the others: of shape (n,)."""
    seen = listings["scraped_at"]
    days = (seen.max() - seen).dt.total_seconds() / 86_400
    # a file without dates is as old as the middle of those that have them
    age = days.fillna(days.median()).fillna(0.0).to_numpy(dtype=np.float64)
    alike = listings.groupby(["make", "model"], dropna=False)["listing_id"].transform("size")
    chances: Floats = 0.5 ** (age / HALF_LIFE_DAYS) * alike.to_numpy(dtype=np.float64) ** -CROWDING
    return np.maximum(chances, 1e-300)


def _exponential(listing_ids: pd.Series, seed: int) -> Floats:
    """A number of the standard exponential distribution for each id, of shape (n,)."""
    salt = f"learned:{seed}:".encode()
    numbers = np.fromiter(
        (
            int.from_bytes(hashlib.blake2b(salt + str(i).encode(), digest_size=8).digest(), "big")
            for i in listing_ids
        ),
        dtype=np.float64,
        count=len(listing_ids),
    )
    exponential: Floats = -np.log((numbers + 1) / (2.0**64 + 2))
    return exponential
