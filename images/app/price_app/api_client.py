"""The API as the app uses it: one method per call, the answer's shape as a type, one exception."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args
from urllib.parse import quote

import requests

from price_app.settings import Settings

# seconds to connect, seconds between two bytes of an answer
TIMEOUT = (3.05, 30.0)
# A batch that is told to slow down does so this often before it gives up.
PATIENCE = 5

Listing = dict[str, Any]
# What is missing behind a 503, as the last part of the problem's `type` names it.
Cause = Literal[
    "registry-away", "loading", "no-model", "version-refused", "database-away", "keys-away", "store-away"
]
# "listings-gone": the model prices, the listings that it learned from can't be found.
Kind = Literal["away", "key", "listings-gone", "not found", "refused"] | Cause
CAUSES: dict[str, Cause] = {f"urn:carprice:problem:{cause}": cause for cause in get_args(Cause)}


class ModelVersion(TypedDict):
    """Which model answered."""

    name: str
    version: str
    alias: str


class Notice(TypedDict):
    """A warning about an estimate: the price holds, this is to be known."""

    code: str
    field: str
    message: str


class AskingPrice(TypedDict):
    """How a price that somebody asks compares with the estimate."""

    price_mad: int
    verdict: Literal["fair", "low", "high", "implausible"]
    difference_mad: int
    difference_share: float


class Estimate(TypedDict):
    """The answer of /v1/predict; amounts in whole MAD."""

    prediction_id: str
    price_mad: int
    low_mad: int
    high_mad: int
    interval_coverage: float
    model: ModelVersion
    listing: Listing
    warnings: list[Notice]
    asking_price: AskingPrice | None


class Contribution(TypedDict):
    """What one characteristic adds to or takes from the base price."""

    group: str
    columns: list[str]
    value: Any
    contribution_mad: float


class Explanation(TypedDict):
    """The answer of /v1/explain: base and contributions add up to the price."""

    price_mad: float
    base_mad: float
    base_meaning: str
    model: ModelVersion
    contributions: list[Contribution]


class CurvePoint(TypedDict):
    """The price at another mileage or in another year."""

    mileage_km: NotRequired[int]
    model_year: NotRequired[int]
    price_mad: int
    low_mad: int
    high_mad: int


class WhatIf(TypedDict):
    """The answer of /v1/what-if."""

    model: ModelVersion
    mileage_km: list[CurvePoint]
    model_year: list[CurvePoint]


class Comparable(TypedDict):
    """A listing of the training data that resembles the one in question; similarity 0 to 1."""

    url: str | None
    make: str | None
    model: str | None
    model_year: float | None
    mileage_km_min: float | None
    mileage_km_max: float | None
    fuel: str | None
    gearbox: str | None
    fiscal_power_cv: float | None
    city: str | None
    price_mad: float
    similarity: float


class Comparables(TypedDict):
    """The answer of /v1/comparables."""

    model: ModelVersion
    comparables: list[Comparable]


class ModelChoices(TypedDict):
    """What the model in production knows of one car model, most frequent first."""

    count: int
    years: list[int]
    fuels: list[str]
    gearboxes: list[str]
    fiscal_powers: list[int]


class MakeChoices(TypedDict):
    """What the model in production knows of one make."""

    count: int
    models: dict[str, ModelChoices]


class Choices(TypedDict):
    """The answer of /v1/choices."""

    model: ModelVersion
    makes: dict[str, MakeChoices]
    fuels: list[str]
    gearboxes: list[str]
    conditions: list[str]
    origins: list[str]
    cities: list[str]
    doors: list[int]
    has_equipment: bool


class Feedback(TypedDict):
    """The answer of /v1/feedback."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: str


class ShadowPrice(TypedDict):
    """What `staging` said about the same listing, unseen by the caller."""

    version: str
    price_mad: float


class LoggedPrediction(TypedDict):
    """One past prediction."""

    prediction_id: str
    at: str
    listing: Listing
    price_mad: float
    low_mad: float
    high_mad: float
    asking_price_mad: float | None
    version: str
    alias: str
    source: str
    shadow: ShadowPrice | None
    price_paid_mad: float | None
    feedback_at: str | None


class PredictionPage(TypedDict):
    """The answer of /v1/predictions."""

    page: int
    page_size: int
    total: int
    predictions: list[LoggedPrediction]


class Report(TypedDict):
    """One report of the pipeline."""

    kind: str
    name: str
    title: str
    verdict: str | None
    at: str


class Fault(TypedDict):
    """What is wrong with one field of a request."""

    field: str
    value: Any
    accepted: str


class ApiProblem(Exception):
    """The API said no, or nothing at all; `sentence` says why, for a person to read."""

    def __init__(self, kind: Kind, sentence: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(sentence)
        self.kind: Kind = kind
        self.sentence = sentence
        self.faults = list(faults)


class ApiClient:
    """One connection to the API, for any number of threads' single calls."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._session = requests.Session()
        self._session.trust_env = not settings.on_loopback
        if settings.api_key:
            self._session.headers["Authorization"] = f"Bearer {settings.api_key}"

    def predict(self, listing: Listing, sticky_key: str) -> Estimate:
        """What a listing is worth. Each call is a prediction of its own in the log.

        Where two versions share the requests, the same `sticky_key` stays with the same one.
        """
        headers = {"X-Sticky-Key": sticky_key}
        return cast(Estimate, self._json("POST", "/v1/predict", json=listing, headers=headers))

    def predict_csv(self, content: bytes) -> str:
        """The rows of a CSV file with their prices, as CSV; a busy API is waited for."""
        for attempt in range(PATIENCE + 1):
            answer = self._answer(
                "POST",
                "/v1/predict/batch",
                data=content,
                headers={"Content-Type": "text/csv; charset=utf-8", "Accept": "text/csv"},
                patient=attempt < PATIENCE,
            )
            if answer.status_code != 429:
                break
            time.sleep(min(_seconds(answer.headers.get("Retry-After")), 10.0))
        return answer.content.decode("utf-8")

    def explain(self, listing: Listing) -> Explanation:
        """Why a listing is worth what it is."""
        return cast(Explanation, self._json("POST", "/v1/explain", json=listing))

    def what_if(self, listing: Listing, mileage_km: Sequence[int], model_year: Sequence[int]) -> WhatIf:
        """The price at other mileages and in other years; at most 60 of each."""
        body = {"listing": listing, "mileage_km": list(mileage_km), "model_year": list(model_year)}
        return cast(WhatIf, self._json("POST", "/v1/what-if", json=body))

    def comparables(self, listing: Listing, count: int) -> Comparables:
        """The listings that resemble this one most."""
        query = {name: _word(value) for name, value in listing.items() if value is not None}
        return cast(Comparables, self._json("GET", "/v1/comparables", params=query | {"count": str(count)}))

    def choices(self) -> Choices:
        """What can be chosen in the form."""
        return cast(Choices, self._json("GET", "/v1/choices"))

    def model(self) -> dict[str, Any]:
        """Everything about the model in production, as the API documents it."""
        return cast(dict[str, Any], self._json("GET", "/v1/model"))

    def model_card(self) -> str:
        """The model card, a whole HTML page."""
        return self._answer("GET", "/v1/model/card").content.decode("utf-8")

    def feedback(self, prediction_id: str, price_paid_mad: float) -> Feedback:
        """Say what was really paid."""
        body = {"prediction_id": prediction_id, "price_paid_mad": price_paid_mad}
        return cast(Feedback, self._json("POST", "/v1/feedback", json=body))

    def predictions(self, filters: Mapping[str, str], page: int, page_size: int) -> PredictionPage:
        """One page of the past predictions that match, newest first."""
        query = {**filters, "page": str(page), "page_size": str(page_size)}
        return cast(PredictionPage, self._json("GET", "/v1/predictions", params=query))

    def predictions_csv(self, filters: Mapping[str, str]) -> bytes:
        """All past predictions that match, as CSV."""
        return self._answer(
            "GET", "/v1/predictions", params=dict(filters), headers={"Accept": "text/csv"}
        ).content

    def comparison(self) -> dict[str, Any]:
        """`production` beside `staging`, as the API documents it."""
        return cast(dict[str, Any], self._json("GET", "/v1/comparison"))

    def reports(self) -> list[Report]:
        """The pipeline's reports, newest first."""
        return cast(list[Report], self._json("GET", "/v1/reports")["reports"])

    def report(self, kind: str, name: str) -> str:
        """One report, a whole HTML page."""
        path = "/".join(quote(part, safe="") for part in (kind, name))
        return self._answer("GET", f"/v1/reports/{path}").content.decode("utf-8")

    def _json(self, method: str, path: str, **request: Any) -> Any:
        answer = self._answer(method, path, **request)
        try:
            return answer.json()
        except ValueError as error:
            raise ApiProblem("away", f"{self._url} answered something that is not JSON") from error

    def _answer(self, method: str, path: str, patient: bool = False, **request: Any) -> requests.Response:
        try:
            answer = self._session.request(method, self._url + path, timeout=TIMEOUT, **request)
        except requests.RequestException as error:
            raise ApiProblem("away", f"no answer of {self._url}: {type(error).__name__}") from error
        if answer.ok or (patient and answer.status_code == 429):
            return answer
        raise _problem(answer)


def _problem(answer: requests.Response) -> ApiProblem:
    try:
        found = answer.json()
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    sentence = str(found.get("detail") or found.get("title") or f"status {answer.status_code}")
    kinds: dict[int, Kind] = {401: "key", 403: "key", 404: "not found", 409: "listings-gone"}
    kind = kinds.get(answer.status_code, "away" if answer.status_code >= 500 else "refused")
    # a 503 without a cause comes from what stands before the API
    if answer.status_code == 503:
        kind = CAUSES.get(str(found.get("type")), kind)
    faults = [
        Fault(field=str(f.get("field")), value=f.get("value"), accepted=str(f.get("accepted") or ""))
        for f in found.get("errors") or []
        if isinstance(f, dict)
    ]
    return ApiProblem(kind, sentence, faults)


def _seconds(header: str | None) -> float:
    try:
        return max(float(header or 1), 0.1)
    except ValueError:
        return 1.0


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
