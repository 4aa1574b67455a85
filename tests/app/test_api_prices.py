"""Prices, and what is said about them, by a running API on a trained system."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from conftest import LOGAN, Api, carprice

from price_api.batch import Unpriced, from_csv
from price_api.pricing import PricingRequest

FRENCH = {
    "Marque": "Dacia",
    "Modèle": "Logan",
    "Année-Modèle": "2015",
    "Kilométrage": "120 000 - 129 999",
    "Type de carburant": "Diesel",
    "Puissance fiscale": "6 CV",
    "Boite de vitesses": "Manuelle",
    "Climatisation": "Oui",
}


def priced(api: Api, listing: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/v1/predict", listing)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_french_headers_and_canonical_names_get_the_same_price(api: Api) -> None:
    french, canonical = priced(api, FRENCH), priced(api, LOGAN)
    assert french.pop("prediction_id") != canonical.pop("prediction_id")
    assert french == canonical
    assert 0 < french["low_mad"] <= french["price_mad"] <= french["high_mad"]
    assert french["model"] == {"name": "CarPricePredictor", "version": "1", "alias": "production"}
    assert french["listing"]["mileage_km_max"] == 129_999
    assert french["interval_coverage"] == 0.9
    assert french["asking_price"] is None
    assert french["warnings"] == []


def test_the_price_is_the_one_that_the_command_line_gives(
    api: Api, trained_data: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "cars.csv", tmp_path / "priced.csv"
    with open(source, "w", newline="") as file:
        writer = csv.DictWriter(file, FRENCH)
        writer.writeheader()
        writer.writerow(FRENCH)
        writer.writerow(FRENCH | {"Modèle": "Xyz", "Kilométrage": "5 000", "Climatisation": ""})
    carprice(trained_data, "predict", str(source), "-o", str(target))
    with open(target) as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        answer = priced(api, {name: row[name] for name in FRENCH})
        assert [row[name] for name in ("predicted_price_mad", "low_mad", "high_mad")] == [
            "" if answer[name] is None else str(answer[name]) for name in ("price_mad", "low_mad", "high_mad")
        ]
    batch = api.post(
        "/v1/predict/batch",
        data=source.read_bytes(),
        headers={"Content-Type": "text/csv", "Accept": "text/csv"},
    )
    answered = list(csv.DictReader(io.StringIO(batch.text)))
    assert [{name: row[name] for name in rows[0]} for row in answered] == rows
    assert rows[0]["warnings"] == ""
    assert "'Xyz'" in rows[1]["warnings"]
    assert [row["evidence"] for row in rows] == ["usual", "none"]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"make": "Zorglub"}, "unknown_make", "make"),
        ({"model": "Zorglub"}, "unknown_model", "model"),
        ({"fuel": "Charbon"}, "unknown_value", "fuel"),
        ({"model_year": 1951}, "outside_training_range", "model_year"),
        ({"mileage": 1_900_000}, "outside_training_range", "mileage"),
        ({"fiscal_power_cv": 150}, "outside_training_range", "fiscal_power_cv"),
        ({"colour": "red"}, "ignored_field", "colour"),
    ],
)
def test_a_price_that_rests_on_less_says_so(api: Api, change: dict[str, Any], code: str, field: str) -> None:
    warnings = priced(api, LOGAN | change)["warnings"]
    assumed = [("unknown_fuel", "fuel")] if field == "fuel" else []
    assert [(w["code"], w["field"]) for w in warnings] == [(code, field), *assumed]
    assert warnings[0]["message"].endswith(".")
    assert warnings[0]["params"]["value"] in (*change.values(), *change)


def newest_day(api: Api) -> str:
    """The newest day whose prices the model in production learned."""
    found = api.post("/v1/explain", LOGAN).json()["contributions"]
    (market,) = (each for each in found if each["group"] == "market")
    assert (market["columns"], market["contribution_mad"]) == (["asked_on"], 0)
    return str(market["value"])


def test_a_price_may_be_asked_for_a_day(api: Api) -> None:
    today, day = priced(api, LOGAN), newest_day(api)
    assert "asked_on" not in today["listing"]
    of_the_day = priced(api, LOGAN | {"asked_on": day})
    assert of_the_day["listing"] == today["listing"] | {"asked_on": day}
    # all its prices are of one day, so it knows no other level of the market
    assert (of_the_day["price_mad"], of_the_day["warnings"]) == (today["price_mad"], [])
    for asked_on, code in (("1999-12-31", "asked_before_learned"), ("31/12/2099", "asked_after_learned")):
        found = priced(api, LOGAN | {"asked_on": asked_on})
        assert found["price_mad"] == today["price_mad"]
        (warning,) = found["warnings"]
        assert (warning["code"], warning["field"], warning["params"]["bound"]) == (code, "asked_on", day)
        assert day in warning["message"]
    for path, body in (
        ("explain", LOGAN | {"asked_on": day}),
        ("what-if", {"listing": LOGAN | {"asked_on": day}, "mileage_km": [50_000]}),
    ):
        assert api.post(f"/v1/{path}", body).status_code == 200
    assert api.get("/v1/comparables", params=LOGAN | {"asked_on": day}).json()["comparables"]


@pytest.mark.parametrize("path", ["predict", "explain"])
def test_a_day_that_is_none_is_refused(api: Api, path: str) -> None:
    refused = api.post(f"/v1/{path}", LOGAN | {"asked_on": "next week"})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["value"], error["code"]) == ("asked_on", "next week", "not_a_date")


def test_each_row_of_a_batch_may_have_its_day(api: Api) -> None:
    rows = [LOGAN, LOGAN | {"asked_on": "1999-12-31"}, LOGAN | {"asked_on": "soon"}]
    first, old, bad = api.post("/v1/predict/batch", rows).json()["predictions"]
    assert first["warnings"] == []
    assert [warning["code"] for warning in old["warnings"]] == ["asked_before_learned"]
    assert [(error["field"], error["code"]) for error in bad["errors"]] == [("asked_on", "not_a_date")]
    text = "Marque,Modèle,Année-Modèle,Kilométrage,Type de carburant,asked_on\n"
    text += "".join(f"Dacia,Logan,2015,120000,Diesel,{day}\n" for day in ("", "1999-12-31", "soon"))
    sent = api.post("/v1/predict/batch", data=text.encode(), headers={"Content-Type": "text/csv"})
    first, old, bad = sent.json()["predictions"]
    assert first["warnings"] == []
    assert [warning["code"] for warning in old["warnings"]] == ["asked_before_learned"]
    assert [(error["field"], error["code"]) for error in bad["errors"]] == [("asked_on", "not_a_date")]
    assert bad["problem"].startswith("asked_on: not a date")


@pytest.mark.parametrize("hidden", [["mileage"], ["fuel"], ["mileage", "fuel"]])
def test_a_car_without_mileage_or_fuel_gets_a_wider_interval_and_warnings(
    api: Api, hidden: list[str]
) -> None:
    known = {name: value for name, value in LOGAN.items() if name not in hidden}
    full, partial = priced(api, LOGAN), priced(api, known)
    assert {w["code"] for w in partial["warnings"]} == {f"unknown_{name}" for name in hidden}
    assert all(w["message"].endswith("the range is wider.") for w in partial["warnings"])
    assert partial["high_mad"] / partial["low_mad"] > full["high_mad"] / full["low_mad"]
    assert partial["low_mad"] <= partial["price_mad"] <= partial["high_mad"]
    assert priced(api, known | dict.fromkeys(hidden))["price_mad"] == partial["price_mad"]
    for path, body in (("explain", known), ("what-if", {"listing": known, "mileage_km": [50_000]})):
        assert api.post(f"/v1/{path}", body).status_code == 200
    query = "&".join(f"{name}={known[name]}" for name in known)
    assert api.get(f"/v1/comparables?{query}").json()["comparables"]


def test_a_mileage_that_is_taken_as_not_filled_in_has_a_warning(api: Api) -> None:
    (warning,) = priced(api, LOGAN | {"mileage": 10})["warnings"]
    assert (warning["code"], warning["field"]) == ("doubtful_mileage", "mileage")


def test_an_asking_price_gets_a_verdict(api: Api) -> None:
    estimate = priced(api, LOGAN)
    for asked, verdict in (
        (estimate["price_mad"], "fair"),
        (estimate["low_mad"] - 500, "low"),
        (estimate["high_mad"] + 500, "high"),
        (estimate["price_mad"] * 10, "implausible"),
        (estimate["price_mad"] // 10, "implausible"),
    ):
        found = priced(api, LOGAN | {"price_mad": asked})["asking_price"]
        assert found["verdict"] == verdict
        assert found["difference_mad"] == asked - estimate["price_mad"]


def test_a_batch_prices_what_it_can_and_says_what_is_wrong_with_the_rest(api: Api) -> None:
    batch = api.post(
        "/v1/predict/batch", {"listings": [LOGAN, LOGAN | {"model_year": 3000}, FRENCH, 7]}
    ).json()
    assert (batch["rows"], batch["priced"]) == (4, 2)
    first, bad, third, no_listing = batch["predictions"]
    assert [row["row"] for row in batch["predictions"]] == [1, 2, 3, 4]
    assert first["price_mad"] == third["price_mad"] == priced(api, LOGAN)["price_mad"]
    assert bad["errors"][0]["field"] == "model_year"
    assert bad["errors"][0]["value"] == "3000"
    assert "3000" in bad["problem"]
    assert "object" in no_listing["problem"]
    assert (bad["code"], bad["params"]) == ("invalid-values", {"fields": ["model_year"]})
    assert no_listing["code"] == "not-an-object"


def test_a_csv_file_in_the_encoding_of_a_spreadsheet_is_priced_row_by_row(api: Api) -> None:
    lines = [
        ";".join(FRENCH),
        ";".join(FRENCH.values()),
        ";".join((FRENCH | {"Année-Modèle": "beaucoup"}).values()),
        "x",
    ]
    body = "\r\n".join(lines).encode("cp1252")
    batch = api.post(
        "/v1/predict/batch", data=body, headers={"Content-Type": "text/csv; charset=utf-8"}
    ).json()
    assert (batch["rows"], batch["priced"]) == (3, 1)
    assert batch["predictions"][0]["price_mad"] == priced(api, LOGAN)["price_mad"]
    error = batch["predictions"][1]["errors"][0]
    assert (error["field"], error["value"]) == ("Année-Modèle", "beaucoup")
    assert "1 values" in batch["predictions"][2]["problem"]


def test_rows_whose_cells_have_moved_or_whose_title_tells_no_car_are_not_priced() -> None:
    head = "Marque;Modèle;Année-Modèle;Kilométrage;Puissance fiscale;Type de carburant;Boite de vitesses"
    right = "Dacia;Logan;2015;120 000;6 CV;Diesel;Manuelle"
    moved = "Dacia;Logan;2015;6 CV;Diesel;Manuelle;"
    moved_without_unit = "Dacia;Logan;2015;6;Diesel;Manuelle;"
    good, first, second = from_csv("\n".join([head, right, moved, moved_without_unit]).encode()).read(
        slice(0, 3)
    )
    assert isinstance(good, PricingRequest)
    assert isinstance(second, Unpriced)
    assert [(error["field"], error["code"]) for error in second.errors] == [
        ("Puissance fiscale", "moved_cells")
    ]
    assert "have moved" in second.sentence
    if isinstance(first, PricingRequest):
        assert first.listing["mileage_km_min"] is None
    titles = "Titre\n" + "Dacia Logan 2015 Diesel\n" * 12 + "Belle voiture à vendre 2015\n"
    nameless = from_csv(titles.encode()).read(slice(0, 13))[-1]
    assert isinstance(nameless, Unpriced)
    assert "title_names_no_make" in {error["code"] for error in nameless.errors}


def test_a_json_batch_comes_back_as_csv_when_asked(api: Api) -> None:
    answer = api.post("/v1/predict/batch", [LOGAN, {"make": "x"}], headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["make"] == "Dacia"
    assert int(rows[0]["predicted_price_mad"]) == priced(api, LOGAN)["price_mad"]
    assert rows[1]["predicted_price_mad"] == ""
    assert "model" in rows[1]["problem"]


def test_ten_thousand_rows_are_priced_and_one_more_is_refused(api: Api) -> None:
    head = "make,model,model_year,mileage,fuel\n"
    answer = api.post(
        "/v1/predict/batch",
        data=head + "Dacia,Logan,2015,100000,Diesel\n" * 10_000,
        headers={"Content-Type": "text/csv"},
    )
    assert answer.json()["priced"] == 10_000
    for rows in (10_001, 100_000):
        refused = api.post(
            "/v1/predict/batch",
            data=head + "Dacia,Logan,2015,100000,Diesel\n" * rows,
            headers={"Content-Type": "text/csv"},
        )
        assert refused.status_code == 413
        sentence = "expected at most 10,000 listings, found more; send them in several batches"
        assert refused.json()["detail"] == sentence
        refused = api.post("/v1/predict/batch", [{}] * rows)
        assert refused.status_code == 413
        assert refused.json()["detail"] == sentence.replace("more", f"{rows:,}")


@pytest.mark.parametrize(
    "change", [{}, {"make": "Zorglub"}, {"gps": True, "city": "Rabat", "condition": "Bon"}]
)
def test_contributions_add_up_to_the_price(api: Api, change: dict[str, Any]) -> None:
    found = api.post("/v1/explain", LOGAN | change).json()
    total = found["base_mad"] + sum(each["contribution_mad"] for each in found["contributions"])
    assert abs(total - found["price_mad"]) <= 1
    assert found["price_mad"] == priced(api, LOGAN | change)["price_mad"]
    groups = {each["group"]: each for each in found["contributions"]}
    assert groups["make_model"]["value"] == f"{change.get('make', 'Dacia')} Logan"
    assert groups["mileage"]["value"] == "120000 - 129999"
    assert len(groups) == 13


def test_comparables_are_listings_of_the_training_snapshot_most_similar_first(
    api: Api, trained_data: Path
) -> None:
    query = LOGAN | {"count": 5}
    found = api.get("/v1/comparables", params=query).json()
    snapshots = [path.name for path in (trained_data / "snapshots").iterdir()]
    assert found["snapshot_id"] in snapshots
    assert len(found["comparables"]) == 5
    similarities = [row["similarity"] for row in found["comparables"]]
    assert similarities == sorted(similarities, reverse=True)
    assert found["comparables"][0]["make"] == "Dacia"
    assert all(row["url"].startswith("http") and row["price_mad"] > 0 for row in found["comparables"])


def test_what_if_prices_the_same_car_with_other_values(api: Api) -> None:
    found = api.post(
        "/v1/what-if", {"listing": LOGAN, "mileage_km": [50_000, 250_000], "model_year": [2010, 2015]}
    ).json()
    fresh, worn = found["mileage_km"]
    assert fresh["mileage_km"] == 50_000
    assert fresh["price_mad"] > worn["price_mad"]
    assert found["model_year"][1] == {"model_year": 2015, "warnings": []} | {
        name: priced(api, LOGAN)[name] for name in ("price_mad", "low_mad", "high_mad")
    }


def test_choices_are_what_the_model_knows(api: Api) -> None:
    found = api.get("/v1/choices").json()
    logan = found["makes"]["Dacia"]["models"]["Logan"]
    assert logan["count"] > 0
    assert "Diesel" in logan["fuels"]
    counts = [make["count"] for make in found["makes"].values()]
    assert counts == sorted(counts, reverse=True)
    assert found["model"]["version"] == "1"


def test_the_model_tells_its_story(api: Api) -> None:
    found = api.get("/v1/model").json()
    assert found["version"] == "1"
    assert found["source"] == "registry"
    assert 0 < found["metrics"]["test_unflagged_mape"] < 1
    assert {gate["step"] for gate in found["gates"]} == {"promote_to_staging", "validate_staging_model"}
    assert found["training"]["files"][0]["file"] == "sample.csv"
    assert found["training"]["rows"] > 100
    assert found["promoted"]["action"] == "promotion"
    assert found["history"][-1]["version"] == "1"
    importances = [each["importance"] for each in found["importance"]]
    assert importances == sorted(importances, reverse=True)
    assert found["refused"] is None
    card = api.get("/v1/model/card")
    assert "Model card" in card.text
    assert "sandbox" in card.headers["Content-Security-Policy"]


def test_health_readiness_and_metrics_are_told(api: Api) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    ready = api.get("/readyz").json()
    assert (ready["status"], ready["version"], ready["mlflow"]) == ("ready", "1", "answers")
    priced(api, LOGAN)
    lines = api.get("/metrics").text.splitlines()
    for name in (
        'carprice_predictions_total{alias="production",source="predict",version="1"}',
        "carprice_prediction_seconds_count",
        'carprice_requests_total{path="/v1/predict",status="200"}',
        "carprice_production_version 1.0",
        "carprice_production_loaded_timestamp_seconds",
        "carprice_production_trained_timestamp_seconds",
        "carprice_mlflow_up 1.0",
        "carprice_model_refused_total 0.0",
        "carprice_prediction_log_queue",
        "carprice_prediction_log_dropped_total 0.0",
        "carprice_prediction_log_written_total",
        "carprice_feedback_total",
        "carprice_shadow_total",
        # what the pipeline left
        "carprice_promoted_version 1",
        "carprice_rows_accepted",
    ):
        assert any(line.startswith(name) for line in lines), name


def test_reports_are_listed_with_their_verdicts_and_served_where_they_can_harm_nobody(api: Api) -> None:
    reports = api.get("/v1/reports").json()["reports"]
    kinds = {report["kind"] for report in reports}
    assert {"quality", "pipeline", "models"} <= kinds
    times = [report["at"] for report in reports]
    assert times == sorted(times, reverse=True)
    verdicts = {report["kind"]: report["verdict"] for report in reports}
    assert (verdicts["quality"], verdicts["pipeline"]) == ("accepted", "promoted")
    for report in reports:
        page = api.get(f"/v1/reports/{report['kind']}/{report['name']}")
        assert page.headers["Content-Type"].startswith("text/html")
        assert page.headers["Content-Security-Policy"].startswith("sandbox allow-scripts;")
        assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_nothing_but_listed_reports_is_served(api: Api, trained_data: Path) -> None:
    manifest = next((trained_data / "snapshots").iterdir()).name
    secret = f"snapshots/{manifest}/manifest.json"
    for kind, name in itertools.product(
        ("quality", "pipeline", "..", "%2e%2e"),
        (f"../../{secret}", f"..%2f..%2f{secret}", "%2e%2e%2fx.html", ".hidden.html", "x.json", "none.html"),
    ):
        import urllib.parse
        import urllib.request

        address = f"{api.address}/v1/reports/{kind}/{name}"
        with pytest.raises(urllib.error.HTTPError) as refused:  # urllib sends the path as it stands
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30)
        assert refused.value.code == 404
