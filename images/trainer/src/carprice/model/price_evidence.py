"""How much the training listings say about a car: enough for a range, or too little for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Evidence = Literal["usual", "little", "none"]
"""`usual`: the range holds what it promises. `little`: so few listings are like this car that the range is a
rough one. `none`: the model knows no such car, and no range can be given."""

# A fuel that fewer than five listings of a model have is as little known as a whole model with so few. One
# that none has is as little known as an unknown model: most such ads say a wrong fuel (`make bench-edges`).
_FEW_CARS = {"few_listings", "few_with_fuel"}
_NO_SUCH_CAR = {"unknown_make", "unknown_model", "for_parts"}
# The model uses the nearest number that it knows, or continues the change of price from year to year.
_BEYOND = {"outside_training_range", "newer_than_learned"}
_TELLING = {"model_year", "mileage"}


def evidence_of(warnings: Sequence[Mapping[str, Any]]) -> Evidence:
    """How much is known of a car that has these warnings (`carprice.model.price_warnings`)."""
    found: Evidence = "usual"
    for warning in warnings:
        code = warning["code"]
        if code in _NO_SUCH_CAR or (code in _BEYOND and warning["field"] in _TELLING):
            return "none"
        if code == "few_with_fuel" and not warning["params"]["count"]:
            return "none"
        if code in _FEW_CARS:
            found = "little"
    return found
