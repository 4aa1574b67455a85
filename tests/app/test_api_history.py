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
    for paid in (91_000, "92 000 DH"):
        told = api.post("/v1/feedback", {"prediction_id": answer["prediction_id"], "price_paid_mad": paid})
        assert told.status_code == 201
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
