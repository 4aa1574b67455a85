"""A value of a JSON record as the text of a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from carprice.listings.availability import on_sale
from carprice.listings.folding import words_of
from carprice.listings.header_names import name_of

_AMOUNTS = ("value", "amount", "price")
_UNITS = ("currency", "currencyCode", "priceCurrency", "unit", "unitText", "unitCode")
_UNIT_CODES = {"KMT": "km", "SMI": "miles"}
"""Codes of UN/CEFACT that schema.org writes for units."""
_PERIODS = {"MON": "month", "WEE": "week", "DAY": "day", "ANN": "year", "HUR": "hour"}
"""Codes of UN/CEFACT for the time that an amount is asked for; schema.org has the words, too."""
_BOUNDS = (("min", "max"), ("from", "to"))
_OF_A_CAR = {"make", "model", "model_year", "mileage", "fuel", "gearbox", "fiscal_power_cv", "price_mad"}
_LEAST_THINGS, _WHOLE_LISTING = 2, 4
_OF_THE_AD = frozenset((
    "car", "vehicle", "vehicule", "voiture", "auto", "ad", "annonce", "listing", "item", "node", "product",
    "params", "parameters", "attributes", "attrs", "details", "detail", "specs", "specifications", "data",
    "caracteristiques", "characteristics", "properties", "features", "info", "infos", "fields", "labels",
))  # fmt: skip
"""Words of the keys of objects that tell of the car of the ad itself."""
_LABELS = ("label", "name", "key")
_WITH_CURRENCY = "withCurrency"


def written(value: Any) -> str:
    """Text as it is, an amount with its unit, the bounds of a range, other lists and objects as JSON.

    `{"value": 60000, "currency": "MAD"}` is `60000 MAD`, `{"min": 5, "max": 9}` is `5 - 9`. An offer of
    schema.org is `60000 MAD`, `1200 MAD / month` or `60000 MAD (sold)`. `{"@type": "Brand", "name": "Fiat"}`
    is `Fiat` and `{"$numberInt": "5"}` is `5`. A list of objects that each have a label and a value is one
    object of these.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 1 and _is_offer(value[0]):
        (value,) = value
    if isinstance(value, dict):
        value = _in_one(value)
    elif isinstance(value, list):
        value = _labelled(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spread(record: dict[str, Any]) -> dict[str, Any]:
    """`record` with the values of a car that stand in an object or in lists of labels within it as its own.

    `{"params": {"primary": [{"name": "Marque", "value": "Fiat"}]}}` is `{"Marque": "Fiat"}`, and so is
    `{"car": {"Marque": "Fiat"}}`. Other objects may tell of another car, one that is similar or traded in.
    What names fewer than two things about a car is left as it is, and so is a record that names four itself.
    A key that the record has itself keeps its value. Changes `record`.
    """
    within = {
        key: _told_within(value)
        for key, value in record.items()
        if isinstance(value, dict | list) and _OF_THE_AD & set(words_of(key))
    }
    cars = {key: told for key, told in within.items() if told and things_of_a_car(told) >= _LEAST_THINGS}
    if not cars or things_of_a_car(record) >= _WHOLE_LISTING:
        return record
    for key, told in cars.items():
        del record[key]
        record |= {label: each for label, each in told.items() if label not in record}
    return record


def _told_within(value: Any) -> dict[str, Any] | None:
    lists = [value] if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    labelled = [_labelled(each) for each in lists if isinstance(each, list) and each]
    if labelled and len(labelled) == len(lists) and all(isinstance(each, dict) for each in labelled):
        pairs = [pair for each in labelled for pair in each.items()]
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None
    return value if isinstance(value, dict) else None


def things_of_a_car(keys: Iterable[str]) -> int:
    """How many things about a car keys name, its price included."""
    return len({name_of(key).field for key in keys} & _OF_A_CAR)


def _is_offer(value: Any) -> bool:
    keys = ("price", "priceCurrency")
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in keys)


def _in_one(value: dict[str, Any]) -> Any:
    """What an object says, where it is only the wrapping of a text, an amount, or lists of labels."""
    if _is_offer(value):
        amount = f"{value['price']} {value['priceCurrency']}"
        for unit in (str(value.get(key)) for key in ("unitText", "unitCode")):
            period = _PERIODS.get(unit.upper(), unit.casefold())
            if period in _PERIODS.values():
                return f"{amount} / {period}"
        return f"{amount} (sold)" if on_sale(str(value.get("availability"))) is False else amount
    value = {key: each for key, each in value.items() if not key.startswith("@")}
    if isinstance(value.get(_WITH_CURRENCY), str):
        return value[_WITH_CURRENCY]
    ((key, only),) = value.items() if len(value) == 1 else [("", None)]
    if isinstance(only, dict):
        return _in_one(only)
    if key.startswith("$") or key == "name":
        return only if isinstance(only, str) else value
    if set(value) == {"id", "name"}:
        return value["name"] if isinstance(value["name"], str) else value
    return _measured(value)


def _measured(value: dict[str, Any]) -> Any:
    """`value` as an amount or a range if it is nothing else."""
    if len(value) != 2 or not all(isinstance(each, str) for each in value.values()):
        return value
    for low, high in _BOUNDS:
        if low in value and high in value:
            return f"{value[low]} - {value[high]}"
    amount = next((value[key] for key in _AMOUNTS if key in value), None)
    unit = next((value[key] for key in _UNITS if key in value), None)
    return value if amount is None or unit is None else f"{amount} {_UNIT_CODES.get(unit, unit)}"


def _labelled(value: list[Any]) -> Any:
    """`value` as an object if it is a list of labels with their values, each label once."""
    if not value or not all(isinstance(each, dict) and "value" in each for each in value):
        return value
    for key in _LABELS:
        labels = [each.get(key) for each in value]
        if all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels):
            return {label: each["value"] for label, each in zip(labels, value, strict=True)}
    return value
