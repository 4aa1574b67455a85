"""What makes a price less certain than usual: values that are unknown, never seen or out of range."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import pandas as pd

from carprice.listings.asked_days import ASKED_ON, day_numbers, day_of_number
from carprice.listings.schema import TEXT_FEATURES
from carprice.listings.words import is_for_parts
from carprice.model.edges import LEAST_LISTINGS
from carprice.model.features import INPUTS
from carprice.model.plain_values import CORE_CATEGORIES, EXTRA_CATEGORIES, plain

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MOST_IGNORED_FIELDS = 20
LONGEST_VALUE = 60

# The placeholders are `field` and the parameters of the warning.
MESSAGES: dict[str, str] = {
    "unknown_make": "The model does not know the make '{value}': the price comes from the other values.",
    "unknown_model": "The model does not know the model '{value}': the price is that of the make.",
    "few_listings": "The model has learned {count:.0f} of '{value}' and no more: the range is a rough one.",
    "few_with_fuel": "Listings of '{model}' with the fuel '{value}' that the model has learned: {count:.0f}.",
    "for_parts": "A car for parts has no market price: the model has learned none.",
    "low_mileage": "{value:.0f} km are few for a car of {year:.0f}: listings that say so ask less than their "
    "mileage promises, and so does this price.",
    "unknown_value": "The model has never seen '{value}' as {name}: the price is less certain.",
    "unknown_mileage": "The mileage is unknown: the model assumes {usual:.0f} km, as is usual for the model "
    "year, and the range is wider.",
    "unknown_fuel": "The fuel is unknown: the model assumes '{usual}', as is usual for such cars, and the "
    "range is wider.",
    "doubtful_mileage": "A mileage of {value:.0f} km is hard to believe for a car of {year:.0f}: the model "
    "takes it as not filled in.",
    "outside_training_range": "The model knows no {name} as {side} as {value:.0f}: it uses {bound:.0f}.",
    "newer_than_learned": "The model knows no car newer than {bound:.0f}: it continues the change of price "
    "from year to year.",
    "asked_before_learned": "The model knows no price from before {bound}: it gives the price of that day.",
    "asked_after_learned": "The model knows no price from after {bound}: it gives the price of that day, and "
    "the market may have moved since.",
    "no_market_level": "The model does not know on which days prices were asked: the day {value} changes "
    "nothing.",
    "ignored_field": "The field '{value}' is not known: it is ignored.",
    "duplicate_field": "The field '{value}' is ignored, because '{other}' stands for the same.",
    "not_used_by_model": "With this model the price does not depend on {name}.",
}
# What a listing may say without a model that uses it.
_OPTIONAL = ("district", *EXTRA_CATEGORIES)

_CHECKED_WORDS = tuple(
    column for column in (*CORE_CATEGORIES, *EXTRA_CATEGORIES) if column in TEXT_FEATURES or column == "doors"
)
# Column of the model, field of the listing, words for it.
_RANGES = (
    ("year", "model_year", "model year"),
    ("km", "mileage", "mileage"),
    ("power", "fiscal_power_cv", "fiscal power"),
)
_CHUNK_ROWS = 10_000
# A model is trained when listings land; so long after the newest one its price is no longer one of today.
STALE_DAYS = 60

_plain = lru_cache(maxsize=4096)(plain)


class PriceWarning(TypedDict):
    """A reason why a price is less certain: a code of MESSAGES, its sentence and the values in it."""

    code: str
    field: str
    message: str
    params: dict[str, Any]


def warnings_of(
    pipeline: Pipeline,
    listing: Mapping[str, Any],
    unknown_fields: Sequence[str] = (),
    unused_fields: Sequence[str] = (),
    repeated_fields: Sequence[tuple[str, str]] = (),
) -> list[PriceWarning]:
    """Why the price of `listing`, values of FEATURES (None or NaN: unknown), is less certain than usual.

    The other fields are those of `carprice.listings.records.OneRead`; each has a warning of its own.
    """
    return [
        *_of_values(pipeline.named_steps["features"], listing),
        *(_warning("not_used_by_model", field, name=field) for field in _few(unused_fields)),
        *(
            _warning("duplicate_field", field, value=_short(field), other=_short(other))
            for field, other in repeated_fields[:MOST_IGNORED_FIELDS]
        ),
        *map(_ignored, _few(unknown_fields)),
    ]


def warnings_of_table(pipeline: Pipeline, listings: pd.DataFrame) -> Iterator[list[PriceWarning]]:
    """The warnings of each row of a table with the columns of `features_of`, in order."""
    features = pipeline.named_steps["features"]
    columns = [name for name in INPUTS if name in listings]
    for start in range(0, len(listings), _CHUNK_ROWS):
        for record in listings[columns].iloc[start : start + _CHUNK_ROWS].to_dict("records"):
            yield list(_of_values(features, {str(name): value for name, value in record.items()}))


def _of_values(features: Any, listing: Mapping[str, Any]) -> Iterator[PriceWarning]:
    make, model = _word(listing.get("make")), _word(listing.get("model"))
    if not make or make not in features.codes_["make"]:
        yield _warning("unknown_make", "make", value=_short(listing.get("make")))
    elif not model or f"{make}/{model}" not in features.codes_["model"]:
        yield _warning(
            "unknown_model", "model", value=_short(listing.get("model")), make=_short(listing["make"])
        )
    else:
        count = features.count_.get(f"{make}/{model}", 0)
        fuel = _word(listing.get("fuel"))
        with_fuel = features.count_with_fuel(f"{make}/{model}", fuel)
        if count < LEAST_LISTINGS:
            yield _warning("few_listings", "model", value=_short(listing["model"]), count=count)
        elif fuel in features.codes_["fuel"] and with_fuel < LEAST_LISTINGS:
            yield _warning(
                "few_with_fuel",
                "fuel",
                value=_short(listing["fuel"]),
                model=_short(listing["model"]),
                count=with_fuel,
            )
    for_parts = is_for_parts(listing.get("condition"))
    if for_parts:
        yield _warning("for_parts", "condition", value=_short(listing["condition"]))
    for column in _CHECKED_WORDS:
        value = listing.get(column)
        # Such cars are not learned, so that no model has seen their condition.
        if for_parts and column == "condition":
            continue
        codes = features.codes_.get(column)
        # A word in letters that the model can't read is none that it has seen.
        if _is_unknown(value) or codes is None or (_word(value) and _word(value) in codes):
            continue
        yield _warning("unknown_value", column, value=_short(value), name=column.replace("_", " "))
    yield from _of_day(features, listing.get(ASKED_ON))
    year = listing.get("model_year")
    lowest, highest = listing.get("mileage_km_min"), listing.get("mileage_km_max")
    km, km_high = _middle(lowest, highest), lowest if _is_unknown(highest) else highest
    no_fuel = _is_unknown(listing.get("fuel")) or _word(listing["fuel"]) not in features.codes_["fuel"]
    no_mileage = _is_unknown(km)
    if no_fuel or no_mileage:
        assumed = features.assumed(listing)
        if no_fuel:
            yield _warning("unknown_fuel", "fuel", usual=assumed["fuel"] or "any")
        if no_mileage:
            yield _warning("unknown_mileage", "mileage", usual=assumed["mileage"])
    doubtful = not no_mileage and not _is_unknown(year) and features.is_unsaid(km_high, year)
    if doubtful:
        yield _warning("doubtful_mileage", "mileage", value=km, year=year)
    elif not no_mileage and not _is_unknown(year) and features.is_doubted(km, year):
        yield _warning("low_mileage", "mileage", value=km, year=year)
    numbers = {"year": year, "km": None if doubtful else km, "power": listing.get("fiscal_power_cv")}
    for column, field, name in _RANGES:
        value = numbers[column]
        low, high = features.range_[column]
        if column == "year" and features.continues_years_ and (value or 0) > features.newest_year_:
            yield _warning("newer_than_learned", field, value=value, bound=features.newest_year_)
        elif not _is_unknown(value) and not low <= value <= high:
            bound, side = (low, "low") if value < low else (high, "high")
            yield _warning(
                "outside_training_range", field, value=value, bound=float(bound), side=side, name=name
            )
    for column in _OPTIONAL:
        if column not in features.codes_ and not _is_unknown(listing.get(column)):
            yield _warning("not_used_by_model", column, name=column.replace("_", " "))


def _of_day(features: Any, asked_on: Any) -> Iterator[PriceWarning]:
    """What a price of this day, by default today, rests on where the model knows no prices of it."""
    day = math.nan if _is_unknown(asked_on) else float(day_numbers([asked_on])[0])
    if features.newest_day_ is None:
        if day == day:
            yield _warning("no_market_level", ASKED_ON, value=asked_on)
        return
    if day != day:
        day = time.time() // 86_400
    if day < features.first_day_:
        bound = day_of_number(features.first_day_)
        yield _warning("asked_before_learned", ASKED_ON, value=day_of_number(day), bound=bound)
    elif day > features.newest_day_ + STALE_DAYS:
        bound = day_of_number(features.newest_day_)
        yield _warning("asked_after_learned", ASKED_ON, value=day_of_number(day), bound=bound)


def _ignored(field: str) -> PriceWarning:
    return _warning("ignored_field", field, value=field)


def _few(fields: Sequence[str]) -> list[str]:
    return [_short(field) for field in fields[:MOST_IGNORED_FIELDS]]


def _warning(code: str, field: str, **params: Any) -> PriceWarning:
    return {"code": code, "field": field, "message": MESSAGES[code].format(**params), "params": params}


def _is_unknown(value: Any) -> bool:
    return value is None or bool(value != value)  # NaN is the one value that differs from itself


def _word(value: Any) -> str:
    return "" if _is_unknown(value) else _plain(value)


def _middle(low: Any, high: Any) -> Any:
    if _is_unknown(low):
        return high
    return low if _is_unknown(high) else (low + high) / 2


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
