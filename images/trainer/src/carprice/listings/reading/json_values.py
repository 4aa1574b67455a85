"""A value of a JSON record as the text of a cell."""

from __future__ import annotations

import json
from typing import Any

_AMOUNTS = ("value", "amount")
_UNITS = ("currency", "currencyCode", "unit", "unitText")
_BOUNDS = (("min", "max"), ("from", "to"))
_LABELS = ("label", "name", "key")


def written(value: Any) -> str:
    """Text as it is, an amount with its unit, the bounds of a range, other lists and objects as JSON.

    `{"value": 60000, "currency": "MAD"}` is `60000 MAD`, `{"min": 5, "max": 9}` is `5 - 9`. A list of objects
    that each have a label and a value is one object of these.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict):
        value = _measured(value)
    elif isinstance(value, list):
        value = _labelled(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _measured(value: dict[str, Any]) -> Any:
    """`value` as an amount or a range if it is nothing else."""
    if len(value) != 2 or not all(isinstance(each, str) for each in value.values()):
        return value
    for low, high in _BOUNDS:
        if low in value and high in value:
            return f"{value[low]} - {value[high]}"
    amount = next((value[key] for key in _AMOUNTS if key in value), None)
    unit = next((value[key] for key in _UNITS if key in value), None)
    return value if amount is None or unit is None else f"{amount} {unit}"


def _labelled(value: list[Any]) -> Any:
    """`value` as an object if it is a list of labels with their values, each label once."""
    if not value or not all(isinstance(each, dict) and "value" in each for each in value):
        return value
    for key in _LABELS:
        labels = [each.get(key) for each in value]
        if all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels):
            return {label: each["value"] for label, each in zip(labels, value, strict=True)}
    return value
