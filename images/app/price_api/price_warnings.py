"""The warnings beside a price, and the verdict on an asking price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from carprice.listings.schema import TEXT_FEATURES
from carprice.model.features import COLUMNS, CORE_CATEGORIES, EXTRA_CATEGORIES, plain
from price_contract.answers import AskingPrice, PriceWarning, Verdict, WarningCode

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MOST_IGNORED_FIELDS = 20
LONGEST_VALUE = 60

# The placeholders are `field` and the parameters of the warning.
MESSAGES: dict[WarningCode, str] = {
    "unknown_make": "The model does not know the make '{value}': the price comes from the other values.",
    "unknown_model": "The model does not know the model '{value}': the price is that of the make.",
    "unknown_value": "The model has never seen '{value}' as {name}: it ignores this value.",
    "outside_training_range": "The model knows no {name} as {side} as {value:.0f}: it uses {bound:.0f}.",
    "ignored_field": "The field '{value}' is not known: it is ignored.",
}

_RARITY = COLUMNS.index("rarity")
_CHECKED_WORDS = tuple(
    column for column in (*CORE_CATEGORIES, *EXTRA_CATEGORIES) if column in TEXT_FEATURES or column == "doors"
)
# Column of the model, field of the listing, words for it.
_RANGES = (
    ("year", "model_year", "model year"),
    ("km", "mileage", "mileage"),
    ("power", "fiscal_power_cv", "fiscal power"),
)

_plain = lru_cache(maxsize=4096)(plain)


def warnings_of(
    pipeline: Pipeline, listing: Mapping[str, Any], unknown_fields: Sequence[str] = ()
) -> list[PriceWarning]:
    """Why the price of `listing` is less certain than usual; one warning for each field nobody knows."""
    features = pipeline.named_steps["features"]
    found: list[PriceWarning] = []
    make, model = _plain(listing["make"]), _plain(listing["model"])
    if make not in features.codes_["make"]:
        found.append(_warning("unknown_make", "make", value=_short(listing["make"])))
    elif f"{make}/{model}" not in features.codes_["model"]:
        found.append(
            _warning("unknown_model", "model", value=_short(listing["model"]), make=_short(listing["make"]))
        )
    for column in _CHECKED_WORDS:
        value = listing.get(column)
        codes = features.codes_.get(column)
        if value is None or codes is None or _plain(value) in codes:
            continue
        name = column.replace("_", " ")
        found.append(_warning("unknown_value", column, value=_short(value), name=name))
    numbers = {
        "year": listing.get("model_year"),
        "km": _middle(listing.get("mileage_km_min"), listing.get("mileage_km_max")),
        "power": listing.get("fiscal_power_cv"),
    }
    for column, field, name in _RANGES:
        value = numbers[column]
        low, high = features.range_[column]
        if value is not None and not low <= value <= high:
            bound, side = (low, "low") if value < low else (high, "high")
            found.append(
                _warning(
                    "outside_training_range", field, value=value, bound=float(bound), side=side, name=name
                )
            )
    for field in map(_short, unknown_fields[:MOST_IGNORED_FIELDS]):
        found.append(_warning("ignored_field", field, value=field))
    return found


def asking_price_verdict(
    pipeline: Pipeline, listing: Mapping[str, Any], asking_mad: float, price: float, low: float, high: float
) -> AskingPrice:
    """How `asking_mad` compares with what such cars are offered for; price, low and high are the estimate."""
    features, model = pipeline.named_steps["features"], pipeline.named_steps["price"]
    row = np.zeros((1, len(COLUMNS)))
    name = f"{_plain(listing['make'])}/{_plain(listing['model'])}"
    row[0, _RARITY] = math.log(features.count_.get(name, 0) + 1)
    verdict: Verdict
    if abs(math.log(asking_mad / price)) > model.reach(row)[0]:
        verdict = "implausible"
    elif asking_mad < low:
        verdict = "low"
    elif asking_mad > high:
        verdict = "high"
    else:
        verdict = "fair"
    return {
        "price_mad": round(asking_mad),
        "verdict": verdict,
        "difference_mad": round(asking_mad) - round(price),
        "difference_share": round(asking_mad / price - 1, 4),
    }


def _warning(code: WarningCode, field: str, **params: Any) -> PriceWarning:
    return {"code": code, "field": field, "message": MESSAGES[code].format(**params), "params": params}


def _middle(low: float | None, high: float | None) -> float | None:
    if low is None:
        return high
    return low if high is None else (low + high) / 2


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
