"""Faults of a whole file that no single row shows: its prices together, one amount in many rows, merged ads.

A file with such a fault is held: nothing learns from it until a person releases or rejects it. A share of the
rows counts only if it is past its limit with confidence: the lower end of Wilson's interval is compared
(Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.problems import hold_sentence
from carprice.params import QualityParams

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_CONFIDENCE_Z = 2.326  # one-sided, 99 %
_SAMPLE_SEED = 0
# The least number of equal amounts that can be no coincidence, and of other amounts beside them.
_FEWEST_EQUAL, _FEWEST_OTHERS = 10, 10
# People ask round prices: in real files no other amount stands in more than 0.6 % of the rows.
_ROUND = 500


@dataclass(frozen=True)
class KnownPrices:
    """The model in production: `price` gives price, low and high in MAD of n listings, shape (n, 3)."""

    version: str
    price: Callable[[pd.DataFrame], Floats]


PriceSource = Callable[[], KnownPrices | str]
"""Gives the model in production, or the reason why there is none to ask."""


@dataclass(frozen=True)
class HoldReason:
    """Why a file is held. `code` is one of `carprice.listings.problems.HOLD_CODES`."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The reason as JSON."""
        return {
            "code": self.code,
            "params": dict(self.params),
            "sentence": hold_sentence(self.code, self.params),
        }


def no_prices() -> str:
    """The price source of a caller that knows no model."""
    return "no model was asked"


def reasons_to_hold(
    listings: pd.DataFrame, params: QualityParams, prices: PriceSource
) -> tuple[list[HoldReason], dict[str, Any]]:
    """Why a file with these accepted listings (canonical columns, n rows) is held, and its price check.

    The price check is a record: `model_version`, `rows` (the cars compared), `median_factor` (the prices as a
    multiple of the model's) and `far_rows`, or `skipped` with the reason why prices were not compared.
    """
    found, price_check = _prices(listings, params, prices)
    found += [reason for reason in (_equal_prices(listings, params), _merged_ads(listings, params)) if reason]
    return found, price_check


def _prices(
    listings: pd.DataFrame, params: QualityParams, prices: PriceSource
) -> tuple[list[HoldReason], dict[str, Any]]:
    """Prices that stand far from the model's, all in one direction or many in any."""
    distinct = listings.drop_duplicates("listing_id")
    if len(distinct) < params.hold_min_rows:
        return [], {"skipped": f"fewer than {params.hold_min_rows} listings (quality.hold_min_rows)"}
    known = prices()
    if isinstance(known, str):
        return [], {"skipped": known}
    if len(distinct) > params.hold_max_rows:
        distinct = distinct.sample(params.hold_max_rows, random_state=_SAMPLE_SEED)
    try:
        expected, low, high = known.price(distinct).T
    except Exception as error:  # whatever a model of another release does must stop no file
        log.exception("model version %s could not price the listings", known.version)
        return [], {"skipped": f"model version {known.version} could not price them: {error}"}
    # The model itself says which cars it knows: the half width of its interval, as a factor.
    sure = np.sqrt(high / low) < params.hold_far_factor
    distance = np.log(distinct["price_mad"].to_numpy(dtype=np.float64)[sure] / expected[sure])
    if len(distance) < params.hold_min_rows:
        return [], {
            "skipped": f"model version {known.version} knows only {len(distance)} of the cars well enough"
        }
    limit, far_limit = math.log(params.hold_price_factor), math.log(params.hold_far_factor)
    factor = _two_digits(math.exp(float(np.median(distance))))
    far = int((np.abs(distance) > far_limit).sum())
    record = {
        "model_version": known.version,
        "rows": len(distance),
        "median_factor": factor,
        "far_rows": far,
    }
    shifted = max(int((distance > limit).sum()), int((distance < -limit).sum()))
    if _at_least(shifted, len(distance)) > 0.5:
        about = {"factor": factor, "rows": len(distance), "version": known.version}
        return [HoldReason("prices_off", about)], record
    if _at_least(far, len(distance)) > params.hold_far_share:
        about = {
            "far": far,
            "rows": len(distance),
            "times": params.hold_far_factor,
            "version": known.version,
        }
        return [HoldReason("prices_scattered", about)], record
    return [], record


def _equal_prices(listings: pd.DataFrame, params: QualityParams) -> HoldReason | None:
    """One amount in many rows, as a program writes it where it knows no price."""
    amounts = listings["price_mad"].value_counts()
    if len(amounts) <= _FEWEST_OTHERS:
        return None
    limits = {True: params.hold_odd_price_share, False: params.hold_round_price_share}
    for is_odd, limit in limits.items():
        ours = amounts[(amounts.index % _ROUND != 0) == is_odd]
        if ours.empty or ours.iloc[0] < _FEWEST_EQUAL:
            continue
        times = int(ours.iloc[0])
        if _at_least(times, len(listings)) > limit:
            amount = float(ours.index[0])
            whole = int(amount) if amount.is_integer() else round(amount, 2)
            return HoldReason("one_price", {"amount": whole, "times": times, "rows": len(listings)})
    return None


def _merged_ads(listings: pd.DataFrame, params: QualityParams) -> HoldReason | None:
    """Rows of different cars that count as one ad, because their link or id is the same."""
    cars = listings["make"].str.casefold().str.cat(listings["model_year"].astype(str), sep="\x1f")
    of_several = cars.groupby(listings["listing_id"]).transform("nunique") > 1
    rows = int(of_several.sum())
    if _at_least(rows, len(listings)) <= params.hold_merged_share:
        return None
    ads = int(listings.loc[of_several, "listing_id"].nunique())
    return HoldReason("ads_merged", {"merged": rows, "rows": len(listings), "ads": ads})


def _at_least(count: int, rows: int) -> float:
    """The least share that `count` of `rows` stand for: the lower end of Wilson's interval."""
    z, share = _CONFIDENCE_Z, count / rows
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return (middle - half) / (1 + z * z / rows)


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
