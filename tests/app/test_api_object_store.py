"""The API on a data root in an object store, on a real server that speaks S3."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.market_files import synthetic_offers, write_market
from conftest import LOGAN, Api, running_api, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from s3_server import S3Server, s3_server

from carprice.store import DataRoot
from carprice_contract.data_root import told


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3") / "buckets"
    folder.mkdir()
    with s3_server(folder) as running, pytest.MonkeyPatch.context() as patch:
        running.make_bucket("cars")
        for name, value in running.environment().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def root(server: S3Server, trained_data: Path) -> DataRoot:
    """A copy of the trained system's data root, but for MLflow's part."""
    root = DataRoot("s3://cars/data")
    for path in sorted(trained_data.rglob("*")):
        name = str(path.relative_to(trained_data))
        if path.is_file() and not name.startswith(("mlflow/", "serving/")):
            root.write_bytes(name, path.read_bytes())
    return root


@pytest.fixture(scope="module")
def api(root: DataRoot, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("api"), root.location, mlflow_address) as running:
        yield running


def test_reports_comparables_and_the_pipelines_gauges_come_from_the_store(api: Api, root: DataRoot) -> None:
    listed = api.get("/v1/reports").json()["reports"]
    assert {each["kind"] for each in listed} >= {"quality", "pipeline", "models"}
    for each in listed:
        page = api.get(f"/v1/reports/{each['kind']}/{each['name']}")
        assert page.content == root.read_bytes(f"reports/{each['kind']}/{each['name']}")
    assert "carprice_promoted_version 1.0" in api.get("/metrics").text
    asked = {name: LOGAN[name] for name in ("make", "model", "model_year", "mileage", "fuel")}
    assert api.get("/v1/comparables", params=asked).json()["comparables"]


def test_a_store_that_is_away_costs_the_reports_and_no_price(
    server: S3Server, root: DataRoot, mlflow_address: str, tmp_path: Path
) -> None:
    with running_api(tmp_path, root.location, mlflow_address, AWS_ENDPOINT_URL="http://127.0.0.1:9") as api:
        assert api.post("/v1/predict", LOGAN).status_code == 200
        refused = api.get("/v1/reports")
        assert refused.status_code == 503
        assert "object store" in refused.json()["detail"]
        for answer in (api.post("/v1/watches", {}), api.get(f"/v1/watches/{'0' * 16}-{'x' * 43}/feed")):
            assert (answer.status_code, answer.json()["code"]) == (503, "store-away")
        assert "carprice_production_version 1.0" in api.get("/metrics").text


def test_what_was_asked_is_in_the_store_once_the_api_has_ended(
    server: S3Server, root: DataRoot, mlflow_address: str, tmp_path: Path
) -> None:
    with running_api(tmp_path, root.location, mlflow_address) as api:
        api.post("/v1/predict", LOGAN)
        assert api.end() == 0
    assert len(root.read_parquet(f"asked/{datetime.now(UTC):%Y-%m-%d}.parquet")) == 1
    assert (tmp_path / "state" / "models").is_dir()


def test_the_cars_on_offer_and_saved_searches_are_in_the_store(server: S3Server, tmp_path: Path) -> None:
    root, offers = DataRoot("s3://cars/market"), synthetic_offers(200)
    write_market(root, "m1", offers)
    with running_api(tmp_path, root.location, "http://127.0.0.1:9", wait=False) as api:
        wait_until(lambda: api.get("/v1/listings").status_code == 200, "the market is loaded")
        listing_id = offers["listing_id"][0]
        assert len(api.get(f"/v1/listings/{listing_id}").json()["estimates"]) == 3
        made = api.post("/v1/watches", {"make": "Dacia"}).json()
        said = {"at": "2026-11-27T06:00:00+00:00", "price_mad": 1, "estimate_mad": 2, "label": "good_price"}
        root.write_json(told(made["watch"]), {listing_id: said})
        found = api.get(f"/v1/watches/{made['secret']}").json()["offers"]
        assert [each["listing_id"] for each in found] == [listing_id]
        write_market(root, "m2", offers[:100], model_version="2")
        wait_until(lambda: api.get("/v1/listings").json()["model_version"] == "2", "the new market is loaded")
        address = f"{api.address}/v1/watches/{made['secret']}"
        assert api.session.delete(address, timeout=60).status_code == 204
    assert root.names("watches", ".json") == root.names("watches/told", ".json") == []
