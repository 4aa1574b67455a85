"""A market of invented listings, for demonstrations and tests of whatever reads a market.

    write_sample(root, rows=300, seed=1)

The cars are those of `carprice.listings.sample`. What is said of them is invented too, in the shares of a
real market: estimates around the prices, all labels and reasons, suspicious prices, price cuts, listings that
are gone, and a level of prices over two years.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import t as student

from carprice.listings import reading, sample, tables
from carprice.market import before, files, labels
from carprice.market.level import LEVEL
from carprice.market.making import manifest_of
from carprice.market.offers import Facts, as_offers
from carprice.market.sightings import COLUMNS, DAY, lives_of
from carprice.params import MarketParams
from carprice.store import DataRoot

_SCALE, _FREEDOM = 0.11, 4
_FIRST_MONTH = 24


def write_sample(
    root: DataRoot, rows: int, seed: int = 1, now: datetime | None = None, version: str = "1"
) -> dict[str, Any]:
    """Write a market of about `rows` invented listings, seen last on the day of `now`; returns its manifest.

    Written again under another `version` it is the next market: labels and estimates are carried on.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    listings, error = _listings(rows, seed)
    random = np.random.default_rng(seed)
    ids, price = (listings[name].to_numpy() for name in ("listing_id", "price_mad"))
    sightings, gone = _sightings(listings, random, now)
    params = MarketParams()
    lives = lives_of(ids, price.astype(np.float64), sightings, gone, params.on_offer_days)
    earlier = before.read(root)
    facts = _facts(listings, error, random, params)
    offers = as_offers(
        listings, facts, lives, slice(0, len(ids)), earlier, earlier.places(ids), version, now, params
    ).sort_by("listing_id")
    manifest = manifest_of(
        {"snapshot_id": f"invented{seed}", "model_version": version, "run_id": "0" * 32}, params, offers, now
    )
    files.write(root, manifest, offers, _level(listings, now))
    return manifest


def _listings(rows: int, seed: int) -> tuple[pd.DataFrame, Any]:
    """Canonical listings, and how far each price is from what the car is worth (log price)."""
    raw = reading.read_raw(sample.to_csv(sample.generate(rows, seed)).encode(), "sample.csv")
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna().to_numpy()].drop_duplicates("listing_id")
    good = good.reset_index(drop=True)
    error = _SCALE * student.rvs(_FREEDOM, size=len(good), random_state=seed)
    return good, error


def _sightings(
    listings: pd.DataFrame, random: np.random.Generator, now: datetime
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """What each listing was seen with, a third of them at a higher price before; and which are gone."""
    end = int(now.timestamp() * 1e6)
    count = len(listings)
    gone = random.random(count) < 0.15
    last = np.where(
        gone, end - (random.integers(2, 60, count) * DAY), end - random.integers(0, DAY // 2, count)
    )
    first = last - (random.gamma(1.5, 18, count) * DAY).astype(np.int64)
    cut = random.random(count) < 0.3
    middle = first + ((last - first) * random.uniform(0.2, 0.9, count)).astype(np.int64)
    price = listings["price_mad"].to_numpy(dtype=np.float64)
    higher = np.round(price * random.uniform(1.02, 1.15, count) / 500) * 500
    columns: dict[str, Any] = {name: [] for name in COLUMNS}
    for chosen, asked, since, until in (
        (cut, higher, first, middle),
        (np.ones(count, dtype=bool), price, np.where(cut, middle, first), last),
    ):
        columns["listing_id"].append(listings["listing_id"].to_numpy()[chosen])
        columns["url"].append(listings["url"].to_numpy()[chosen])
        columns["price_mad"].append(asked[chosen])
        columns["first_seen_at"].append(since[chosen])
        columns["last_seen_at"].append(until[chosen])
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    times = {name: pa.array(joined.pop(name)).cast(pa.timestamp("us", "UTC")) for name in COLUMNS[-2:]}
    told = [
        {"url": url, "gone_since": (datetime.fromtimestamp(at / 1e6, UTC) + timedelta(days=1)).isoformat()}
        for url, at in zip(listings["url"][gone], last[gone].tolist(), strict=True)
    ]
    return pa.table({**joined, **times}).select(list(COLUMNS)), told


def _facts(listings: pd.DataFrame, error: Any, random: np.random.Generator, params: MarketParams) -> Facts:
    """Estimates around the prices, and what may be wrong with a listing."""
    count = len(listings)
    price = listings["price_mad"].to_numpy(dtype=np.float64)
    estimate = price * np.exp(-error)
    reach = 1.9 * _SCALE * random.uniform(0.7, 1.6, count)
    position = student.cdf(error / _SCALE, _FREEDOM)
    comparables = random.poisson(random.gamma(0.9, 60, count))
    far_below, far_above = error < -params.far_factor * reach, error > params.far_factor * reach
    mistyped, implausible = np.abs(error) > 0.6, random.random(count) < 0.02
    partial = listings[["mileage_km_min", "fuel"]].isna().any(axis=1).to_numpy()
    unknown, unusual = random.random(count) < 0.02, random.random(count) < 0.02
    nothing = np.zeros(count, dtype=bool)
    reasons = [
        nothing, unknown, comparables < params.least_comparables, implausible, far_below | mistyped, partial,
        unusual,
    ]  # fmt: skip
    no_range = unknown | unusual
    return Facts(
        estimate=np.where(unknown, np.nan, estimate),
        low=np.where(no_range, np.nan, estimate * np.exp(-reach)),
        high=np.where(no_range, np.nan, estimate * np.exp(reach)),
        position=np.where(no_range, np.nan, position),
        learned=random.random(count) < 0.7,
        comparables=comparables.astype(np.int64),
        reason=labels.first_reason(reasons),
        suspicions=labels.joined([far_below, far_above, mistyped, implausible]),
    )


def _level(listings: pd.DataFrame, now: datetime) -> pa.Table:
    """Prices that rose by 6 % a year with a dip, of all cars and of the makes."""
    days = [now - timedelta(days=30 * month) for month in range(_FIRST_MONTH, -1, -1)]
    ages = np.arange(_FIRST_MONTH, -1, -1) / 12
    counts = {"": len(listings), **listings["make"].value_counts().to_dict()}
    parts = []
    for place, (scope, count) in enumerate(counts.items()):
        level = np.exp(-0.06 * ages) * (1 - 0.03 * np.sin(ages * 3 + place) * np.sin(ages))
        band = np.exp(np.minimum(0.4, 1.2 * ages / np.sqrt(count)))
        parts.append(
            pd.DataFrame(
                {
                    "scope": scope,
                    "day": [f"{day:%Y-%m-%d}" for day in days],
                    "level": level,
                    "low": level / band,
                    "high": level * band,
                    "listings": count,
                }
            )
        )
    return pa.Table.from_pandas(pd.concat(parts), schema=LEVEL, preserve_index=False)
