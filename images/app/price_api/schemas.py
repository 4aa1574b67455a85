"""The requests as /openapi.json and /docs describe them; the routes read with `carprice.listings`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from carprice.listings.headers import HEADERS
from carprice.listings.schema import EQUIPMENT, FIRST_YEAR
from price_contract.answers import Scalar

ENGLISH: dict[str, Any] = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage": 120000,
    "fuel": "Diesel",
    "fiscal_power_cv": 6,
    "gearbox": "Manuelle",
    "air_conditioning": True,
    "price_mad": 99000,
}
FRENCH: dict[str, Any] = {
    "Marque": "Dacia",
    "Modèle": "Logan",
    "Année-Modèle": "2015",
    "Kilométrage": "120 000 - 129 999",
    "Type de carburant": "Diesel",
    "Puissance fiscale": "6 CV",
    "Boite de vitesses": "Manuelle",
    "Climatisation": "Oui",
    "Prix": "99 000 DH",
}
LISTING_EXAMPLES = {
    "english": {"summary": "Canonical names", "value": ENGLISH},
    "french": {
        "summary": "The French headers of the listing sites, values as they are written there",
        "value": FRENCH,
    },
}


class _Schema(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


_DESCRIPTIONS = {
    "make": "The make, as listing sites write it.",
    "model": "The model.",
    "model_year": f"The model year, from {FIRST_YEAR} to next year.",
    "mileage": "Kilometres, or a bracket such as `120 000 - 129 999`.",
    "mileage_km_min": "Least kilometres, where `mileage` is not given.",
    "mileage_km_max": "Largest kilometres, where `mileage` is not given.",
    "fuel": "Diesel, Essence, Hybride, Electrique …",
    "fiscal_power_cv": "Fiscal power in CV, from 1 to 200.",
    "price_mad": "The asking price in MAD, for a verdict on it.",
    "asked_on": "The day that the price is asked for, such as `2026-05-04`; today where it is not given. A "
    "day beyond those that the model learned gets the price of the nearest of them, and a warning.",
}
_FIELDS = (
    "make", "model", "model_year", "mileage", "mileage_km_min", "mileage_km_max", "fuel", "fiscal_power_cv",
    "gearbox", "condition", "origin", "city", "district", "doors", "first_owner", *EQUIPMENT, "price_mad",
    "asked_on",
)  # fmt: skip


def _field(name: str) -> tuple[Any, Any]:
    said = _DESCRIPTIONS.get(name, name.replace("_", " ").capitalize() + ".")
    also = ", ".join(f"`{header}`" for header in HEADERS.get(name, ()) if header != name)
    described = f"{said} Also read under {also}." if also else said
    if name in EQUIPMENT or name == "first_owner":
        described += " true or false, Oui or Non."
    return (Scalar, Field(default=None, description=described))


ListingIn: type[BaseModel] = create_model(
    "ListingIn",
    __base__=_Schema,
    __config__=None,
    __doc__="One listing, under canonical names or any known header. Make, model and model year are "
    "needed; without mileage or fuel the interval is wider and the answer has a warning.",
    **{name: _field(name) for name in _FIELDS},  # type: ignore[call-overload]
)
ListingIn.model_config["json_schema_extra"] = {"additionalProperties": True, "examples": [ENGLISH, FRENCH]}


class BatchIn(_Schema):
    """Up to 10,000 listings; the list may also be sent bare."""

    listings: list[ListingIn]  # type: ignore[valid-type]


class WhatIfIn(_Schema):
    """A listing, and the mileages and model years to price it with."""

    listing: ListingIn  # type: ignore[valid-type]
    mileage_km: list[float] = Field(default_factory=list, max_length=60)
    model_year: list[int] = Field(default_factory=list, max_length=60)


class FeedbackIn(_Schema):
    """The price that was paid for a car that was priced."""

    prediction_id: str
    price_paid_mad: float = Field(ge=1_000, le=1_000_000_000)


# The bodies that the routes read themselves.
REQUESTS: tuple[type[BaseModel], ...] = (ListingIn, BatchIn, WhatIfIn, FeedbackIn)
