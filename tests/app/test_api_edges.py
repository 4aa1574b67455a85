"""At the edges of what the model knows the API says so, and claims nothing."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from conftest import LOGAN, Api

JSON = {"Content-Type": "application/json"}


def priced(api: Api, **change: Any) -> dict[str, Any]:
    answer = api.post("/v1/predict", LOGAN | change)
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(warning["code"], warning["field"]) for warning in answer["warnings"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"make": "Ferrari", "model": "F40", "model_year": 1990}, "unknown_make"),
        ({"model": "Zorglub"}, "unknown_model"),
        ({"model_year": 1951}, "outside_training_range"),
        ({"mileage": 1_900_000}, "outside_training_range"),
        ({"condition": "Pour Pièces"}, "for_parts"),
    ],
)
def test_a_car_that_the_model_cannot_know_gets_no_interval_and_no_verdict(
    api: Api, change: dict[str, Any], reason: str
) -> None:
    found = priced(api, **change, asking_price=5_000_000)
    assert reason in [code for code, _ in codes(found)]
    assert found["evidence"] == "none"
    assert found["low_mad"] is found["high_mad"] is found["interval_coverage"] is None
    assert found["asking_price"]["verdict"] is None
    row = api.post("/v1/predict/batch", [LOGAN | change | {"asking_price": 5_000_000}]).json()["predictions"][
        0
    ]
    assert (row["evidence"], row["low_mad"], row["high_mad"]) == ("none", None, None)
    assert row["asking_price"]["verdict"] is None
    logged = api.get(f"/v1/predictions/{found['prediction_id']}").json()
    assert (logged["evidence"], logged["low_mad"]) == ("none", None)


def test_a_fuel_that_no_listing_of_the_model_has_leaves_no_range(api: Api) -> None:
    makes = api.get("/v1/choices").json()["makes"]
    _, make, model = max(
        (known["count"], make, model)
        for make, of in makes.items()
        for model, known in of["models"].items()
        if "Hybride" not in known["fuels"]
    )
    usual, change = {"make": make, "model": model}, {"make": make, "model": model, "fuel": "Hybride"}
    assert priced(api, **usual)["evidence"] == "usual"
    found = priced(api, **change, asking_price=5_000_000)
    assert ("few_with_fuel", "fuel") in codes(found)
    assert (found["evidence"], found["interval_coverage"]) == ("none", None)
    assert (found["low_mad"], found["high_mad"]) == (None, None)
    assert found["asking_price"]["verdict"] is None
    batch = api.post("/v1/predict/batch", [LOGAN | change]).json()["predictions"]
    assert [row["evidence"] for row in batch] == ["none"]
    table = f"make,model,model_year,mileage,fuel\n{make},{model},2015,120000,Hybride\n"
    as_csv = {"Content-Type": "text/csv", "Accept": "text/csv"}
    answer = api.post("/v1/predict/batch", data=table.encode(), headers=as_csv)
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["evidence"] == "none"
    assert "Hybride" in row["warnings"]


def test_a_usual_car_has_all_of_them(api: Api) -> None:
    found = priced(api, asking_price=priced(api)["price_mad"])
    assert (found["evidence"], found["interval_coverage"]) == ("usual", 0.9)
    assert found["low_mad"] < found["price_mad"] < found["high_mad"]
    assert found["asking_price"]["verdict"] == "fair"


def test_a_point_beyond_the_data_has_no_interval(api: Api) -> None:
    found = api.post(
        "/v1/what-if", {"listing": LOGAN, "mileage_km": [10, 100_000], "model_year": [1951, 2015]}
    ).json()
    (unsaid, usual), (old, _) = found["mileage_km"], found["model_year"]
    assert codes(unsaid) == [("doubtful_mileage", "mileage")]
    assert codes(usual) == []
    assert codes(old) == [("outside_training_range", "model_year")]
    assert (old["low_mad"], old["high_mad"]) == (None, None)


def test_a_mileage_that_is_small_for_the_age_says_why_its_price_is_lower(api: Api) -> None:
    assert codes(priced(api, mileage=20_000)) == [("low_mileage", "mileage")]
    assert codes(priced(api, mileage=60_000)) == []


@pytest.mark.parametrize("field", ["district", "trim", "url", "listing_id"])
def test_a_field_that_changes_nothing_says_so(api: Api, field: str) -> None:
    found = priced(api, **{field: "Zzz"})
    assert codes(found) == [("not_used_by_model", field)]
    assert found["price_mad"] == priced(api)["price_mad"]


@pytest.mark.parametrize("least", [{}, {"mileage": None}])
def test_a_largest_mileage_alone_changes_nothing_and_says_so(api: Api, least: dict[str, Any]) -> None:
    car = {name: value for name, value in LOGAN.items() if name != "mileage"} | least
    found = api.post("/v1/predict", car | {"mileage_km_max": 50_000})
    assert codes(found.json()) == [("unknown_mileage", "mileage"), ("not_used_by_model", "mileage_km_max")]
    assert api.post("/v1/explain", car | {"mileage_km_max": 50_000}).status_code == 200


def test_explanation_and_what_if_and_comparables_warn_as_a_prediction_does(api: Api) -> None:
    odd = LOGAN | {"model": "Zorglub", "colour": "red", "district": "Agdal"}
    expected = priced(api, **odd)["warnings"]
    assert {code for code, _ in codes({"warnings": expected})} == {
        "unknown_model", "ignored_field", "not_used_by_model"
    }  # fmt: skip
    assert api.post("/v1/explain", odd).json()["warnings"] == expected
    assert api.post("/v1/what-if", {"listing": odd}).json()["warnings"] == expected
    assert api.get("/v1/comparables", params=odd).json()["warnings"] == expected


@pytest.mark.parametrize("name", ["asking_price", "price_mad", "Prix", "prix_demande", "Prix demandé"])
def test_an_asking_price_is_understood_under_each_of_its_names(api: Api, name: str) -> None:
    found = priced(api, **{name: 90_000})
    assert found["asking_price"]["price_mad"] == 90_000
    assert found["warnings"] == []
    (row,) = api.post("/v1/predict/batch", [LOGAN | {name: "90 000 DH"}]).json()["predictions"]
    assert row["asking_price"] == found["asking_price"]


@pytest.mark.parametrize(
    ("twice", "other"),
    [({"Marque": "Fiat"}, "make"), ({"mileage_km": 5}, "mileage"), ({"Prix": 7, "price_mad": 8}, "Prix")],
)
def test_a_field_that_is_given_twice_is_named(api: Api, twice: dict[str, Any], other: str) -> None:
    listing = LOGAN | twice
    name = list(twice)[-1]
    for path, body in (
        ("predict", listing), ("explain", listing), ("what-if", {"listing": listing})
    ):  # fmt: skip
        refused = api.post(f"/v1/{path}", body)
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert (error["field"], error["code"], error["params"]["other"]) == (name, "given_twice", other)
    (row,) = api.post("/v1/predict/batch", [listing]).json()["predictions"]
    assert row["errors"][0]["code"] == "given_twice"


def test_a_field_that_is_given_twice_with_one_value_counts_once(api: Api) -> None:
    found = priced(api, **{"Année-Modèle": "2015.0", "Marque": "DACIA"})
    assert sorted(codes(found)) == [("duplicate_field", "Année-Modèle"), ("duplicate_field", "Marque")]
    assert found["price_mad"] == priced(api)["price_mad"]


@pytest.mark.parametrize("path", ["predict", "explain", "predict/batch"])
def test_a_key_that_stands_twice_in_the_json_is_named(api: Api, path: str) -> None:
    body = json.dumps(LOGAN)[:-1] + ', "make": "Fiat"}'
    body = f"[{body}]" if path.endswith("batch") else body
    refused = api.post(f"/v1/{path}", data=body, headers=JSON)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["code"], error["value"]) == ("make", "repeated_key", "2 times")
    colons = LOGAN | {"model": 'a": b "c" :'}
    assert api.post("/v1/predict", colons).status_code == 200


def test_whole_numbers_have_one_spelling(api: Api) -> None:
    for year in (2015, 2015.0, "2015", "2015.0"):
        answer = api.post("/v1/predict", LOGAN | {"model_year": year})
        assert '"model_year":2015,' in answer.text.replace(" ", "")
    assert '"mileage_km_min":120000,' in answer.text.replace(" ", "")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/what-if", {"listing": LOGAN, "milage_km": [1]}, "milage_km"),
        ("/v1/feedback", {"prediction_id": "f" * 32, "price_paid_mad": 9_000, "note": "x"}, "note"),
        ("/v1/predict/batch", {"listings": [], "rows": 3}, "rows"),
    ],
)
def test_a_member_that_a_body_does_not_have_is_named(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    refused = api.post(path, body)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["code"]) == (field, "known_field")
    assert all(name in error["accepted"] for name in error["params"]["known"])
