"""What the cars on offer cost: quartiles of asking prices by year, by mileage and by model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from price_api.market.files import Market
from price_api.market.filters import OfferFilters
from price_api.market.offers import Mask, Rows
from price_contract.offer_answers import (
    AskingPrices,
    MarketFigures,
    MarketLevel,
    MarketScope,
    MileagePrices,
    ModelPrices,
    YearPrices,
)

LEAST_OFFERS = 5
"""Figures of fewer listings say more about these than about the market."""

BRACKET_KM, LAST_BRACKET_KM = 50_000, 300_000
MOST_MODELS = 200
_QUARTILES = (25, 50, 75)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scope:
    """The cars that the figures are of; None: all."""

    make: str | None = None
    model: str | None = None
    model_year: int | None = None

    @property
    def filters(self) -> OfferFilters:
        """The listings of the scope."""
        return OfferFilters(
            make=self.make, model=self.model, year_from=self.model_year, year_to=self.model_year
        )


def figures_of(market: Market, scope: Scope) -> MarketFigures:
    """The answer of /v1/market. Takes tens of milliseconds for a hundred thousand listings."""
    offers = market.offers
    on_offer = offers.fitting(scope.filters) & offers.on_offer
    rows = np.flatnonzero(on_offer)
    priced = np.flatnonzero(on_offer & offers.priced)
    prices = offers.numbers["price_mad"][priced]
    level, level_scope = _level(market, scope)
    return {
        "scope": _said(market, scope),
        "offers": len(rows),
        "enough": len(priced) >= LEAST_OFFERS,
        "asking": _asking(prices),
        "days_listed": _days_listed(offers.numbers["days_listed"][rows]),
        "cut_share": _cut_share(
            prices, offers.numbers["first_price_mad"][priced], offers.numbers["days_listed"][priced]
        ),
        "by_year": _by_year(market, on_offer),
        "by_mileage": _by_mileage(market, on_offer),
        "models": _models(market, on_offer),
        "level": level,
        "level_scope": level_scope,
        "newest_seen_at": market.newest_seen_at,
        "made_at": market.made_at,
        "model_version": market.model_version,
    }


def _said(market: Market, scope: Scope) -> MarketScope:
    """The scope, its make and model as the listings have them."""
    words = market.offers.words
    return {
        "make": scope.make and (words["make"].spelling(scope.make) or scope.make),
        "model": scope.model and (words["model"].spelling(scope.model) or scope.model),
        "model_year": scope.model_year,
    }


def _level(market: Market, scope: Scope) -> tuple[list[MarketLevel], str]:
    """The level of the make where the model knows one, else of the whole market, and whose it is."""
    make = market.offers.words["make"].spelling(scope.make) if scope.make else None
    if make is not None and make in market.levels:
        return market.levels[make], make
    return market.levels.get("", []), ""


def _asking(prices: Floats) -> AskingPrices | None:
    if len(prices) < LEAST_OFFERS:
        return None
    q1, median, q3 = (round(each) for each in np.percentile(prices, _QUARTILES).tolist())
    lowest, highest = round(float(prices.min())), round(float(prices.max()))
    return {"median": median, "q1": q1, "q3": q3, "lowest": lowest, "highest": highest}


def _days_listed(days: Floats) -> Any:
    known = days[~np.isnan(days)]
    return {"median": round(float(np.median(known)), 1)} if len(known) >= LEAST_OFFERS else None


def _cut_share(prices: Floats, first_prices: Floats, days: Floats) -> float | None:
    """The share with a price cut among the listings that were seen more than once."""
    known = ~np.isnan(first_prices) & ~np.isnan(days)
    if known.sum() < LEAST_OFFERS:
        return None
    return round(float((prices[known] < first_prices[known]).mean()), 4)


def _by_year(market: Market, on_offer: Mask) -> list[YearPrices]:
    years = market.offers.numbers["model_year"]
    found = _grouped(market, on_offer & ~np.isnan(years), years)
    return [cast(YearPrices, {"model_year": int(year), **figures}) for year, figures in found]


def _by_mileage(market: Market, on_offer: Mask) -> list[MileagePrices]:
    mileages = market.offers.numbers["mileage_km_min"]
    brackets = np.minimum(mileages // BRACKET_KM * BRACKET_KM, LAST_BRACKET_KM)
    return [
        cast(MileagePrices, {"km_from": int(low), "km_to": _end_of(low), **figures})
        for low, figures in _grouped(market, on_offer & ~np.isnan(mileages), brackets)
    ]


def _end_of(low: float) -> int | None:
    return None if low == LAST_BRACKET_KM else int(low) + BRACKET_KM


def _models(market: Market, on_offer: Mask) -> list[ModelPrices]:
    makes, models = market.offers.words["make"], market.offers.words["model"]
    cars = makes.codes.astype(np.float64) * len(models.names) + models.codes
    found = _grouped(market, on_offer, cars, MOST_MODELS)
    return [
        ModelPrices(
            make=makes.names[int(car) // len(models.names)],
            model=models.names[int(car) % len(models.names)],
            offers=figures["offers"],
            median=figures["median"],
        )
        for car, figures in found
    ]


def _grouped(
    market: Market, mask: Mask, keys: Floats, most: int | None = None
) -> list[tuple[float, dict[str, Any]]]:
    """For each key of the rows of a mask its number of offers and the quartiles of their prices.

    In the order of the keys; with `most`, the largest groups first and only so many of them.
    """
    offers = market.offers
    rows = np.flatnonzero(mask)
    prices = np.where(offers.priced[rows], offers.numbers["price_mad"][rows], np.nan)
    # unreliable prices, which are NaN, stand at the end of their group
    order = np.lexsort((prices, keys[rows]))
    sorted_keys, sorted_prices = keys[rows][order], prices[order]
    groups, starts, counts = np.unique(sorted_keys, return_index=True, return_counts=True)
    chosen: Rows = np.arange(len(groups))
    if most is not None:
        chosen = np.argsort(-counts, kind="stable")[:most]
    return [
        (float(groups[each]), _figures(sorted_prices[starts[each] : starts[each] + counts[each]]))
        for each in chosen.tolist()
    ]


def _figures(prices: Floats) -> dict[str, Any]:
    """The number of listings of a group and the quartiles of their prices, ascending and then NaN."""
    known = prices[~np.isnan(prices)]
    if len(known) < LEAST_OFFERS:
        return {"offers": len(prices), "median": None, "q1": None, "q3": None}
    q1, median, q3 = (round(each) for each in np.percentile(known, _QUARTILES).tolist())
    return {"offers": len(prices), "median": median, "q1": q1, "q3": q3}
