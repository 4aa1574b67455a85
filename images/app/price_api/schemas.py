"""Requests and answers, for /openapi.json and /docs; the routes read with `carprice.listings`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from carprice.listings.headers import HEADERS
from carprice.listings.schema import EQUIPMENT, FIRST_YEAR

Scalar = str | float | bool | None

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
MODEL_EXAMPLE = {"name": "CarPricePredictor", "version": "3", "alias": "production"}


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
}
_FIELDS = (
    "make", "model", "model_year", "mileage", "mileage_km_min", "mileage_km_max", "fuel", "fiscal_power_cv",
    "gearbox", "condition", "origin", "city", "district", "doors", "first_owner", *EQUIPMENT, "price_mad",
)  # fmt: skip
_REQUIRED = ("make", "model", "model_year", "fuel")


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
    __doc__="One listing, under canonical names or any known header. Make, model, model year, mileage and "
    "fuel are needed.",
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
    """The price that was really paid for a car that was priced."""

    prediction_id: str
    price_paid_mad: float = Field(gt=0)


class ModelNamed(_Schema):
    """The model that answered."""

    name: str
    version: str
    alias: Literal["production", "staging"]


class Warned(_Schema):
    """What the price rests on less firmly than usual."""

    code: Literal["unknown_make", "unknown_model", "unknown_value", "outside_training_range", "ignored_field"]
    field: str
    message: str


class AskingPrice(_Schema):
    """A verdict on the asking price: below, in or above the interval, or too far off to be meant."""

    price_mad: int
    verdict: Literal["low", "fair", "high", "implausible"]
    difference_mad: int
    difference_share: float


class Priced(_Schema):
    """A price in MAD with its interval."""

    prediction_id: str
    price_mad: int
    low_mad: int
    high_mad: int
    currency: Literal["MAD"]
    interval_coverage: float
    model: ModelNamed
    listing: dict[str, Scalar]
    warnings: list[Warned]
    asking_price: AskingPrice | None


class RowError(_Schema):
    """A value that can't be used: the caller's own field, what was found, what is accepted."""

    field: str
    value: str | None
    accepted: str


class BatchRow(_Schema):
    """A row of a batch: a price, or why there is none."""

    row: int
    prediction_id: str | None = None
    price_mad: int | None = None
    low_mad: int | None = None
    high_mad: int | None = None
    warnings: list[Warned] | None = None
    errors: list[RowError] | None = None
    problem: str | None = None


class Batch(_Schema):
    """The rows of a batch in their order."""

    model: ModelNamed
    rows: int
    priced: int
    predictions: list[BatchRow]


class Contribution(_Schema):
    """What one group of values adds to the price."""

    group: str
    columns: list[str]
    value: str | None
    contribution_mad: int


class Explained(_Schema):
    """The price as a base and what each group of values adds; it adds up to within 1 MAD."""

    price_mad: int
    base_mad: int
    base_meaning: str
    model: ModelNamed
    contributions: list[Contribution]


class Curve(_Schema):
    """The price with another mileage or model year."""

    mileage_km: float | None = None
    model_year: int | None = None
    price_mad: int
    low_mad: int
    high_mad: int


class WhatIf(_Schema):
    """The prices asked for."""

    model: ModelNamed
    mileage_km: list[Curve]
    model_year: list[Curve]


class Comparable(_Schema):
    """A listing that the model was trained on, and how similar the model finds it (0 to 1)."""

    url: str | None
    make: str
    model: str
    model_year: int
    mileage_km_min: float | None
    mileage_km_max: float | None
    fuel: str | None
    gearbox: str | None
    fiscal_power_cv: float | None
    city: str | None
    price_mad: int
    similarity: float


class Comparables(_Schema):
    """The most similar listings, most similar first."""

    model: ModelNamed
    snapshot_id: str
    comparables: list[Comparable]


class ModelAbout(_Schema):
    """The model in production, and how it got there."""

    name: str
    version: str
    alias: str
    run_id: str
    loaded_at: str
    source: Literal["registry", "cache"]
    metrics: dict[str, float | None]
    interval_coverage: float
    gates: list[dict[str, Any]]
    training: dict[str, Any]
    promoted: dict[str, Any] | None
    history: list[dict[str, Any]]
    importance: list[dict[str, Any]]
    refused: dict[str, Any] | None
    staging: dict[str, Any]


class Feedback(_Schema):
    """A price really paid, as it was noted."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: str


class PredictionsPage(_Schema):
    """A page of the log, newest first."""

    page: int
    page_size: int
    total: int
    predictions: list[dict[str, Any]]


class Reports(_Schema):
    """The pages that the pipeline wrote, newest first."""

    reports: list[dict[str, Any]]


class Problem(_Schema):
    """Why a request was refused, in one sentence, and the fields at fault.

    `type` is `urn:carprice:problem:` and the cause where something that the answer needs is missing (503),
    `about:blank` elsewhere.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[RowError] | None = None


# What the routes read or answer without the framework's knowing.
REQUESTS: tuple[type[BaseModel], ...] = (ListingIn, BatchIn, WhatIfIn, FeedbackIn, Problem)
