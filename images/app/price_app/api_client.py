"""The API as the app uses it: one method per call, and one exception for everything that goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args
from urllib.parse import quote

import requests

from price_app.settings import Settings
from price_contract.answers import (
    Batch,
    Comparables,
    Comparison,
    Explained,
    Feedback,
    FieldError,
    FormOptions,
    ModelAbout,
    Params,
    PredictionsPage,
    Priced,
    Report,
    Reports,
    UnavailableCode,
    WhatIf,
)
from price_contract.language import current
from price_contract.offer_answers import (
    MarketFigures,
    NewWatch,
    OfferDetails,
    OffersPage,
    Watch,
    WatchFilters,
)

# seconds to connect, seconds between two bytes of an answer
TIMEOUT = (3.05, 30.0)
# How often the app repeats a batch that the API asks to send later.
BATCH_RETRIES = 5

Listing = dict[str, Any]
# "listings-gone": the model gives prices, but the listings that it was trained on are missing.
Kind = Literal["away", "key", "listings-gone", "not found", "refused"] | UnavailableCode
UNAVAILABLE: frozenset[str] = frozenset(get_args(UnavailableCode))


class ApiProblem(Exception):
    """The API refused a request, or did not answer.

    `sentence` is the API's own, in English. `code` and `params` say the same for a program; `code` is ""
    where the answer did not come from the API. `errors` are the fields at fault.
    """

    def __init__(
        self,
        kind: Kind,
        sentence: str,
        errors: Sequence[FieldError] = (),
        code: str = "",
        params: Params | None = None,
    ) -> None:
        super().__init__(sentence)
        self.kind: Kind = kind
        self.sentence = sentence
        self.errors = list(errors)
        self.code = code
        self.params = dict(params or {})


class ApiClient:
    """One connection to the API, for any number of threads' single calls.

    `timeout`: seconds to connect, and seconds between two bytes of an answer.
    """

    def __init__(self, settings: Settings, timeout: tuple[float, float] = TIMEOUT) -> None:
        self._url = settings.api_url
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = not settings.on_loopback
        if settings.api_key:
            self._session.headers["Authorization"] = f"Bearer {settings.api_key}"

    def predict(self, listing: Listing, sticky_key: str) -> Priced:
        """The price of a listing. Each call is a prediction of its own in the log.

        If two versions share the requests, one `sticky_key` always gets the same version.
        """
        headers = {"X-Sticky-Key": sticky_key}
        return cast(Priced, self._json("POST", "/v1/predict", json=listing, headers=headers))

    def predict_csv(self, content: bytes) -> Batch:
        """The prices of the rows of a CSV file. Waits and repeats when the API asks for fewer requests."""
        for attempt in range(BATCH_RETRIES + 1):
            answer = self._answer(
                "POST",
                "/v1/predict/batch",
                data=content,
                headers={"Content-Type": "text/csv; charset=utf-8"},
                repeatable=attempt < BATCH_RETRIES,
            )
            if answer.status_code != 429:
                break
            time.sleep(min(_seconds(answer.headers.get("Retry-After")), 10.0))
        return cast(Batch, self._parsed(answer))

    def explain(self, listing: Listing) -> Explained:
        """The contributions to the price of a listing."""
        return cast(Explained, self._json("POST", "/v1/explain", json=listing))

    def what_if(self, listing: Listing, mileage_km: Sequence[int], model_year: Sequence[int]) -> WhatIf:
        """The price at other mileages and in other years; at most 60 of each."""
        body = {"listing": listing, "mileage_km": list(mileage_km), "model_year": list(model_year)}
        return cast(WhatIf, self._json("POST", "/v1/what-if", json=body))

    def comparables(self, listing: Listing, count: int) -> Comparables:
        """The most similar listings."""
        query = {name: _word(value) for name, value in listing.items() if value is not None}
        return cast(Comparables, self._json("GET", "/v1/comparables", params=query | {"count": str(count)}))

    def form_options(self) -> FormOptions:
        """What the form can offer."""
        return cast(FormOptions, self._json("GET", "/v1/choices"))

    def model(self) -> ModelAbout:
        """The model in production."""
        return cast(ModelAbout, self._json("GET", "/v1/model"))

    def model_card(self) -> str:
        """The model card, a whole HTML page."""
        return self._answer("GET", "/v1/model/card").content.decode("utf-8")

    def feedback(self, prediction_id: str, price_paid_mad: float, confirmed: bool = False) -> Feedback:
        """Record the price that was paid. One that is far from the estimate must be `confirmed`."""
        body = {"prediction_id": prediction_id, "price_paid_mad": price_paid_mad, "confirmed": confirmed}
        return cast(Feedback, self._json("POST", "/v1/feedback", json=body))

    def withdraw(self, prediction_id: str) -> None:
        """Take back the price that was paid."""
        self._answer("DELETE", f"/v1/feedback/{quote(prediction_id, safe='')}")

    def predictions(self, filters: Mapping[str, str], page: int, page_size: int) -> PredictionsPage:
        """One page of the past predictions that match, newest first."""
        query = {**filters, "page": str(page), "page_size": str(page_size)}
        return cast(PredictionsPage, self._json("GET", "/v1/predictions", params=query))

    def predictions_csv(self, filters: Mapping[str, str]) -> bytes:
        """All past predictions that match, as CSV."""
        return self._answer(
            "GET", "/v1/predictions", params=dict(filters), headers={"Accept": "text/csv"}
        ).content

    def comparison(self) -> Comparison:
        """Production beside staging."""
        return cast(Comparison, self._json("GET", "/v1/comparison"))

    def reports(self) -> list[Report]:
        """The pipeline's reports, newest first."""
        return cast(Reports, self._json("GET", "/v1/reports"))["reports"]

    def report(self, kind: str, name: str) -> str:
        """One report, a whole HTML page."""
        path = "/".join(quote(part, safe="") for part in (kind, name))
        return self._answer("GET", f"/v1/reports/{path}").content.decode("utf-8")

    def listings(self, query: Mapping[str, Any]) -> OffersPage:
        """A page of the cars on offer; `query` as the API names it."""
        return cast(OffersPage, self._json("GET", "/v1/listings", params=dict(query)))

    def listings_csv(self, query: Mapping[str, Any]) -> bytes:
        """All cars on offer that fit, as CSV."""
        return self._answer("GET", "/v1/listings.csv", params=dict(query)).content

    def listing(self, listing_id: str) -> OfferDetails:
        """All that is known of one listing."""
        return cast(OfferDetails, self._json("GET", f"/v1/listings/{quote(listing_id, safe='')}"))

    def market(self, make: str | None, model: str | None, model_year: int | None) -> MarketFigures:
        """What the cars on offer of a scope cost; None: of all."""
        scope = {"make": make, "model": model, "model_year": model_year}
        query = {name: str(value) for name, value in scope.items() if value is not None}
        return cast(MarketFigures, self._json("GET", "/v1/market", params=query))

    def save_watch(self, filters: WatchFilters) -> NewWatch:
        """Save a search that tells of new good offers, in the language that is on."""
        headers = {"Accept-Language": current()}
        return cast(NewWatch, self._json("POST", "/v1/watches", json=filters, headers=headers))

    def watch(self, secret: str) -> Watch:
        """A saved search and the offers that it told of."""
        return cast(Watch, self._json("GET", f"/v1/watches/{quote(secret, safe='')}"))

    def delete_watch(self, secret: str) -> None:
        """Delete a saved search."""
        self._answer("DELETE", f"/v1/watches/{quote(secret, safe='')}")

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self._parsed(self._answer(method, path, **request))

    def _parsed(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise ApiProblem("away", f"the answer of {self._url} is not JSON") from error

    def _answer(self, method: str, path: str, repeatable: bool = False, **request: Any) -> requests.Response:
        url = self._url + path
        try:
            try:
                answer = self._session.request(method, url, timeout=self._timeout, **request)
            except requests.ConnectionError:
                # The API may close an idle connection in the moment in which the app uses it again.
                answer = self._session.request(method, url, timeout=self._timeout, **request)
        except requests.RequestException as error:
            raise ApiProblem("away", f"{self._url} does not answer: {type(error).__name__}") from error
        if answer.ok or (repeatable and answer.status_code == 429):
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
    code = str(found.get("code") or "")
    if answer.status_code == 409 and code not in {"", "listings-gone"}:
        kind = "refused"
    # A 503 without a code comes from a proxy in front of the API.
    if code in UNAVAILABLE:
        kind = cast(Kind, code)
    errors = [_field_error(error) for error in found.get("errors") or [] if isinstance(error, dict)]
    params = found.get("params")
    return ApiProblem(kind, sentence, errors, code, params if isinstance(params, dict) else None)


def _field_error(found: dict[str, Any]) -> FieldError:
    params = found.get("params")
    return {
        "field": str(found.get("field")),
        "value": found.get("value"),
        "accepted": str(found.get("accepted") or ""),
        "code": str(found.get("code") or ""),
        "params": params if isinstance(params, dict) else {},
    }


def _seconds(header: str | None) -> float:
    try:
        return max(float(header or 1), 0.1)
    except ValueError:
        return 1.0


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
