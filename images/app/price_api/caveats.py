"""What a buyer should know beside a price: unknown words, values beyond what was seen, odd asking prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from carprice.listings.schema import TEXT_FEATURES
from carprice.model.features import COLUMNS, CORE_CATEGORIES, EXTRA_CATEGORIES, plain

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_RARITY = COLUMNS.index("rarity")
_CHECKED_WORDS = tuple(
    column for column in (*CORE_CATEGORIES, *EXTRA_CATEGORIES) if column in TEXT_FEATURES or column == "doors"
)
_RANGES = (
    ("year", "model_year", "model year"),
    ("km", "mileage", "mileage"),
    ("power", "fiscal_power_cv", "fiscal power"),
)

_plain = lru_cache(maxsize=4096)(plain)


def warnings_of(pipeline: Pipeline, listing: Mapping[str, Any]) -> list[dict[str, str]]:
    """Codes, fields and sentences of what the price rests on less firmly than usual."""
    features = pipeline.named_steps["features"]
    found: list[dict[str, str]] = []

    def warn(code: str, field: str, message: str) -> None:
        found.append({"code": code, "field": field, "message": message})

    make, model = _plain(listing["make"]), _plain(listing["model"])
    if make not in features.codes_["make"]:
        warn(
            "unknown_make",
            "make",
            f"The make '{listing['make']}' is not known: priced from the other values alone.",
        )
    elif f"{make}/{model}" not in features.codes_["model"]:
        warn("unknown_model", "model", f"The model '{listing['model']}' is not known: priced from its make.")
    for column in _CHECKED_WORDS:
        value = listing.get(column)
        codes = features.codes_.get(column)
        if value is None or codes is None or _plain(value) in codes:
            continue
        warn(
            "unknown_value",
            column,
            f"'{_short(value)}' is a {column.replace('_', ' ')} the model has never seen: it has no say.",
        )
    numbers = {
        "year": listing.get("model_year"),
        "km": _middle(listing.get("mileage_km_min"), listing.get("mileage_km_max")),
        "power": listing.get("fiscal_power_cv"),
    }
    for column, field, name in _RANGES:
        value = numbers[column]
        low, high = features.range_[column]
        if value is not None and not low <= value <= high:
            bound, which = (low, "least") if value < low else (high, "largest")
            warn(
                "outside_training_range",
                field,
                f"The {name} {value:.0f} is beyond the {which} that the model knows: priced as {bound:.0f}.",
            )
    return found


def ignored(unknown_fields: list[str]) -> list[dict[str, str]]:
    """A warning for each field that nobody knows."""
    return [
        {
            "code": "ignored_field",
            "field": _short(name),
            "message": f"The field '{_short(name)}' is not known: it was left out of account.",
        }
        for name in unknown_fields[:20]
    ]


def verdict_of(
    pipeline: Pipeline, listing: Mapping[str, Any], asked: float, price: float, low: float, high: float
) -> dict[str, Any]:
    """Whether `asked` (MAD) is what such cars are offered for; price, low and high are the estimate."""
    features, model = pipeline.named_steps["features"], pipeline.named_steps["price"]
    row = np.zeros((1, len(COLUMNS)))
    name = f"{_plain(listing['make'])}/{_plain(listing['model'])}"
    row[0, _RARITY] = math.log(features.count_.get(name, 0) + 1)
    if abs(math.log(asked / price)) > model.reach(row)[0]:
        verdict = "implausible"
    elif asked < low:
        verdict = "low"
    elif asked > high:
        verdict = "high"
    else:
        verdict = "fair"
    return {
        "price_mad": round(asked),
        "verdict": verdict,
        "difference_mad": round(asked) - round(price),
        "difference_share": round(asked / price - 1, 4),
    }


def _middle(low: float | None, high: float | None) -> float | None:
    if low is None:
        return high
    return low if high is None else (low + high) / 2


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
