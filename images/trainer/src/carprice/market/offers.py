"""The table of offers: its columns, and how they are made of what is known of some listings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carprice.listings.schema import FLAG_FEATURES, NUMBER_FEATURES, TEXT_FEATURES
from carprice.market import labels
from carprice.market.before import Before
from carprice.market.sightings import DAY, NEVER, Lives, source_of
from carprice.params import MarketParams

_TIME = pa.timestamp("us", "UTC")
ON_OFFER, GONE = "on_offer", "gone"

OFFERS = pa.schema(
    [
        *((name, pa.string()) for name in ("listing_id", "url", "source", "make", "model")),
        *((name, pa.float64()) for name in ("model_year", "mileage_km_min", "mileage_km_max")),
        *((name, pa.string()) for name in ("fuel", "gearbox", "city", "condition")),
        *((name, pa.float64()) for name in ("fiscal_power_cv", "price_mad")),
        *((name, pa.float64()) for name in ("estimate_mad", "low_mad", "high_mad", "position")),
        ("learned", pa.bool_()),
        *((name, pa.string()) for name in ("label", "not_rated", "suspicions")),
        ("comparables", pa.int64()),
        ("status", pa.string()),
        *((name, _TIME) for name in ("gone_since", "first_seen_at", "last_seen_at")),
        *((name, pa.float64()) for name in ("days_listed", "first_price_mad")),
        ("price_changes", pa.int64()),
        *((name, pa.string()) for name in ("prices", "estimates")),
        ("below_share", pa.float64()),
        *((name, pa.string()) for name in ("district", "origin")),
        ("doors", pa.float64()),
        *((name, pa.int8()) for name in FLAG_FEATURES),
    ]
)
"""The columns of offers.parquet; null where nothing is known."""

_AS_LISTED = ("listing_id", *TEXT_FEATURES)
_NUMBERS = (*NUMBER_FEATURES, "price_mad")

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What the model says of n listings, in MAD (NaN: nothing can be said), and what is wrong with them.

    `reason` is the place in `labels.REASONS` of why there is no label, else -1.
    """

    estimate: Floats
    low: Floats
    high: Floats
    position: Floats
    learned: npt.NDArray[np.bool_]
    comparables: Numbers
    reason: Numbers
    suspicions: npt.NDArray[np.object_]


def as_offers(
    part: pd.DataFrame,
    facts: Facts,
    lives: Lives,
    rows: slice,
    before: Before,
    places: Numbers,
    version: str,
    made_at: datetime,
    params: MarketParams,
) -> pa.Table:
    """The offers of some listings (canonical columns, n rows); `rows` are their places in `lives`.

    `places` are those in the market `before`, and `made_at` the time of this one.
    """
    price = part["price_mad"].to_numpy(dtype=np.float64)
    rated = facts.reason < 0
    found = labels.classes(facts.position, params, before.classes(places, price))
    label = np.where(rated, np.array(labels.LABELS, dtype=object)[found], labels.NOT_RATED)
    reason = np.array([*labels.REASONS, None], dtype=object)[facts.reason]
    estimate, low, high = (np.round(values) for values in (facts.estimate, facts.low, facts.high))
    urls = pa.chunked_array([pa.array(part["url"].to_numpy(dtype=object), pa.string(), from_pandas=True)])
    # what a browser opens; other texts are no addresses of an ad
    urls = pc.if_else(pc.match_substring_regex(urls, r"^(?i:https?)://"), urls, pa.scalar(None, pa.string()))
    first, last, gone = (times[rows] for times in (lives.first_seen, lives.last_seen, lives.gone_since))
    until = np.where(gone != NEVER, np.maximum(gone, last), last)
    # of what was seen once nobody knows how long it has been there
    watched = (first != NEVER) & (until > first)
    entries = _entries(estimate, low, high, version, made_at)
    columns = {
        **{
            name: pa.array(part[name].to_numpy(dtype=object), pa.string(), from_pandas=True)
            for name in _AS_LISTED
        },
        **{name: _number(part[name].to_numpy(dtype=np.float64)) for name in _NUMBERS},
        **{name: _number(part[name].to_numpy(dtype=np.float64)).cast(pa.int8()) for name in FLAG_FEATURES},
        "url": urls,
        "source": source_of(urls),
        "estimate_mad": _number(estimate),
        "low_mad": _number(low),
        "high_mad": _number(high),
        "position": _number(facts.position),
        "learned": pa.array(facts.learned),
        "label": pa.array(label, pa.string()),
        "not_rated": pa.array(reason, pa.string()),
        "suspicions": pa.array(facts.suspicions, pa.string()),
        "comparables": pa.array(facts.comparables),
        "status": pa.array(np.where(lives.on_offer[rows], ON_OFFER, GONE).astype(object), pa.string()),
        "gone_since": _time(gone),
        "first_seen_at": _time(first),
        "last_seen_at": _time(last),
        "days_listed": _number(np.where(watched, (until - first) / DAY, np.nan)),
        "first_price_mad": _number(lives.first_price[rows]),
        "price_changes": pa.array(lives.changes[rows]),
        "prices": pa.array(lives.prices[rows], pa.string()),
        "estimates": pa.array(before.with_estimates(places, entries, version), pa.string()),
        # where there is no label, a price below its estimate is no bargain to be sorted by
        "below_share": _number(np.where(rated, 1 - price / estimate, np.nan)),
    }
    return pa.table([columns[name] for name in OFFERS.names], schema=OFFERS)


def _entries(
    estimate: Floats, low: Floats, high: Floats, version: str, made_at: datetime
) -> npt.NDArray[np.object_]:
    """An entry of `estimates` for each offer, "" where there is no estimate."""
    at, model = json.dumps(f"{made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"), json.dumps(version)

    def text(values: Floats) -> list[str]:
        return ["null" if value != value else f"{value:.0f}" for value in values.tolist()]

    return np.array(
        [
            "" if middle == "null" else f"[{at}, {middle}, {lower}, {upper}, {model}]"
            for middle, lower, upper in zip(text(estimate), text(low), text(high), strict=True)
        ],
        dtype=object,
    )


def _number(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _time(values: Numbers) -> pa.Array:
    return pa.array(values, pa.int64(), mask=values == NEVER).cast(_TIME)
