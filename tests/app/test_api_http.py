"""The API does what HTTP clients take for granted."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import LOGAN, Api, running_api

from price_api.access import LARGEST_SINGLE
from price_api.settings import SettingError, Settings

JSON = {"Content-Type": "application/json"}
ORIGIN = "https://shop.example"
CSV_OF_TWO = (
    "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant\nDacia;Logan;2015;120000;Diesel\nx;y;z;1;2\n"
)


def code_of(answer: requests.Response) -> str:
    return str(answer.json()["code"])


@pytest.fixture(scope="module")
def open_to_pages(
    trained_data: Path, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API that pages of another origin may call, and that lets each caller send few requests at once."""
    with running_api(
        tmp_path_factory.mktemp("cors"), trained_data, mlflow_address, CARPRICE_API_CORS_ORIGINS=ORIGIN,
        CARPRICE_API_REQUESTS_PER_SECOND="0.5", CARPRICE_API_BURST="50",
    ) as running:  # fmt: skip
        yield running


def test_a_request_id_is_taken_or_made_echoed_logged_and_in_every_error(api: Api) -> None:
    taken = api.get("/v1/nothing", headers={"X-Request-ID": "order-17/2"})
    assert taken.headers["X-Request-ID"] == "order-17/2"
    assert taken.json()["request_id"] == "order-17/2"
    assert taken.json()["instance"] == "urn:carprice:request:order-17/2"
    made = [api.get("/v1/model").headers["X-Request-ID"] for _ in range(2)]
    assert made[0] != made[1]
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = api.get("/v1/model", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert traced.headers["X-Request-ID"] == trace
    for bad in ("x" * 200, "a b", "<script>"):
        other = api.get("/v1/nothing", headers={"X-Request-ID": bad})
        assert other.headers["X-Request-ID"] == other.json()["request_id"] != bad
    assert "[order-17/2] GET other was answered with status 404" in api.log.read_text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/model", "/v1/choices", "/v1/predictions"])
def test_head_says_what_get_says_without_the_body(api: Api, path: str) -> None:
    head = api.session.head(f"{api.address}{path}", timeout=60)
    got = api.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


def test_options_names_the_methods_of_a_path(api: Api) -> None:
    def allowed(path: str) -> set[str]:
        answer = api.session.options(f"{api.address}{path}", timeout=60)
        assert (answer.status_code, answer.content) == (204, b"")
        return set(answer.headers["Allow"].split(", "))

    assert allowed("/v1/model") == {"GET", "HEAD", "OPTIONS"}
    assert allowed("/v1/predict") == {"POST", "OPTIONS"}
    assert api.session.options(f"{api.address}/v1/nothing", timeout=60).status_code == 404
    refused = api.session.delete(f"{api.address}/v1/model", timeout=60)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_pages_of_the_origins_of_the_setting_may_call_and_others_may_not(
    api: Api, open_to_pages: Api
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    def preflight(of: Api, origin: str) -> requests.Response:
        headers = {"Origin": origin} | asked
        return of.session.options(f"{of.address}/v1/predict", headers=headers, timeout=60)

    good = preflight(open_to_pages, ORIGIN)
    assert good.status_code == 200
    assert good.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in good.headers["Access-Control-Allow-Methods"]
    answer = open_to_pages.post("/v1/predict", LOGAN, headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in preflight(open_to_pages, "https://other.example").headers
    assert "Access-Control-Allow-Origin" not in preflight(api, ORIGIN).headers


def test_origins_that_are_none_stop_the_start() -> None:
    assert Settings.from_environment({"CARPRICE_API_CORS_ORIGINS": f"{ORIGIN}, *"}).origins == [ORIGIN, "*"]
    with pytest.raises(SettingError, match=r"shop\.example"):
        Settings.from_environment({"CARPRICE_API_CORS_ORIGINS": "shop.example"})


def test_a_compressed_body_is_read_and_another_encoding_is_refused(api: Api) -> None:
    packed = gzip.compress(json.dumps(LOGAN).encode())
    plain = api.post("/v1/predict", LOGAN).json()
    for body in (
        packed,
        gzip.compress(json.dumps(LOGAN)[:10].encode()) + gzip.compress(json.dumps(LOGAN)[10:].encode()),
    ):
        answer = api.post("/v1/predict", data=body, headers=JSON | {"Content-Encoding": "gzip"})
        assert answer.json()["price_mad"] == plain["price_mad"]
    other = api.post("/v1/predict", data=packed, headers=JSON | {"Content-Encoding": "br"})
    assert (other.status_code, code_of(other)) == (415, "unsupported-encoding")
    assert other.headers["Accept-Encoding"] == "gzip"
    for damaged in (b"{}", packed[:20]):
        refused = api.post("/v1/predict", data=damaged, headers=JSON | {"Content-Encoding": "gzip"})
        assert (refused.status_code, code_of(refused)) == (400, "invalid-gzip")


def test_a_body_that_is_small_only_while_compressed_is_refused(api: Api) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < LARGEST_SINGLE
    begun = time.monotonic()
    refused = api.post("/v1/predict", data=bomb, headers=JSON | {"Content-Encoding": "gzip"})
    assert (refused.status_code, code_of(refused)) == (413, "body-too-large")
    assert time.monotonic() - begun < 20


def test_large_answers_are_compressed_for_whoever_takes_them(api: Api) -> None:
    packed = api.get("/v1/choices", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    plain = api.get("/v1/choices", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == packed.json()


@pytest.mark.parametrize("path", ["/v1/choices", "/v1/model", "/v1/model/card"])
def test_what_has_not_changed_is_not_sent_again(api: Api, path: str) -> None:
    first = api.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = api.get(path, headers={"If-None-Match": f'"another", {first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert api.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_caller_sees_how_much_of_its_rate_is_left(open_to_pages: Api) -> None:
    before, after = (open_to_pages.get("/v1/model").headers for _ in range(2))
    assert (before["RateLimit-Limit"], before["RateLimit-Policy"]) == ("50", "50;w=100")
    left = int(before["RateLimit-Remaining"])
    assert int(after["RateLimit-Remaining"]) in (left - 1, left)
    assert 0 < int(after["RateLimit-Reset"]) <= 100


def test_a_slash_at_the_end_of_a_path_counts_for_nothing(api: Api) -> None:
    answer = api.post("/v1/predict/", LOGAN, allow_redirects=False)
    assert answer.status_code == 200
    assert api.get("/v1/model/", allow_redirects=False).status_code == 200
    assert api.get("/healthz/", allow_redirects=False).status_code == 200


def test_a_wrong_key_is_told_apart_even_where_none_is_needed(api: Api) -> None:
    assert api.get("/v1/model").status_code == 200
    for headers in ({"Authorization": "Bearer cp_wrong"}, {"X-API-Key": "cp_" + "w" * 43}):
        refused = api.get("/v1/model", headers=headers)
        assert (refused.status_code, code_of(refused)) == (401, "key-unneeded")
        assert "leave the key out" in refused.json()["detail"]


def test_a_file_of_a_form_is_priced_as_the_file_itself(api: Api) -> None:
    plain = api.post(
        "/v1/predict/batch", data=CSV_OF_TWO.encode(), headers={"Content-Type": "text/csv"}
    ).json()
    form = api.post("/v1/predict/batch", files={"file": ("cars.csv", CSV_OF_TWO.encode(), "text/csv")}).json()
    assert [row.get("price_mad") for row in form["predictions"]] == [
        row.get("price_mad") for row in plain["predictions"]
    ]
    two = {name: ("cars.csv", CSV_OF_TWO.encode(), "text/csv") for name in ("one", "other")}
    refused = api.post("/v1/predict/batch", files=two)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "one_file"


def csv_of(api: Api, **headers: str) -> list[dict[str, str]]:
    answer = api.post(
        "/v1/predict/batch",
        [LOGAN | {"asking_price": 60_000}, LOGAN | {"model": "Zorglub"}, {"make": "x"}],
        headers={"Accept": "text/csv"} | headers,
    )
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_csv_answer_carries_what_the_json_answer_carries(api: Api) -> None:
    asked = LOGAN | {"asking_price": 60_000}
    batch = api.post("/v1/predict/batch", [asked]).json()
    (single,) = batch["predictions"]
    row, unknown, refused = csv_of(api)
    assert single["asking_price"] == api.post("/v1/predict", asked).json()["asking_price"]
    assert row["verdict"] == single["asking_price"]["verdict"]
    assert int(row["difference_mad"]) == single["asking_price"]["difference_mad"]
    assert float(row["difference_share"]) == single["asking_price"]["difference_share"]
    assert [int(row[name]) for name in ("predicted_price_mad", "low_mad", "high_mad")] == [
        single[name] for name in ("price_mad", "low_mad", "high_mad")
    ]
    assert (float(row["interval_coverage"]), row["model_version"]) == (batch["interval_coverage"], "1")
    logged = api.get(f"/v1/predictions/{row['prediction_id']}").json()
    assert logged["price_mad"] == single["price_mad"]
    assert (unknown["evidence"], unknown["low_mad"], unknown["interval_coverage"]) == ("none", "", "")
    assert (refused["predicted_price_mad"], refused["prediction_id"]) == ("", "")


def test_a_csv_answer_is_in_the_language_asked_for(api: Api) -> None:
    def said(language: str) -> tuple[str, str]:
        _, unknown, refused = csv_of(api, **{"Accept-Language": language})
        return unknown["warnings"], refused["problem"]

    for language in ("fr", "fr-MA, en;q=0.5", "ar;q=0.2, fr;q=0.9, en;q=0.4"):
        assert said(language)[0].startswith(
            "Le modèle « Zorglub » n'est pas connu".replace("« ", "«\u00a0").replace(" »", "\u00a0»")
        )
        assert "vide ou inconnu" in said(language)[1]
    for language in ("", "en", "de", "*"):
        assert "does not know the model 'Zorglub'" in said(language)[0]
    for language in ("ar", "ar-MA,fr;q=0.5"):
        assert said(language)[0].startswith("الموديل «\u2068Zorglub\u2069» غير معروف")
        assert "فارغ أو غير معروف" in said(language)[1]


@pytest.mark.parametrize(
    ("asked", "language", "detail", "accepted"),
    [
        ("", "en", "expected", "a year such as 2015"),
        ("de", "en", "expected", "a year such as 2015"),
        ("fr-MA, ar;q=0.5", "fr", "n'est pas accepté", "une année comme 2015"),
        ("ar-MA, ar;q=0.9, en;q=0.1", "ar", "غير مقبولة", "سنة مثل 2015"),
    ],
)
def test_a_problem_is_told_in_the_language_asked_for(
    api: Api, asked: str, language: str, detail: str, accepted: str
) -> None:
    answer = api.post("/v1/predict", {**LOGAN, "model_year": "soon"}, headers={"Accept-Language": asked})
    found = answer.json()
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert (found["code"], found["title"]) == ("invalid-values", HTTPStatus(422).phrase)
    assert detail in found["detail"]
    assert found["errors"][0]["accepted"].startswith(accepted)
    for other in (api.get("/v1/nothing", headers={"Accept-Language": asked}), api.get("/v1/predict")):
        assert other.json()["detail"]
        assert other.headers["Content-Language"] in {language, "en"}


def test_errors_of_every_kind_have_the_id_of_their_request(api: Api) -> None:
    def problems() -> Iterator[tuple[requests.Response, int]]:
        yield api.get("/v1/nothing"), 404
        yield api.get("/v1/predict"), 405
        yield api.post("/v1/predict", data=b"{", headers=JSON), 400
        yield api.post("/v1/predict", data=b"0" * 100_000, headers=JSON), 413
        yield api.post("/v1/predict", data=b"{}", headers={"Content-Type": "text/plain"}), 415
        yield api.post("/v1/predict", {}), 422
        yield api.get("/v1/predictions?page=x"), 422

    for answer, status in problems():
        found: dict[str, Any] = answer.json()
        assert answer.status_code == status
        assert found["type"] == f"urn:carprice:problem:{found['code']}"
        assert found["request_id"] == answer.headers["X-Request-ID"]
        assert found["instance"].endswith(found["request_id"])
