"""The API keeps the promises of its own OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
import schemathesis
from conftest import LOGAN, Api
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode

OPERATIONS = {
    "POST /v1/predict",
    "POST /v1/predict/batch",
    "POST /v1/explain",
    "POST /v1/what-if",
    "GET /v1/comparables",
    "GET /v1/choices",
    "GET /v1/model",
    "GET /v1/model/card",
    "POST /v1/feedback",
    "DELETE /v1/feedback/{prediction_id}",
    "GET /v1/predictions",
    "GET /v1/predictions/{prediction_id}",
    "GET /v1/comparison",
    "GET /v1/reports",
    "GET /v1/reports/{kind}/{name}",
    "GET /v1/listings",
    "GET /v1/listings.csv",
    "GET /v1/listings/{listing_id}",
    "GET /v1/market",
    "POST /v1/watches",
    "GET /v1/watches",
    "GET /v1/watches/{secret}",
    "DELETE /v1/watches/{secret}",
    "GET /v1/watches/{secret}/feed",
}


# Nothing can be wrong about these: they take nothing, or any text as a name.
NEVER_INVALID = {
    f"GET /v1/{name}"
    for name in (
        "choices", "model", "model/card", "comparison", "reports", "predictions/{prediction_id}",
        "reports/{kind}/{name}", "listings/{listing_id}", "watches", "watches/{secret}",
        "watches/{secret}/feed",
    )
} | {"DELETE /v1/feedback/{prediction_id}", "DELETE /v1/watches/{secret}"}  # fmt: skip


@pytest.fixture(scope="module")
def schema(api: Api) -> Any:
    return schemathesis.openapi.from_url(f"{api.address}/openapi.json")


@pytest.mark.parametrize(
    ("operation", "mode"),
    [(operation, GenerationMode.POSITIVE) for operation in sorted(OPERATIONS)]
    + [(operation, GenerationMode.NEGATIVE) for operation in sorted(OPERATIONS - NEVER_INVALID)],
)
def test_no_request_within_or_beyond_the_document_is_an_error_of_the_service(
    schema: Any, operation: str, mode: GenerationMode
) -> None:
    method, path = operation.split(" ", 1)
    cases = schema[path][method].as_strategy(generation_mode=mode)

    @seed(20240501)
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def ask(case: Any) -> None:
        answer = case.call()
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert answer.json()["detail"]

    ask()


def test_the_document_lists_every_path_with_an_example_in_both_languages(api: Api) -> None:
    document = api.get("/openapi.json").json()
    found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert found >= OPERATIONS | {"GET /healthz", "GET /readyz", "GET /metrics"}
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    prices = [api.post("/v1/predict", e["value"]).json()["price_mad"] for e in body["examples"].values()]
    assert len(prices) == 2
    references = set(re.findall(r"#/components/schemas/(\w+)", api.get("/openapi.json").text))
    assert references <= set(document["components"]["schemas"])


def test_the_documentation_page_needs_nothing_from_elsewhere(api: Api) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href)="https?://', page.text)
    for operation in OPERATIONS:
        assert operation.split()[1].replace("{", "{") in page.text
    assert "Année-Modèle" in page.text
    assert "curl" in page.text


def test_answers_have_the_shape_that_the_document_gives(api: Api) -> None:
    import jsonschema

    document = api.get("/openapi.json").json()

    def check(name: str, answer: requests.Response) -> None:
        assert answer.ok, answer.text
        schema_of = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.validate(answer.json(), schema_of)

    check("Priced", api.post("/v1/predict", LOGAN | {"price_mad": 90_000, "x": 1}))
    check("Batch", api.post("/v1/predict/batch", [LOGAN, {}]))
    check("Explained", api.post("/v1/explain", LOGAN))
    check("WhatIf", api.post("/v1/what-if", {"listing": LOGAN, "mileage_km": [1.5], "model_year": [2012]}))
    check("Comparables", api.get("/v1/comparables", params=LOGAN))
    check("ModelAbout", api.get("/v1/model"))
    check("PredictionsPage", api.get("/v1/predictions"))
    check("Reports", api.get("/v1/reports"))
    check("OffersPage", api.get("/v1/listings", params={"label": ["good_price", "not_rated"]}))
    listing_id = api.get("/v1/listings").json()["listings"][0]["listing_id"]
    details = api.get(f"/v1/listings/{listing_id}")
    check("OfferDetails", details)
    assert details.json()["explanation"]["contributions"]
    assert len(details.json()["nearest"]["comparables"]) == 8
    check("MarketFigures", api.get("/v1/market", params={"make": "Dacia"}))
    made = api.post("/v1/watches", {"make": "Dacia", "labels": ["good_price"]})
    check("NewWatch", made)
    check("Watch", api.get(f"/v1/watches/{made.json()['secret']}"))
    check("Watches", api.get("/v1/watches"))
    prediction_id = api.post("/v1/predict", LOGAN).json()["prediction_id"]
    check(
        "Feedback",
        api.post(
            "/v1/feedback", {"prediction_id": prediction_id, "price_paid_mad": 9_000_000, "confirmed": True}
        ),
    )
