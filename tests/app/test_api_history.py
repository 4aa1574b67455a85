"""What the API remembers: predictions, prices really paid, exports."""

from __future__ import annotations

import csv
import io
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import LOGAN, REPOSITORY, Api, running_api
from databases import locked
from demo.supervisor import GRACE_SECONDS

from price_api.api_keys import ApiKeys
from price_api.services import REQUEST_SECONDS, STOP_SECONDS

DOCKERS_GRACE_SECONDS = 10


@pytest.fixture
def model(api: Api) -> str:
    """A car model that only this test's predictions are of."""
    return f"Model {uuid.uuid4().hex[:6].translate(str.maketrans('0123456789', 'ghijklmnop'))}"


def predicted(api: Api, model: str, **more: Any) -> dict[str, Any]:
    return api.post("/v1/predict", LOGAN | {"model": model} | more).json()


def test_a_prediction_can_be_found_again_and_told_what_was_paid(api: Api, model: str) -> None:
    answer = predicted(api, model, price_mad=99_000)
    path = f"/v1/predictions/{answer['prediction_id']}"
    logged = api.get(path).json()
    for name in ("prediction_id", "price_mad", "low_mad", "high_mad"):
        assert logged[name] == answer[name]
    assert logged["listing"]["model"] == model
    assert (logged["version"], logged["source"], logged["asking_price_mad"]) == ("1", "predict", 99_000)
    assert logged["price_paid_mad"] is None
    for paid, status in ((91_000, 201), ("92 000 DH", 200)):
        told = api.post("/v1/feedback", {"prediction_id": answer["prediction_id"], "price_paid_mad": paid})
        assert told.status_code == status
    assert api.get(path).json()["price_paid_mad"] == 92_000
    assert api.get("/v1/comparison").json()["production"]["feedback"] >= 1


def test_feedback_on_nothing_is_refused(api: Api) -> None:
    unknown = api.post("/v1/feedback", {"prediction_id": "f" * 32, "price_paid_mad": 92_000})
    assert unknown.status_code == 404
    for paid in (-5, 0, 12.5, "999 DH", "a lot", None, True, [1], 1e300):
        refused = api.post("/v1/feedback", {"prediction_id": "f" * 32, "price_paid_mad": paid})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "price_paid_mad"
    assert api.get("/v1/predictions/none").status_code == 404


def test_history_is_paged_filtered_and_exported_newest_first(api: Api, model: str) -> None:
    ids = [predicted(api, model, model_year=2010 + n)["prediction_id"] for n in range(5)]
    batch = api.post("/v1/predict/batch", [LOGAN | {"model": model}] * 2).json()
    ids += [row["prediction_id"] for row in batch["predictions"]]
    api.get(f"/v1/predictions/{ids[-1]}")  # waits until it is written
    first = api.get("/v1/predictions", params={"model": model.upper(), "page_size": 3}).json()
    assert (first["total"], len(first["predictions"])) == (7, 3)
    pages = [
        api.get("/v1/predictions", params={"model": model, "page_size": 3, "page": page}).json()[
            "predictions"
        ]
        for page in (1, 2, 3)
    ]
    found = [row for page in pages for row in page]
    assert {row["prediction_id"] for row in found} == set(ids)
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)
    api.post("/v1/feedback", {"prediction_id": ids[0], "price_paid_mad": 50_000})
    paid = api.get("/v1/predictions", params={"model": model, "with_feedback": "true"}).json()
    assert [row["prediction_id"] for row in paid["predictions"]] == [ids[0]]
    assert api.get("/v1/predictions", params={"model": model, "since": "2100-01-01"}).json()["total"] == 0
    export = api.get("/v1/predictions", params={"model": model}, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(export.text)))
    assert {row["prediction_id"] for row in rows} == set(ids)
    assert {row["price_paid_mad"] for row in rows} == {"", "50000"}


def test_pages_by_cursor_show_no_row_twice_while_the_log_grows(api: Api, model: str) -> None:
    ids = [predicted(api, model, model_year=2010 + n)["prediction_id"] for n in range(5)]
    api.get(f"/v1/predictions/{ids[-1]}")
    query: dict[str, Any] = {"model": model, "page_size": 2}
    seen: list[str] = []
    while True:
        answer = api.get("/v1/predictions", params=query)
        page = answer.json()
        seen += [row["prediction_id"] for row in page["predictions"]]
        new = predicted(api, model)["prediction_id"]
        api.get(f"/v1/predictions/{new}")  # waits until it is written
        if page["next_cursor"] is None:
            break
        assert answer.links["next"]["url"].endswith(f"cursor={page['next_cursor']}")
        query["cursor"] = page["next_cursor"]
    assert seen == ids[::-1]
    assert "next" not in answer.links


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("pages=2", "pages", "known_parameter"),
        ("since=2026-05-04T12:00:00+01:00", "since", "plus_not_encoded"),
        ("until=2026-05-04T12:00+0100", "until", "plus_not_encoded"),
        ("page=2&cursor=x", "page", "not_with_cursor"),
    ],
)
def test_a_query_that_means_something_else_is_explained(api: Api, query: str, field: str, code: str) -> None:
    refused = api.get(f"/v1/predictions?{query}")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert api.get("/v1/predictions?since=2026-05-04T12:00:00%2B01:00").status_code == 200


@pytest.mark.parametrize("cursor", ["x", "", "é", "MjAyNg", "MjAyNi0wMS0wMSB4w6k"])
def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    refused = api.get("/v1/predictions", params={"cursor": cursor})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-cursor")


def test_a_price_paid_that_is_far_from_the_estimate_is_asked_back_kept_apart_and_can_be_withdrawn(
    api: Api,
) -> None:
    made = api.post("/v1/predict", LOGAN).json()
    prediction_id = made["prediction_id"]
    path = f"/v1/predictions/{prediction_id}"
    compared = api.get("/v1/comparison").json()["production"]["feedback"]
    paid = {"prediction_id": prediction_id, "price_paid_mad": 1_000}
    refused = api.post("/v1/feedback", paid)
    assert (refused.status_code, refused.json()["code"]) == (409, "feedback-unlikely")
    assert refused.json()["params"] == {"price_mad": made["price_mad"], "price_paid_mad": 1_000}
    assert api.get(path).json()["price_paid_mad"] is None
    kept = api.post("/v1/feedback", paid | {"confirmed": True})
    assert (kept.status_code, kept.json()["unlikely"]) == (201, True)
    assert api.get(path).json()["feedback_unlikely"] is True
    assert api.get("/v1/comparison").json()["production"]["feedback"] == compared
    mended = api.post("/v1/feedback", paid | {"price_paid_mad": made["price_mad"]})
    assert (mended.status_code, mended.json()["unlikely"]) == (200, False)
    assert api.get("/v1/comparison").json()["production"]["feedback"] == compared + 1
    address = f"{api.address}/v1/feedback/{prediction_id}"
    assert api.session.delete(address, timeout=60).status_code == 204
    assert api.get(path).json()["price_paid_mad"] is None
    assert api.session.delete(address, timeout=60).status_code == 404


def test_where_keys_are_in_use_each_sees_its_own_predictions_only(
    trained_data: Path, mlflow_address: str, tmp_path: Path
) -> None:
    with running_api(tmp_path, trained_data, mlflow_address, CARPRICE_API_KEYS="required") as api:
        keys = ApiKeys(f"sqlite:///{api.state / 'predictions.db'}")
        one, other = ({"X-API-Key": keys.create(name)} for name in ("one", "other"))
        keys.close()
        made = api.post("/v1/predict", LOGAN, headers=one).json()["prediction_id"]
        batch = api.post("/v1/predict/batch", [LOGAN], headers=other).json()["predictions"]
        path, paid = f"/v1/predictions/{made}", {"prediction_id": made, "price_paid_mad": 90_000}
        assert api.get(path, headers=one).status_code == 200
        assert api.get(path, headers=other).status_code == 404
        assert api.post("/v1/feedback", paid, headers=other).status_code == 404
        address = f"{api.address}/v1/feedback/{made}"
        assert api.post("/v1/feedback", paid, headers=one).status_code == 201
        assert api.session.delete(address, headers=other, timeout=60).status_code == 404
        api.get(f"/v1/predictions/{batch[0]['prediction_id']}", headers=other)
        for headers, ids in ((one, [made]), (other, [batch[0]["prediction_id"]])):
            page = api.get("/v1/predictions", headers=headers).json()
            assert [row["prediction_id"] for row in page["predictions"]] == ids
            assert page["total"] == 1
            export = api.get("/v1/predictions", headers=headers | {"Accept": "text/csv"})
            assert [row["prediction_id"] for row in csv.DictReader(io.StringIO(export.text))] == ids


def test_text_of_strangers_is_kept_as_text_and_no_formula(api: Api) -> None:
    model = "=1+1 <script>'; DROP TABLE predictions; --</script>"
    answer = predicted(api, model)
    assert answer["listing"]["model"] == model
    assert api.get(f"/v1/predictions/{answer['prediction_id']}").json()["listing"]["model"] == model
    export = api.get("/v1/predictions", params={"model": model}, headers={"Accept": "text/csv"})
    assert next(csv.DictReader(io.StringIO(export.text)))["model"] == f"'{model}"


def test_while_the_database_is_locked_a_batch_is_answered_and_the_end_comes_before_a_kill(
    trained_data: Path, mlflow_address: str, tmp_path: Path
) -> None:
    assert min(GRACE_SECONDS, DOCKERS_GRACE_SECONDS, _kubernetes_seconds()) > REQUEST_SECONDS + STOP_SECONDS
    with running_api(tmp_path, trained_data, mlflow_address, CARPRICE_API_LOG_QUEUE="1000") as api:
        with locked(f"sqlite:///{api.state / 'predictions.db'}"):
            assert api.post("/v1/predict/batch", [LOGAN] * 5000).json()["priced"] == 5000
            assert api.post("/v1/predict", LOGAN).status_code == 200
            log = api.get("/readyz").json()["prediction_log"]
            assert (log["waiting"], log["dropped"]) == (501, 4500)
            api.process.terminate()
            # Several times what it takes, for a busy machine; waits one after another would take more.
            assert api.process.wait(timeout=30) == 0
        assert "501 predictions were not logged" in api.log.read_text()


def _kubernetes_seconds() -> int:
    """What Kubernetes gives the API to end in."""
    documents = yaml.safe_load_all((REPOSITORY / "kubernetes" / "prices.yaml").read_text())
    (api,) = (d for d in documents if (d["kind"], d["metadata"]["name"]) == ("Deployment", "price-api"))
    return int(api["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])
