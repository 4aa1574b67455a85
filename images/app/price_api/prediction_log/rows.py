"""What the log stores of a prediction: facts about a car and its price, nothing about a person."""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carprice.listings.asked_days import ASKED_ON
from carprice.listings.schema import COLUMNS, FEATURES
from price_api.database import utc
from price_api.prediction_log.records import Logged, Prediction

LONGEST_TEXT = 60
# Spaces, dots and dashes of any script between the digits of a telephone or identity number.
_LONG_NUMBER = re.compile(r"\d(?:[\s.\-\u00ad\u2010-\u2015\u2212\u00b7]*\d){5}")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def row_of(prediction: Prediction) -> dict[str, Any]:
    """The table row of a prediction. Its listing holds only features, and of these only facts about a car.

    Raises ValueError for a price or a latency that is not a finite number.
    """
    listing = {
        name: value for name in FEATURES if (value := _kept(name, prediction.listing.get(name))) is not None
    }
    if prediction.listing.get(ASKED_ON):
        listing[ASKED_ON] = str(prediction.listing[ASKED_ON])
    # A version is no shadow of itself, and a shadow has a price.
    shadowed = (
        prediction.shadow_version not in (None, prediction.version)
        and _number(prediction.shadow_price_mad) is not None
    )
    return {
        "prediction_id": str(prediction.prediction_id),
        "at": utc(prediction.at),
        "listing": listing,
        "make": folded(listing["make"]) if "make" in listing else None,
        "model": folded(listing["model"]) if "model" in listing else None,
        "asking_price_mad": _number(prediction.asking_price_mad),
        "price_mad": _required(prediction.price_mad),
        "low_mad": _required(prediction.low_mad),
        "high_mad": _required(prediction.high_mad),
        "version": str(prediction.version),
        "alias": str(prediction.alias),
        "source": str(prediction.source),
        "latency_ms": _required(prediction.latency_ms),
        "shadow_version": str(prediction.shadow_version) if shadowed else None,
        "shadow_price_mad": _number(prediction.shadow_price_mad) if shadowed else None,
        "key_name": prediction.key_name,
        "evidence": prediction.evidence,
    }


def logged_of(row: sa.Row[Any]) -> Logged:
    """The prediction of a table row that is joined with its feedback."""
    values = row._asdict()
    del values["make"], values["model"]
    asked = {ASKED_ON: values["listing"][ASKED_ON]} if ASKED_ON in values["listing"] else {}
    values["listing"] = {name: values["listing"].get(name) for name in FEATURES} | asked
    for name, value in values.items():
        if name.endswith("_mad") and value is not None:
            values[name] = amount(value)
    values["at"] = utc(values["at"])
    return Logged(**values)


@lru_cache(maxsize=4096)
def without_personal_data(text: str) -> str | None:
    """`text`, or None when it may be about a person and not a car.

    That is a text that is long, that holds an @ or a number of six digits or more (spaces, dots and
    dashes between the digits do not count), or that holds invisible characters.
    """
    if len(text) > LONGEST_TEXT:
        return None
    plain = unicodedata.normalize("NFKC", text)
    if "@" in plain or _LONG_NUMBER.search(plain):
        return None
    return None if any(unicodedata.category(character) in _INVISIBLE for character in text) else text


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """`text` without case, accents and doubled spaces, as filters compare makes and models."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(bare.split())[:LONGEST_TEXT]


def amount(value: float) -> float:
    """`value`, as an int where it is whole."""
    return int(value) if float(value).is_integer() else value


def _kept(name: str, value: Any) -> Any:
    column = COLUMNS[name]
    if column.kind == "text":
        return without_personal_data(value) if isinstance(value, str) else None
    if isinstance(value, bool):
        return value
    number = _number(value)
    # A number beyond the limits of its column is no fact about a car; it may be one about a person.
    if number is None or not (column.low or 0) <= number <= (column.high or 9999):
        return None
    return amount(number)


def _number(value: Any) -> float | None:
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        return None
    return float(value)


def _required(value: Any) -> float:
    number = _number(value)
    if number is None:
        raise ValueError(f"expected a finite number, found {type(value).__name__} {value!r:.20}")
    return number
