"""What the sightings of a snapshot tell of each listing: since when, at which prices, whether it is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carprice.history.columnar import places_of

COLUMNS = ("listing_id", "url", "price_mad", "first_seen_at", "last_seen_at")
"""The columns of sightings that are needed."""

DAY = 86_400_000_000  # microseconds
NEVER = np.iinfo(np.int64).min

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lives:
    """The life of each of n listings; times are microseconds since 1970 (UTC), NEVER where there is none.

    `changes` is the number of price changes, `first_price` the first price, `prices` the steps of the price
    as a JSON list of [time, price], oldest first.
    """

    first_seen: Numbers
    last_seen: Numbers
    on_offer: npt.NDArray[np.bool_]
    gone_since: Numbers
    first_price: Floats
    changes: Numbers
    prices: npt.NDArray[np.object_]


def source_of(urls: pa.ChunkedArray) -> pa.ChunkedArray:
    """The host of each address, without `www.`, in small letters; null where there is none."""
    pattern = r"^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)?(?:www\.)?(?P<host>[^/?#:]+)"
    found = pc.extract_regex(pc.utf8_lower(urls.cast(pa.string())), pattern)
    hosts = pc.struct_field(found, "host")
    return hosts if isinstance(hosts, pa.ChunkedArray) else pa.chunked_array([hosts])


def lives_of(
    ids: npt.NDArray[np.object_],
    price: Floats,
    sightings: pa.Table,
    gone: Iterable[Mapping[str, Any]],
    on_offer_days: float,
) -> Lives:
    """The lives of the listings with these ids and newest prices, both of shape (n,).

    `sightings` has the columns COLUMNS; `gone` is what `carprice.history.collected.gone` tells. A listing is
    on offer while one of its ads is: not told gone since it was seen, and seen at most `on_offer_days`
    before the newest ad of its source.
    """
    count = len(ids)
    place = places_of(sightings.column("listing_id"), ids)
    known = place >= 0
    place = place[known]
    first, last = (_microseconds(sightings.column(name))[known] for name in ("first_seen_at", "last_seen_at"))
    asked = sightings.column("price_mad").to_numpy().astype(np.float64)[known]
    urls = sightings.column("url").cast(pa.string())
    since = _gone_since(urls, gone)[known]
    told_gone = (since != NEVER) & (last <= since)
    source = pc.fill_null(source_of(urls), "").dictionary_encode()
    codes = source.combine_chunks().indices.to_numpy(zero_copy_only=False)[known] if len(source) else place
    newest = np.full(int(codes.max(initial=0)) + 1, NEVER)
    np.maximum.at(newest, codes, last)
    # as floats: however many days are no overflow
    fresh = newest[codes] - last.astype(np.float64) <= on_offer_days * DAY
    on_offer = np.zeros(count, dtype=bool)
    on_offer[place[~told_gone & fresh]] = True
    seen = np.zeros(count, dtype=bool)
    seen[place] = True
    on_offer |= ~seen
    first_seen = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first_seen, place, first)
    last_seen = np.full(count, NEVER)
    np.maximum.at(last_seen, place, last)
    first_seen[~seen] = NEVER
    gone_since = np.full(count, NEVER)
    np.maximum.at(gone_since, place[told_gone], since[told_gone])
    gone_since[on_offer] = NEVER
    steps = _price_steps(place, first, last, asked, price)
    return Lives(first_seen, last_seen, on_offer, gone_since, *_told(*steps, count))


def _gone_since(urls: pa.ChunkedArray, gone: Iterable[Mapping[str, Any]]) -> Numbers:
    """Since when each address is gone, NEVER where nobody said so."""
    told = {str(ad["url"]): pd.Timestamp(ad["gone_since"]) for ad in gone}
    if not told:
        return np.full(len(urls), NEVER)
    found = places_of(urls, np.array(list(told), dtype=object))
    times = np.array(
        [int(time.tz_convert("UTC").timestamp() * 1e6) for time in told.values()] + [NEVER], dtype=np.int64
    )
    return times[found]


def _price_steps(
    place: Numbers, first: Numbers, last: Numbers, asked: Floats, price: Floats
) -> tuple[Numbers, Numbers, Floats]:
    """The listing, the time and the price of each step of a price, by listing and time.

    A sighting tells a price at two times. Of prices told at one time one counts, the one that the listing has
    now if it is among them: nobody knows that it changed. The last step of each listing is its price now.
    """
    listing, time, told = np.concatenate([place, place]), np.concatenate([first, last]), np.tile(asked, 2)
    is_now = told == price[listing]
    order = np.lexsort((is_now, time, listing))
    listing, time, told = listing[order], time[order], told[order]
    counts = np.ones(len(listing), dtype=bool)
    counts[:-1] = (listing[1:] != listing[:-1]) | (time[1:] != time[:-1])
    listing, time, told = listing[counts], time[counts], told[counts]
    ends = np.flatnonzero(np.diff(listing, append=-1))
    told[ends] = price[listing[ends]]
    changed = np.ones(len(listing), dtype=bool)
    changed[1:] = (listing[1:] != listing[:-1]) | (told[1:] != told[:-1])
    return listing[changed], time[changed], told[changed]


def _told(
    listing: Numbers, time: Numbers, price: Floats, count: int
) -> tuple[Floats, Numbers, npt.NDArray[np.object_]]:
    """The first price, the number of changes and the JSON of the steps of each of `count` listings."""
    days = np.datetime_as_string(time.astype("datetime64[us]").astype("datetime64[s]"))
    texts = [f'["{at}Z", {asked:.10g}]' for at, asked in zip(days.tolist(), price.tolist(), strict=True)]
    starts = np.flatnonzero(np.diff(listing, prepend=-1))
    lengths = np.diff(starts, append=len(listing))
    first_price, changes = np.full(count, np.nan), np.zeros(count, dtype=np.int64)
    first_price[listing[starts]] = price[starts]
    changes[listing[starts]] = lengths - 1
    prices = np.full(count, "[]", dtype=object)
    prices[listing[starts]] = [
        f"[{texts[start]}]" if length == 1 else f"[{', '.join(texts[start : start + length])}]"
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    ]
    return first_price, changes, prices


def _microseconds(column: pa.ChunkedArray) -> Numbers:
    """Times as microseconds since 1970."""
    times: Numbers = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return times
