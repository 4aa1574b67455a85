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
# How much the training listings say about a car; see `carprice.model.price_evidence`.
Evidence = Literal["usual", "little", "none"]
WarningCode = Literal[
    "unknown_make",
    "unknown_model",
    "few_listings",
    "few_with_fuel",
    "for_parts",
    "low_mileage",
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
    "duplicate_field",
    "not_used_by_model",
]
# A 503 with one of these codes says which part is missing.
UnavailableCode = Literal[
    "registry-away",
    "loading",
    "no-model",
    "version-refused",
    "database-away",
    "keys-away",
    "store-away",
    "market-missing",
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
    the code. `request_id` is the header `X-Request-ID` of the answer, `instance` the same as a URN.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    params: Params
    errors: NotRequired[list[FieldError]]
    instance: NotRequired[str]
    request_id: NotRequired[str]


class PriceWarning(TypedDict):
    """A reason why the price is less certain than usual; `params` are the values of the message."""

    code: WarningCode
    field: str
    message: str
    params: Params


class AskingPrice(TypedDict):
    """A verdict on the asking price: below, in or above the interval, or too far off to be meant.

    It is null where too little is known of such cars.
    """

    price_mad: int
    verdict: Verdict | None
    difference_mad: int
    difference_share: float


class Priced(TypedDict):
    """A price in MAD with its interval.

    `evidence` says how much is known of such cars. Where it is `little` the interval is a rough one, and
    `interval_coverage` is null; where it is `none` there is no interval, and the price is not to be relied
    on.
    """

    prediction_id: str
    price_mad: int
    low_mad: int | None
    high_mad: int | None
    currency: Literal["MAD"]
    interval_coverage: float | None
    evidence: Evidence
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
    low_mad: NotRequired[int | None]
    high_mad: NotRequired[int | None]
    evidence: NotRequired[Evidence]
    warnings: NotRequired[list[PriceWarning]]
    asking_price: NotRequired[AskingPrice | None]
    errors: NotRequired[list[FieldError]]
    problem: NotRequired[str]
    code: NotRequired[str]
    params: NotRequired[Params]


class Batch(TypedDict):
    """The rows of a batch in their order."""

    model: ModelVersion
    rows: int
    priced: int
    interval_coverage: float
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
    warnings: list[PriceWarning]


class CurvePoint(TypedDict):
    """The price with another mileage or model year; `warnings` are those that the listing does not have."""

    mileage_km: NotRequired[float]
    model_year: NotRequired[int]
    price_mad: int
    low_mad: int | None
    high_mad: int | None
    warnings: list[PriceWarning]


class WhatIf(TypedDict):
    """The price with each of the other mileages and model years."""

    model: ModelVersion
    mileage_km: list[CurvePoint]
    model_year: list[CurvePoint]
    warnings: list[PriceWarning]


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
    warnings: list[PriceWarning]


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
    """A price that was paid, as the log holds it; `unlikely` ones are kept apart from comparisons."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: str
    unlikely: bool


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
    low_mad: float | None
    high_mad: float | None
    evidence: Evidence | None
    version: str
    alias: str
    source: Literal["predict", "batch"]
    latency_ms: float
    shadow: ShadowPrice | None
    price_paid_mad: float | None
    feedback_at: str | None
    feedback_unlikely: bool | None


class PredictionsPage(TypedDict):
    """A page of the log, newest first. `next_cursor` is the `cursor` of the next page, null on the last.

    `page` is null where a cursor was given.
    """

    page: int | None
    page_size: int
    total: int
    predictions: list[LoggedPrediction]
    next_cursor: str | None


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


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class LogState(TypedDict):
    """Predictions that wait, that were written and that were lost, and why the log can't be written to."""

    waiting: int
    written: int
    dropped: int
    last_error: str | None


class Readiness(TypedDict):
    """Whether the service can give prices; without a version it can't."""

    status: Literal["ready", "degraded", "unavailable"]
    version: NotRequired[str]
    model_source: NotRequired[Literal["registry", "cache"]]
    detail: str
    mlflow: Literal["answers", "away", "not asked yet"]
    prediction_log: LogState


class Comparison(TypedDict):
    """Production and staging on the prices that were paid, and on the listings that both priced."""

    production: VersionErrors
    staging: VersionErrors
    agreement: Agreement


class Report(TypedDict):
    """A page that the pipeline wrote."""

    kind: Literal["quality", "pipeline", "drift", "models", "live"]
    name: str
    title: str
    verdict: str | None
    at: str


class Reports(TypedDict):
    """The pages that the pipeline wrote, newest first."""

    reports: list[Report]
