"""All that is known of one listing: what explains its price, and the cars that it is like."""

from __future__ import annotations

import logging
from typing import Any, cast

from price_api.insight import explained, similar
from price_api.market.files import Market
from price_api.market.offers import as_rows
from price_api.pricing import PricingRequest, whole
from price_api.serving import NoSnapshot, Serving
from price_contract.answers import Comparable, Comparables, Explained
from price_contract.offer_answers import Offer, OfferDetails

log = logging.getLogger(__name__)

NEAREST = 8
_AS_GOOD_AS_SAME = 0.9999
_TOLD_BY = ("make", "model", "model_year", "mileage_km_min", "mileage_km_max", "price_mad")


def details_of(market: Market, row: int, serving: Serving | None) -> OfferDetails:
    """The answer about one listing. The explanation and the nearest cars are missing without a model."""
    offers = market.offers
    (offer,) = offers.records(as_rows([row]))
    position = float(offers.numbers["position"][row])
    power = float(offers.numbers["fiscal_power_cv"][row])
    explanation, nearest = _by_model(serving, offers.features(row), offer)
    found: dict[str, Any] = {
        **offer,
        "condition": offers.words["condition"].values(as_rows([row]))[0],
        "fiscal_power_cv": whole(power) if power == power else None,
        "position": round(position, 4) if position == position else None,
        "learned": bool(offers.learned[row]),
        "estimates": offers.estimates(row),
        "explanation": explanation,
        "nearest": nearest,
        "standard": "average_condition_registered_in_morocco",
    }
    return cast(OfferDetails, found)


def _by_model(
    serving: Serving | None, car: dict[str, Any], offer: Offer
) -> tuple[Explained | None, Comparables | None]:
    """What the model in production says of the car; None where it can't."""
    if serving is None:
        return None, None
    requested = PricingRequest(car, float(offer["price_mad"]))
    try:
        nearest = similar(serving, requested, NEAREST + 1)
        nearest["comparables"] = _without(offer, nearest["comparables"])[:NEAREST]
        return explained(serving, requested), nearest
    except NoSnapshot as problem:
        log.warning("a listing is shown without its explanation: %s", problem)
    except Exception:  # the listing is there all the same
        log.exception("a listing is shown without its explanation")
    return None, None


def _without(offer: Offer, found: list[Comparable]) -> list[Comparable]:
    """Similar listings without the listing itself: the one of its link, or one that is the same car."""
    if offer["url"] is not None:
        return [each for each in found if each["url"] != offer["url"]]
    for place, each in enumerate(found):
        same = all(each[name] == offer[name] for name in _TOLD_BY)  # type: ignore[literal-required]
        if same and each["similarity"] >= _AS_GOOD_AS_SAME:
            return found[:place] + found[place + 1 :]
    return found
