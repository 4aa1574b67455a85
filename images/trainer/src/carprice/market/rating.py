"""Each listing of a snapshot with its estimate, which never rests on its own price, and its label."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.history import collected, snapshots
from carprice.history.columnar import families, numbers_of, places_of
from carprice.history.seen import dated
from carprice.listings.market_prices import at_market_prices
from carprice.listings.schema import FEATURES
from carprice.market import labels, sightings
from carprice.market.before import Before
from carprice.market.offers import OFFERS, Facts, as_offers
from carprice.model import predictive
from carprice.model.features import COLUMNS, UNSAID, features_of
from carprice.params import MarketParams
from carprice.store import DataRoot

log = logging.getLogger(__name__)

READ = ("listing_id", "url", *FEATURES, "price_mad", "scraped_at", "source_sha256")
"""The columns of listings that are needed."""

_WINDOW = 2  # years to either side in which a car is comparable
_OLD = 3  # years up to which any mileage below the most is plausible
_YEAR, _MODEL, _DOUBT, _PARTIAL = map(COLUMNS.index, ("year", "model", "km_doubt", "partial"))

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LeftOut:
    """What the model says of each of n listings that it learned, without the listing's own price.

    `listing_ids` are those of the snapshot that is rated; `log_price` and `scale` are of shape (n,), as
    `PriceModel.distribution` has them.
    """

    listing_ids: npt.NDArray[np.object_]
    log_price: Floats
    scale: Floats


@dataclass(frozen=True)
class Rater:
    """What the listings of a snapshot are rated with: the pipeline in production and what it left out."""

    pipeline: Any
    version: str
    left_out: LeftOut
    params: MarketParams


def rate(
    root: DataRoot, manifest: dict[str, Any], rater: Rater, before: Before, made_at: datetime
) -> pa.Table:
    """The offers of a snapshot (see `carprice.market.offers`), sorted by `listing_id`."""
    known = snapshots.table(
        root, manifest, "listings", ["listing_id", "make", "model", "model_year", "price_mad"]
    )
    ids = known.column("listing_id").to_numpy().astype(object)
    learned = _learned(ids, rater.left_out)
    comparables = _comparables(known, learned >= 0)
    price = numbers_of(known, "price_mad")
    del known
    shift = _told_by_others(root, manifest, rater, ids, learned)
    lives = sightings.lives_of(
        ids,
        price,
        snapshots.table(root, manifest, "sightings", sightings.COLUMNS),
        collected.gone(root),
        rater.params.on_offer_days,
    )
    earlier = before.places(ids)
    parts, start = [], 0
    for part in snapshots.listing_parts(root, manifest, READ):
        rows = slice(start, start + len(part))
        facts = _facts(manifest, part, rater, learned[rows], comparables[rows], shift[rows])
        parts.append(
            as_offers(part, facts, lives, rows, before, earlier[rows], rater.version, made_at, rater.params)
        )
        start = rows.stop
        log.info("%d listings rated", start)
    offers = pa.concat_tables(parts) if parts else OFFERS.empty_table()
    return offers.take(pa.array(np.argsort(ids.astype(str), kind="stable"))) if len(ids) else offers


def _learned(ids: npt.NDArray[np.object_], left_out: LeftOut) -> Numbers:
    """The place of each id among the learned ones, -1 where it was not learned: of shape (n,)."""
    return places_of(pa.chunked_array([pa.array(ids, pa.string())]), left_out.listing_ids)


def _comparables(listings: pa.Table, learned: Mask) -> Numbers:
    """How many learned listings of the same make and model, two years older to newer, there are: shape (n,).

    The listing itself does not count.
    """
    codes = np.unique(families(listings), return_inverse=True)[1]
    year = np.nan_to_num(numbers_of(listings, "model_year")).astype(np.int64)
    if not len(year):
        return np.zeros(0, dtype=np.int64)
    year = year - year.min() + _WINDOW + 1
    counts = np.zeros((codes.max() + 1, year.max() + _WINDOW + 1), dtype=np.int32)
    np.add.at(counts, (codes[learned], year[learned]), 1)
    summed = counts.cumsum(axis=1)
    found: Numbers = summed[codes, year + _WINDOW] - summed[codes, year - _WINDOW - 1]
    return found - learned


def _told_by_others(
    root: DataRoot, manifest: dict[str, Any], rater: Rater, ids: npt.NDArray[np.object_], learned: Numbers
) -> Floats:
    """What is added to the log price of each of n listings, so that no other ad of its car has a say in it.

    Of a listing that was not learned, other ads of its car may have been: copies and look-alikes that landed
    before. What these changed in their own prices, they changed in its price as well.
    """
    shift = np.zeros(len(ids))
    group = _groups(root, manifest, ids)
    both = np.zeros(group.max(initial=0) + 1, dtype=np.int8)
    both[group[learned >= 0]] |= 1
    both[group[learned < 0]] |= 2
    chosen = (both[group] == 3) & (learned >= 0)
    if not chosen.any():
        return shift
    change = np.zeros(len(ids))
    start = 0
    for part in snapshots.listing_parts(root, manifest, READ):
        own = chosen[start : start + len(part)]
        places = np.flatnonzero(own) + start
        if len(places):
            rows = _rows(manifest, part[own].reset_index(drop=True), rater)
            said, _ = rater.pipeline.named_steps["price"].distribution(rows)
            change[places] = rater.left_out.log_price[learned[places]] - said
        start += len(part)
    total = np.bincount(group[chosen], change[chosen], minlength=len(both))
    count = np.bincount(group[chosen], minlength=len(both))
    mean = total / np.maximum(count, 1)
    new = learned < 0
    shift[new] = mean[group[new]]
    return shift


def _groups(root: DataRoot, manifest: dict[str, Any], ids: npt.NDArray[np.object_]) -> Numbers:
    """The number of each listing's car group, of shape (n,)."""
    cars = snapshots.table(root, manifest, "cars", ["listing_id", "group"])
    place = places_of(cars.column("listing_id"), ids)
    codes = pd.factorize(cars.column("group").to_numpy().astype(object))[0]
    found: Numbers = codes.max(initial=-1) + 1 + np.arange(len(ids))
    found[place[place >= 0]] = codes[place >= 0]
    return found


def _rows(manifest: Mapping[str, Any], part: pd.DataFrame, rater: Rater) -> Floats:
    """The matrix of features of some listings (canonical columns), each on the day that it was seen last."""
    rows: Floats = rater.pipeline.named_steps["features"].transform(features_of(dated(dict(manifest), part)))
    return rows


def _facts(
    manifest: Mapping[str, Any],
    part: pd.DataFrame,
    rater: Rater,
    learned: Numbers,
    comparables: Numbers,
    shift: Floats,
) -> Facts:
    """What the model and the figures say of some listings (canonical columns, n rows)."""
    features, model = rater.pipeline.named_steps["features"], rater.pipeline.named_steps["price"]
    rows = _rows(manifest, part, rater)
    log_price, scale = model.distribution(rows)
    log_price = log_price + shift
    own = learned >= 0
    log_price[own] = rater.left_out.log_price[learned[own]]
    scale[own] = rater.left_out.scale[learned[own]]
    error = np.log(part["price_mad"].to_numpy(dtype=np.float64)) - log_price
    low, high = (end * scale for end in model.quantiles_)
    parts = ~at_market_prices(part)
    unknown = rows[:, _MODEL] < 0
    implausible = _implausible_mileage(features, part, rows, rater.params)
    mistyped = np.abs(error) > model.reach(rows)
    far = rater.params.far_factor
    far_below, far_above = error < far * low, error > far * high
    no_estimate = parts | unknown
    unusual = _outside(features, part)
    suspicions = [mask & ~no_estimate for mask in (far_below, far_above, mistyped)]
    suspicions.append(implausible & ~parts)
    reason = labels.first_reason(
        [
            parts,
            unknown,
            comparables < rater.params.least_comparables,
            implausible,
            far_below | mistyped,
            rows[:, _PARTIAL] != 0,
            unusual,
        ]
    )
    no_range = no_estimate | unusual
    return Facts(
        estimate=np.where(no_estimate, np.nan, np.exp(log_price)),
        low=np.where(no_range, np.nan, np.exp(log_price + low)),
        high=np.where(no_range, np.nan, np.exp(log_price + high)),
        position=np.where(no_range, np.nan, predictive.positions(model, error / scale)),
        learned=own,
        comparables=comparables,
        reason=reason,
        suspicions=labels.joined(suspicions),
    )


def _implausible_mileage(features: Any, part: pd.DataFrame, rows: Floats, params: MarketParams) -> Mask:
    """Which mileages can hardly be true: not filled in, or too few or too many kilometres a year."""
    low, high = (part[name].to_numpy(dtype=np.float64) for name in ("mileage_km_min", "mileage_km_max"))
    high = np.where(np.isnan(high), low, high)
    age = np.maximum(features.newest_year_ + 1 - part["model_year"].to_numpy(dtype=np.float64), 1)
    few = (high < params.least_km_a_year * age) & (age > _OLD)
    many = low > params.most_km_a_year * age
    found: Mask = (rows[:, _DOUBT] == UNSAID) | few | many
    return found


def _outside(features: Any, part: pd.DataFrame) -> Mask:
    """Which cars are older, newer or driven further than all that were learned: no range can be given."""
    year = part["model_year"].to_numpy(dtype=np.float64)
    km = part[["mileage_km_min", "mileage_km_max"]].mean(axis=1).to_numpy(dtype=np.float64)
    oldest, most = features.range_["year"][0], features.range_["km"][1]
    found: Mask = (year < oldest) | (year > features.newest_year_) | (km > most)
    return found
