"""The JSON documents that the API answers with, as types.

The routes return them, /openapi.json describes them, and the app casts what it receives to them. Amounts
are MAD, whole where they are `int`; times are ISO 8601 with a zone.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

# Pydantic asks for this one before Python 3.12.
from typing_extensions import TypedDict

Scalar = str | float | bool | None
Params = dict[str, Any]

Verdict = Literal["low", "fair", "high", "implausible"]
WarningCode = Literal[
    "unknown_make",
    "unknown_model",
    "unknown_value",
    "unknown_mileage",
    "unknown_fuel",
    "doubtful_mileage",
    "outside_training_range",
    "newer_than_learned",
    "asked_before_learned",
    "asked_after_learned",
    "no_market_level",
    "ignored_field",
]
# A 503 with one of these codes says which part is missing.
UnavailableCode = Literal[
    "registry-away", "loading", "no-model", "version-refused", "database-away", "keys-away", "store-away"
]


class ModelVersion(TypedDict):
    """The model that answered."""

    name: str
    version: str
    alias: str


class FieldError(TypedDict):
    """A value that can't be used: the caller's own field, the value, what is accepted.

    `code` and `params` say the same as `accepted`, for a program.
    """

    field: str
    value: str | None
    accepted: str
    code: str
    params: Params


class Problem(TypedDict):
    """Why a request was refused, in one sentence, and the fields at fault (RFC 9457).

    `code` names the reason and `params` the values of its sentence; `type` is `urn:carprice:problem:` and
    the code.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    params: Params
    errors: NotRequired[list[FieldError]]


class PriceWarning(TypedDict):
    """A reason why the price is less certain than usual; `params` are the values of the message."""

    code: WarningCode
    field: str
    message: str
    params: Params


class AskingPrice(TypedDict):
    """A verdict on the asking price: below, in or above the interval, or too far off to be meant."""

    price_mad: int
    verdict: Verdict
    difference_mad: int
    difference_share: float


class Priced(TypedDict):
    """A price in MAD with its interval."""

    prediction_id: str
    price_mad: int
    low_mad: int
    high_mad: int
    currency: Literal["MAD"]
    interval_coverage: float
    model: ModelVersion
    listing: dict[str, Scalar]
    warnings: list[PriceWarning]
    asking_price: AskingPrice | None


class BatchRow(TypedDict):
    """A row of a batch: a price, or the reasons why there is none.

    `problem` is one sentence; `code` and `params` say the same for a program. `errors` has one entry for
    each value that can't be used.
    """

    row: int
    prediction_id: NotRequired[str]
    price_mad: NotRequired[int]
    low_mad: NotRequired[int]
    high_mad: NotRequired[int]
    warnings: NotRequired[list[PriceWarning]]
    errors: NotRequired[list[FieldError]]
    problem: NotRequired[str]
    code: NotRequired[str]
    params: NotRequired[Params]


class Batch(TypedDict):
    """The rows of a batch in their order."""

    model: ModelVersion
    rows: int
    priced: int
    predictions: list[BatchRow]


class Contribution(TypedDict):
    """What one group of values adds to the price."""

    group: str
    columns: list[str]
    value: str | None
    contribution_mad: int


class Explained(TypedDict):
    """The price as a base and what each group of values adds; it adds up to within 1 MAD."""

    price_mad: int
    base_mad: int
    base_meaning: str
    model: ModelVersion
    contributions: list[Contribution]


class CurvePoint(TypedDict):
    """The price with another mileage or model year."""

    mileage_km: NotRequired[float]
    model_year: NotRequired[int]
    price_mad: int
    low_mad: int
    high_mad: int


class WhatIf(TypedDict):
    """The price with each of the other mileages and model years."""

    model: ModelVersion
    mileage_km: list[CurvePoint]
    model_year: list[CurvePoint]


class Comparable(TypedDict):
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


class Comparables(TypedDict):
    """The most similar listings, most similar first."""

    model: ModelVersion
    snapshot_id: str
    comparables: list[Comparable]


class CarModelOptions(TypedDict):
    """What the training listings hold of one car model, most frequent first."""

    count: int
    years: list[int]
    fuels: list[str]
    gearboxes: list[str]
    fiscal_powers: list[int]


class MakeOptions(TypedDict):
    """What the training listings hold of one make."""

    count: int
    models: dict[str, CarModelOptions]


class FormOptions(TypedDict):
    """What a form can offer, most frequent first."""

    model: ModelVersion
    makes: dict[str, MakeOptions]
    fuels: list[str]
    gearboxes: list[str]
    conditions: list[str]
    origins: list[str]
    cities: list[str]
    doors: list[int]
    has_equipment: bool
    mileage_brackets: NotRequired[list[list[float | None]]]


class RefusedVersion(TypedDict):
    """A version that the API refused to serve, and why."""

    version: str
    reason: str
    at: str


class StagingState(TypedDict):
    """What the staging version does beside production; `share` is its part of the requests."""

    mode: Literal["off", "shadow", "share"]
    version: str | None
    share: float | None
    refused: RefusedVersion | None


class ModelAbout(TypedDict):
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
    refused: RefusedVersion | None
    staging: StagingState


class Feedback(TypedDict):
    """A price that was paid, as the log holds it."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: str


class ShadowPrice(TypedDict):
    """The price of the staging version for the same listing, which the caller did not see."""

    version: str
    price_mad: float


class LoggedPrediction(TypedDict):
    """A prediction of the log."""

    prediction_id: str
    at: str
    listing: dict[str, Scalar]
    asking_price_mad: float | None
    price_mad: float
    low_mad: float
    high_mad: float
    version: str
    alias: str
    source: str
    latency_ms: float
    shadow: ShadowPrice | None
    price_paid_mad: float | None
    feedback_at: str | None


class PredictionsPage(TypedDict):
    """A page of the log, newest first."""

    page: int
    page_size: int
    total: int
    predictions: list[LoggedPrediction]


class VersionErrors(TypedDict):
    """One version's predictions, and its errors (shares) on those whose price paid is known."""

    version: str | None
    predictions: int
    feedback: int
    mape: float | None
    median_ape: float | None


class Agreement(TypedDict):
    """How close two versions are on the listings that both priced; shares of the price."""

    pairs: int
    median_abs_difference_share: float | None
    within_5_percent: float | None


class Comparison(TypedDict):
    """Production and staging on the prices that were paid, and on the listings that both priced."""

    production: VersionErrors
    staging: VersionErrors
    agreement: Agreement


class Report(TypedDict):
    """A page that the pipeline wrote."""

    kind: str
    name: str
    title: str
    verdict: str | None
    at: str


class Reports(TypedDict):
    """The pages that the pipeline wrote, newest first."""

    reports: list[Report]
