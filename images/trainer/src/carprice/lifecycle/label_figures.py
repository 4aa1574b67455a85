"""Whether labels keep their promise: what became of the test listings that a model calls a good price.

Two figures need no model: whether a price is below the median of the listings of the same make, model and
about the same year, and how soon the listing was gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.history import collected, snapshots
from carprice.history.columnar import families, numbers_of, places_of
from carprice.market import labels, sightings
from carprice.model import predictive
from carprice.model.features import features_of
from carprice.params import MarketParams
from carprice.store import DataRoot

_WINDOW = 2  # years to either side
_READ = ("listing_id", "make", "model", "model_year", "price_mad")

Floats = npt.NDArray[np.float64]


def label_figures(
    root: DataRoot, manifest: dict[str, Any], pipeline: Any, tested: pd.DataFrame, params: MarketParams
) -> list[dict[str, Any]]:
    """For each label the test listings (canonical columns, dated, without mistyped prices) that have it.

    `label`, `rows`, `below_median` (share below the median of their comparables), `gone` (how many are gone)
    and `days` (median days until they were); None where there is nothing to say. Listings with fewer than
    `market.least_comparables` comparables are left out.
    """
    model = pipeline.named_steps["price"]
    rows = pipeline.named_steps["features"].transform(features_of(tested))
    log_price, scale = model.distribution(rows)
    price = tested["price_mad"].to_numpy(dtype=np.float64)
    found = labels.classes(predictive.positions(model, (np.log(price) - log_price) / scale), params)
    median, count = _comparables(root, manifest, tested)
    usable = count > params.least_comparables  # the listing itself is one of them
    days = _days_until_gone(root, manifest, tested)
    figures = []
    for place, label in enumerate(labels.LABELS):
        own = usable & (found == place)
        gone = own & np.isfinite(days)
        figures.append(
            {
                "label": label,
                "rows": int(own.sum()),
                "below_median": float((price < median)[own].mean()) if own.any() else None,
                "gone": int(gone.sum()),
                "days": float(np.median(days[gone])) if gone.any() else None,
            }
        )
    return figures


def _comparables(
    root: DataRoot, manifest: dict[str, Any], tested: pd.DataFrame
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The median price of each test listing's comparables, and how many there are: both of shape (n,)."""
    table = snapshots.table(root, manifest, "listings", _READ)
    code = np.unique(families(table), return_inverse=True)[1].astype(np.int64)
    key = code * 10_000 + np.nan_to_num(numbers_of(table, "model_year")).astype(np.int64)
    price = numbers_of(table, "price_mad")
    wanted = key[_places(table.column("listing_id"), tested)]
    keys, prices = [], []
    for years in range(-_WINDOW, _WINDOW + 1):
        chosen = np.isin(key + years, wanted)
        keys.append((key + years)[chosen])
        prices.append(price[chosen])
    grouped = pd.Series(np.concatenate(prices)).groupby(np.concatenate(keys))
    both = pd.DataFrame({"median": grouped.median(), "count": grouped.size()}).loc[wanted]
    return both["median"].to_numpy(dtype=np.float64), both["count"].to_numpy(dtype=np.int64)


def _days_until_gone(root: DataRoot, manifest: dict[str, Any], tested: pd.DataFrame) -> Floats:
    """The days from the first sight of each test listing until it was gone, NaN where it is not gone."""
    gone = collected.gone(root)
    days = np.full(len(tested), np.nan)
    if not gone:
        return days
    table = snapshots.table(root, manifest, "sightings", sightings.COLUMNS)
    ids, price = tested["listing_id"].to_numpy(dtype=object), tested["price_mad"].to_numpy(dtype=np.float64)
    lives = sightings.lives_of(ids, price, table, gone, np.inf)
    left = lives.gone_since != sightings.NEVER
    days[left] = (lives.gone_since - lives.first_seen)[left] / sightings.DAY
    return days


def _places(column: Any, tested: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Where each test listing stands in a column of ids."""
    place = places_of(column, tested["listing_id"].to_numpy(dtype=object))
    found = np.zeros(len(tested), dtype=np.int64)
    found[place[place >= 0]] = np.flatnonzero(place >= 0)
    return found
