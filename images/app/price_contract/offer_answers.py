"""The JSON documents about the cars on offer: listings with their labels, the market, watches.

Amounts are MAD, whole where they are `int`; times are ISO 8601 with a zone. None is unknown.
"""

from __future__ import annotations

from typing import Literal

# Pydantic asks for this one before Python 3.12.
from typing_extensions import TypedDict

from price_contract.answers import Comparables, Explained

Label = Literal["very_good_price", "good_price", "fair_price", "high_price", "very_high_price", "not_rated"]
NotRated = Literal[
    "few_comparables",
    "unknown_model",
    "suspicious_price",
    "partial",
    "for_parts",
    "implausible_mileage",
    "unusual_car",
]
Suspicion = Literal["far_below", "far_above", "mistyped", "implausible_mileage"]
Status = Literal["on_offer", "gone"]
# What an average car means: what the estimate takes for granted where a listing does not say otherwise.
Standard = Literal["average_condition_registered_in_morocco"]


class PriceChange(TypedDict):
    """An asking price and since when it stood."""

    at: str
    price_mad: int


class Offer(TypedDict):
    """A listing that is or was on offer, with its estimate and its label.

    The estimate never rests on this listing's own price. `not_rated` says why a listing has no label, and
    `suspicions` what is doubtful about it. `comparables` is the number of cars that it was compared with,
    `days_listed` lasts from the first to the last day that it was seen, and is null where it was seen once.
    `prices` has every change, oldest first.
    """

    listing_id: str
    url: str | None
    source: str | None
    make: str
    model: str
    model_year: int | None
    mileage_km_min: int | None
    mileage_km_max: int | None
    fuel: str | None
    gearbox: str | None
    city: str | None
    price_mad: int
    estimate_mad: int | None
    low_mad: int | None
    high_mad: int | None
    label: Label
    not_rated: NotRated | None
    suspicions: list[Suspicion]
    comparables: int
    status: Status
    days_listed: float | None
    first_seen_at: str | None
    last_seen_at: str | None
    gone_since: str | None
    first_price_mad: int | None
    price_changes: int
    prices: list[PriceChange]


class PastEstimate(TypedDict):
    """What one version of the model estimated, and when it was first asked."""

    at: str
    estimate_mad: int | None
    low_mad: int | None
    high_mad: int | None
    model_version: str


class OfferDetails(Offer):
    """One listing with all that is known of it.

    `position` is the share (0 to 1) of the prices that the model finds likely for such a car which lie below
    the asking price. `explanation` and `nearest` are by the model in production, null while it can't give
    them. `standard` says what an average car means.
    """

    condition: str | None
    fiscal_power_cv: int | None
    position: float | None
    learned: bool
    estimates: list[PastEstimate]
    explanation: Explained | None
    nearest: Comparables | None
    standard: Standard


class OffersPage(TypedDict):
    """A page of the listings that fit. `next` is the `cursor` of the next page, null on the last.

    `total` counts all listings that fit, `labels` those of each label. `newest_seen_at` is when the newest
    listing of the market was seen, `made_at` when the market was rated.
    """

    model_version: str
    made_at: str
    newest_seen_at: str | None
    total: int
    labels: dict[Label, int]
    listings: list[Offer]
    next: str | None


class MarketScope(TypedDict):
    """What the figures are of; null: of all."""

    make: str | None
    model: str | None
    model_year: int | None


class AskingPrices(TypedDict):
    """The asking prices of a group of listings, in MAD."""

    median: int
    q1: int
    q3: int
    lowest: int
    highest: int


class DaysListed(TypedDict):
    """How many days the listings have been on offer."""

    median: float


class YearPrices(TypedDict):
    """The listings of one model year; no prices where there are fewer than five."""

    model_year: int
    offers: int
    median: int | None
    q1: int | None
    q3: int | None


class MileagePrices(TypedDict):
    """The listings of one bracket of mileages, `km_to` not included and null where it is open.

    There are no prices where there are fewer than five listings.
    """

    km_from: int
    km_to: int | None
    offers: int
    median: int | None
    q1: int | None
    q3: int | None


class ModelPrices(TypedDict):
    """The listings of one car model; no median where there are fewer than five."""

    make: str
    model: str
    offers: int
    median: int | None


class MarketLevel(TypedDict):
    """The price of an equal car on one day, 1 on the newest, and its band of 90 %."""

    day: str
    level: float
    low: float
    high: float


class MarketFigures(TypedDict):
    """What the cars on offer cost. Without five listings `enough` is false and the figures are null.

    Listings with a suspicious price count as `offers`, and no price of them counts. `cut_share` is of the
    listings that were seen more than once. `level` is of the make `level_scope`, or of the whole market where
    that is empty. `models` are those of the scope, most offers first.
    """

    scope: MarketScope
    offers: int
    enough: bool
    asking: AskingPrices | None
    days_listed: DaysListed | None
    cut_share: float | None
    by_year: list[YearPrices]
    by_mileage: list[MileagePrices]
    models: list[ModelPrices]
    level: list[MarketLevel]
    level_scope: str
    newest_seen_at: str | None
    made_at: str
    model_version: str


class WatchFilters(TypedDict, total=False):
    """What a watch looks for; a filter that is not there lets everything through."""

    make: str
    model: str
    year_from: int
    year_to: int
    mileage_to: float
    city: str
    fuel: str
    price_from: float
    price_to: float
    labels: list[Label]


class NewWatch(TypedDict):
    """A watch that was just made. Its `secret` is shown this once; `feed` is the path of its feed."""

    watch: str
    secret: str
    feed: str
    filters: WatchFilters
    created_at: str


class SavedWatch(TypedDict):
    """A watch without its secret."""

    watch: str
    filters: WatchFilters
    created_at: str


class Watches(TypedDict):
    """The watches that were made with the caller's key, newest first."""

    watches: list[SavedWatch]


class ToldOffer(TypedDict):
    """An offer that a watch told of: when, and what was said then.

    `offer` is the listing as it is now, null where the market no longer has it.
    """

    listing_id: str
    at: str
    price_mad: int
    estimate_mad: int | None
    label: Label
    offer: Offer | None


class Watch(TypedDict):
    """A watch and the offers that it told of, newest first, at most a hundred."""

    watch: str
    filters: WatchFilters
    created_at: str
    offers: list[ToldOffer]
