"""The listings that are most like a car, as the model that prices it sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from carprice.history import snapshots
from carprice.listings.market_prices import at_market_prices
from carprice.model.features import features_of
from carprice.model.kernel_regression import Embedded
from carprice.model.kernels import Floats, Integers
from carprice.model.price_model import looks_mistyped
from carprice.store import DataRoot

# The day of a price makes no car more or less like another one.
_DAY = ("month",)
_DIGITS = 9
SHOWN = (
    "url",
    "make",
    "model",
    "model_year",
    "mileage_km_min",
    "mileage_km_max",
    "fuel",
    "gearbox",
    "fiscal_power_cv",
    "city",
    "price_mad",
)


MOST = 50_000
"""The most listings that cars are compared with, so that a look takes milliseconds and memory stays small."""


def most_comparable(root: DataRoot, snapshot_id: str, most: int = MOST) -> pd.DataFrame:
    """The listings of a snapshot (canonical columns) that cars are compared with: at most `most`.

    Where there are more, the newest of each make and model are taken, as many of each as there is room for,
    so that each of a rare model is there. Cars for parts are compared with none. Raises what `snapshots.load`
    raises.
    """
    manifest, listings = snapshots.load(root, snapshot_id, ["make", "model", "scraped_at", "condition"])
    newest_first = _by_time(listings[at_market_prices(listings)])
    place = newest_first.groupby(["make", "model"], sort=False, dropna=False).cumcount()
    chosen = np.zeros(len(listings), dtype=bool)
    chosen[place.sort_values(kind="stable").index[:most]] = True
    return snapshots.rows(root, manifest, chosen)


class Comparables:
    """The listings of a snapshot (canonical columns, n rows), ready to be compared with cars.

    Similarity is the correlation of two log prices of one day before any price was seen, the model's own
    prior: 1 for cars it can't tell apart. Listings without a price or with one that looks mistyped are left
    out, and of those with one link all but the newest.
    """

    def __init__(self, pipeline: Pipeline, listings: pd.DataFrame) -> None:
        # A model that was not trained on is still the same model as itself.
        self._features = pipeline.named_steps["features"].telling_apart(listings)
        self._level = pipeline.named_steps["price"].level_
        newest_first = _newest_first(listings[listings["price_mad"] > 0])
        features = features_of(newest_first)
        price = newest_first["price_mad"].to_numpy(dtype=np.float64)
        usable = ~looks_mistyped(pipeline, features, price) if len(price) else np.zeros(0, dtype=bool)
        self._shown = newest_first.loc[usable, list(SHOWN)].reset_index(drop=True)
        self._known = self._embed(self._features.transform(features[usable])) if usable.any() else []

    def nearest(self, record: Mapping[str, Any], count: int) -> pd.DataFrame:
        """The `count` listings most like `record`, values of FEATURES (None or absent: unknown).

        Columns SHOWN and `similarity` (0 to 1), the most similar first, then the newest.
        """
        if not self._known:
            return self._shown.assign(similarity=np.zeros(0))
        car = self._embed(self._features.transform_records([record]))
        places, similarity = self._alike(car, max(count, 0))
        nearest = largest(similarity, max(count, 0))
        shown = self._shown.iloc[places[nearest]]
        return shown.assign(similarity=similarity[nearest]).reset_index(drop=True)

    def _alike(self, car: Sequence[Embedded], count: int) -> tuple[Integers, Floats]:
        """The places of m listings, in order, among them the `count` nearest, and their similarity.

        What make, model and the like allow bounds the similarity of a listing from above. Those with the
        highest bound come first; the look ends where no other listing can be among the nearest.
        """
        variance = self._level.prior_variance(_DAY)
        bounds = self._level.prior_bound(car, self._known, _DAY) / variance
        places, similarity = np.zeros(0, dtype=np.int64), np.zeros(0)
        while (bound := bounds.max()) >= 0 and _nth_largest(similarity, count) <= np.round(bound, _DIGITS):
            rows = np.flatnonzero(bounds == bound)
            bounds[rows] = -1.0
            covariance = self._level.prior_covariance(car, [each.take(rows) for each in self._known], _DAY)[0]
            places = np.concatenate([places, rows])
            # Equal cars differ by the rounding of sums; they are to be found newest first.
            similarity = np.concatenate([similarity, np.round(np.clip(covariance / variance, 0, 1), _DIGITS)])
        in_order = np.argsort(places)
        return places[in_order], similarity[in_order]

    def _embed(self, rows: Floats) -> list[Embedded]:
        embedded: list[Embedded] = self._level.embed(rows, _DAY)
        return embedded


def _nth_largest(values: Floats, count: int) -> float:
    """The `count`-th largest of n values; -1 where there are not so many."""
    place = len(values) - count
    return float(np.partition(values, place)[place]) if 0 <= place < len(values) else -1.0


def largest(values: Floats, count: int) -> Integers:
    """The places of the `count` largest of n values, the largest first; of equal ones those in front."""
    places = np.arange(len(values))
    if 0 < count < len(values):
        # sorting only what may be among them: all values take most of the time of a look
        places = np.flatnonzero(values >= np.partition(values, len(values) - count)[len(values) - count])
    found: Integers = places[np.argsort(-values[places], kind="stable")][:count]
    return found


def _newest_first(listings: pd.DataFrame) -> pd.DataFrame:
    """The listings, the newest first (later rows are newer where no date says), each link once."""
    backwards = _by_time(listings)
    return backwards[backwards["url"].isna() | ~backwards["url"].duplicated()]


def _by_time(listings: pd.DataFrame) -> pd.DataFrame:
    backwards = listings.iloc[::-1]
    if "scraped_at" not in backwards:
        return backwards
    return backwards.sort_values("scraped_at", ascending=False, kind="stable", na_position="last")
