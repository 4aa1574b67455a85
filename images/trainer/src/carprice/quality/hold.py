"""Faults of a whole file that no single row shows: its prices together, one amount in many rows, merged ads.

A file with such a fault is held: nothing learns from it until a person releases or rejects it. A share of the
rows counts only if it is past its limit with confidence: the lower end of Wilson's interval is compared
(Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.problems import hold_sentence
from carprice.params import QualityParams
from carprice.quality.identities import Identities, RowIds

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_CONFIDENCE_Z = 2.326  # one-sided, 99 %
_HASH = "hash of the id"
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


class HoldEvidence:
    """What the accepted rows of a file tell about it as a whole; the rows themselves are not kept.

    `most_prices` listings are drawn to compare their prices: those whose ids have the smallest hashes, each
    listing once. `identities` are the ids of all rows.
    """

    def __init__(self, most_prices: int) -> None:
        self.most_prices = most_prices
        self._drawn = pd.DataFrame()
        self._drawn_below = np.uint64(2**64 - 1)
        self._amounts: Counter[float] = Counter()
        self.identities = Identities()

    def add(self, listings: pd.DataFrame, ids: RowIds) -> None:
        """Add accepted rows in canonical columns, and their ids."""
        if listings.empty:
            return
        self.identities.add(ids)
        self._amounts.update(listings["price_mad"].tolist())
        drawn = ids.ids <= self._drawn_below
        few = listings[drawn].assign(**{_HASH: ids.ids[drawn]})
        together = pd.concat([self._drawn, few]) if len(self._drawn) else few
        self._drawn = together.drop_duplicates(_HASH).nsmallest(self.most_prices, _HASH)
        if len(self._drawn) == self.most_prices:
            self._drawn_below = self._drawn[_HASH].max()

    @property
    def rows(self) -> int:
        """How many rows were added."""
        return self.identities.rows

    @property
    def distinct_listings(self) -> int:
        """How many different ids the rows have."""
        return self.identities.distinct

    def reasons(self, params: QualityParams, prices: PriceSource) -> tuple[list[HoldReason], dict[str, Any]]:
        """Why the file is held, and its price check.

        The price check is a record: `model_version`, `rows` (the cars compared), `median_factor` (the prices
        as a multiple of the model's) and `far_rows`, or `skipped` with the reason why nothing was compared.
        """
        found, price_check = _prices(self._drawn, params, prices)
        others = [_equal_prices(self._amounts, self.rows, params)]
        if not found:
            others.append(_usual_price(self._drawn, params))
        for code, merged in self.identities.merged().items():
            if merged.rows and _at_least(merged.rows, self.rows) > params.hold_merged_share:
                others.append(HoldReason(code, {"merged": merged.rows, "rows": self.rows, "ads": merged.ads}))
        return found + [reason for reason in others if reason], price_check


def _prices(
    listings: pd.DataFrame, params: QualityParams, prices: PriceSource
) -> tuple[list[HoldReason], dict[str, Any]]:
    """Prices that stand far from the model's, all in one direction or many in any."""
    if len(listings) < params.hold_min_rows:
        return [], {"skipped": f"fewer than {params.hold_min_rows} listings (quality.hold_min_rows)"}
    known = prices()
    if isinstance(known, str):
        return [], {"skipped": known}
    try:
        expected, low, high = known.price(listings).T
    except Exception as error:  # whatever a model of another release does must stop no file
        log.exception("model version %s could not price the listings", known.version)
        return [], {"skipped": f"model version {known.version} could not price them: {error}"}
    # The model itself says which cars it knows: the half width of its interval, as a factor.
    sure = np.sqrt(high / low) < params.hold_far_factor
    distance = np.log(listings["price_mad"].to_numpy(dtype=np.float64)[sure] / expected[sure])
    if len(distance) < params.hold_min_rows:
        return [], {
            "skipped": f"model version {known.version} knows only {len(distance)} of the cars well enough"
        }
    limit, far_limit = math.log(params.hold_price_factor), math.log(params.hold_far_factor)
    factor = _two_digits(math.exp(float(np.median(distance))))
    far = int((np.abs(distance) > far_limit).sum())
    about = {"rows": len(distance), "version": known.version}
    record = {
        "model_version": known.version,
        "rows": len(distance),
        "median_factor": factor,
        "far_rows": far,
    }
    shifted = max(int((distance > limit).sum()), int((distance < -limit).sum()))
    if _at_least(shifted, len(distance)) > 0.5:
        return [HoldReason("prices_off", {"factor": factor} | about)], record
    if _at_least(far, len(distance)) > params.hold_far_share:
        return [HoldReason("prices_scattered", {"far": far, "times": params.hold_far_factor} | about)], record
    return [], record


def _usual_price(listings: pd.DataFrame, params: QualityParams) -> HoldReason | None:
    """A median price that no market has, as in euros or centimes. Needs no model: the first file has none."""
    if len(listings) < params.hold_min_rows:
        return None
    usual = float(listings["price_mad"].median())
    least, most = params.hold_least_usual_price, params.hold_most_usual_price
    if least <= usual <= most:
        return None
    found = {"amount": round(usual), "rows": len(listings), "least": least, "most": most}
    return HoldReason("no_usual_price", found)


def _equal_prices(amounts: Counter[float], rows: int, params: QualityParams) -> HoldReason | None:
    """One amount in many rows, as a program writes it where it knows no price."""
    if len(amounts) <= _FEWEST_OTHERS:
        return None
    limits = {True: params.hold_odd_price_share, False: params.hold_round_price_share}
    for is_odd, limit in limits.items():
        ours = {amount: times for amount, times in amounts.items() if (amount % _ROUND != 0) == is_odd}
        amount, times = max(ours.items(), key=lambda each: each[1], default=(0.0, 0))
        if times >= _FEWEST_EQUAL and _at_least(times, rows) > limit:
            whole = int(amount) if amount.is_integer() else round(amount, 2)
            return HoldReason("one_price", {"amount": whole, "times": times, "rows": rows})
    return None


def _at_least(count: int, rows: int) -> float:
    """The least share that `count` of `rows` stand for: the lower end of Wilson's interval."""
    z, share = _CONFIDENCE_Z, count / rows
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return (middle - half) / (1 + z * z / rows)


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
