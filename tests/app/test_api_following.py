"""The API follows what is in production, refuses what must not serve, and goes on without MLflow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import skops.io
import yaml
from conftest import LOGAN, Api, running_api, running_mlflow, wait_until
from demo.settings import free_port
from mlflow import MlflowClient

from carprice.errors import TryAgain
from carprice.lifecycle.registry import MODEL, PRODUCTION, STAGING, Registry
from carprice.lifecycle.saved_models import TRUSTED_TYPES
from carprice.model.explanation import Explainer
from carprice.store import DataRoot
from price_api.insight import explained
from price_api.metrics import Metrics
from price_api.model_cache import ModelCache
from price_api.pricing import PricingRequest
from price_api.production import Follower
from price_api.serving import NoSnapshot

FOLLOWED_WITHIN_SECONDS = 10


@dataclass
class System:
    """A data root, its MLflow server and its registry, for tests that change them."""

    data: Path
    port: int
    address: str
    server: subprocess.Popen[bytes]
    registry: Registry

    @property
    def client(self) -> MlflowClient:
        return self.registry.client

    def put(self, version: str, action: str = "promotion") -> None:
        """Put a version into production as the pipeline does."""
        self.registry.put_in_production(version, action, "test", "because a test said so")

    def variant(self, name: str, change: Callable[[Path], None]) -> str:
        """A new version: the files of version 1, changed."""
        folder = self.data.parent / name
        first = self.client.get_model_version(MODEL, "1")
        self.registry.download("1", str(folder))
        change(folder)
        self.client.log_artifacts(first.run_id, str(folder), name)
        source = f"{self.client.get_run(first.run_id).info.artifact_uri}/{name}"
        return str(self.client.create_model_version(MODEL, source, run_id=first.run_id).version)


def widened(folder: Path) -> None:
    """A model whose interval is twice as wide."""
    path = folder / yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["sklearn"]["pickled_model"]
    pipeline = skops.io.load(path, trusted=TRUSTED_TYPES)
    pipeline.named_steps["price"].quantiles_ = [2 * q for q in pipeline.named_steps["price"].quantiles_]
    skops.io.dump(pipeline, path)


def broken(folder: Path) -> None:
    """A model that prices nothing."""
    path = folder / yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["sklearn"]["pickled_model"]
    pipeline = skops.io.load(path, trusted=TRUSTED_TYPES)
    pipeline.named_steps["price"].quantiles_ = [float("nan")] * 2
    skops.io.dump(pipeline, path)


def pickled(folder: Path) -> None:
    """A model in a format that runs code when it is loaded."""
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"]["serialization_format"] = "cloudpickle"
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


@pytest.fixture(scope="module")
def system(trained_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    data = tmp_path_factory.mktemp("following") / "data"
    shutil.copytree(trained_data, data)
    port = free_port()
    with running_mlflow(data, port) as (address, server), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield System(data, port, address, server, Registry(DataRoot(str(data))))
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def second(system: System) -> str:
    """A second good version, which has another interval."""
    return system.variant("wide", widened)


@pytest.fixture(scope="module")
def following(system: System, second: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("api"), system.data, system.address) as running:
        yield running


def serves(api: Api, version: str) -> None:
    wait_until(lambda: api.version() == version, f"version {version} serves", FOLLOWED_WITHIN_SECONDS)


def test_a_promotion_and_a_rollback_are_followed_and_no_request_fails(
    system: System, following: Api, second: str
) -> None:
    answers: list[dict[str, Any]] = []
    failures: list[str] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            answer = following.post("/v1/predict", LOGAN)
            if answer.status_code != 200:
                failures.append(answer.text)
            else:
                answers.append(answer.json())

    thread = threading.Thread(target=load)
    thread.start()
    try:
        serves(following, "1")
        system.put(second)
        serves(following, second)
        assert following.get("/v1/model").json()["version"] == second
        system.put("1", "rollback")
        serves(following, "1")
    finally:
        done.set()
        thread.join()
    assert not failures
    highs = {(a["model"]["version"], a["high_mad"]) for a in answers}
    assert {version for version, _ in highs} == {"1", second}
    assert len({high for _, high in highs}) == len(highs) == 2
    story = wait_until(
        lambda: (m := following.get("/v1/model").json())["promoted"]["action"] == "rollback" and m,
        "its story",
    )
    assert [entry["version"] for entry in story["history"]] == ["1", second, "1"]
    last = following.get(f"/v1/predictions/{answers[-1]['prediction_id']}")
    assert last.status_code == 200
    logged = following.get("/v1/predictions", params={"page_size": 1}).json()["total"]
    assert logged == len(answers)


@pytest.mark.parametrize(
    ("fault", "words"), [(broken, "input example"), (pickled, "skops"), (shutil.rmtree, "MLmodel")]
)
def test_a_bad_version_is_refused_and_the_old_one_goes_on(
    system: System, following: Api, fault: Callable[[Path], None], words: str
) -> None:
    serves(following, "1")

    def change(folder: Path) -> None:
        fault(folder)
        folder.mkdir(exist_ok=True)
        (folder / "note.txt").write_text("a file that is always there")

    version = system.variant(f"bad-{fault.__name__}", change)
    system.put(version)
    try:
        refused = wait_until(
            lambda: (r := following.get("/v1/model").json()["refused"]) and r["version"] == version and r,
            "the version is refused",
            FOLLOWED_WITHIN_SECONDS,
        )
        assert words in refused["reason"]
        ready = following.get("/readyz").json()
        assert (ready["status"], ready["version"]) == ("degraded", "1")
        assert f"version {version} was refused" in ready["detail"]
        assert following.post("/v1/predict", LOGAN).json()["model"]["version"] == "1"
        page = following.get("/metrics").text
        assert "carprice_model_refused_total 0.0" not in page
    finally:
        system.put("1", "rollback")
    wait_until(lambda: following.get("/readyz").json()["status"] == "ready", "all is well again", 10)
    assert following.get("/v1/model").json()["refused"] is None


def test_the_shadow_is_logged_and_never_answers_and_an_orderly_end_loses_nothing(
    system: System, second: str, tmp_path: Path
) -> None:
    data, address = system.data, system.address
    system.registry.set_alias(STAGING, second)
    with running_api(tmp_path / "shadow", data, address, CARPRICE_API_STAGING="shadow") as api:
        wait_until(lambda: api.get("/v1/model").json()["staging"]["version"] == second, "staging is loaded")
        ids = {}
        for _ in range(200):
            answer = api.post("/v1/predict", LOGAN).json()
            assert answer["model"]["alias"] == PRODUCTION
            ids[answer["prediction_id"]] = answer["price_mad"]
        assert api.end() == 0
    with running_api(
        tmp_path / "share", data, address, state=api.state,
        CARPRICE_API_STAGING="share", CARPRICE_API_STAGING_SHARE="0.5",
    ) as api:  # fmt: skip
        logged = api.get("/v1/predictions", params={"page_size": 500}).json()["predictions"]
        assert {row["prediction_id"]: row["price_mad"] for row in logged} == ids
        assert {row["version"] for row in logged} == {"1"}
        assert {row["shadow"]["version"] for row in logged} == {second}
        assert {row["shadow"]["price_mad"] for row in logged} == set(ids.values())
        wait_until(lambda: api.get("/v1/model").json()["staging"]["version"] == second, "staging is loaded")
        arms = []
        for caller in range(60):
            headers = {"X-Sticky-Key": f"caller {caller}"}
            first, again = (api.post("/v1/predict", LOGAN, headers=headers).json()["model"] for _ in "ab")
            assert first == again
            assert first["version"] == (second if first["alias"] == STAGING else "1")
            arms.append(first["alias"])
        assert 15 < arms.count(STAGING) < 45
        agreement = api.get("/v1/comparison").json()["agreement"]
        assert (agreement["pairs"], agreement["within_5_percent"]) == (200, 1)


def test_what_was_staging_and_is_promoted_serves_after_a_restart_without_mlflow(
    system: System, second: str, tmp_path: Path
) -> None:
    bad = system.variant("bad-staging", broken)
    system.registry.set_alias(STAGING, bad)
    settings = {"CARPRICE_API_STAGING": "shadow"}
    with running_api(tmp_path / "shadow", system.data, system.address, **settings) as api:

        def staging() -> dict[str, Any]:
            found: dict[str, Any] = api.get("/v1/model").json()["staging"]
            return found

        wait_until(lambda: staging()["refused"], "the bad version is refused for staging")
        assert staging()["version"] is None
        assert staging()["refused"]["version"] == bad
        assert "input example" in staging()["refused"]["reason"]
        system.registry.set_alias(STAGING, second)
        wait_until(lambda: staging()["version"] == second, "staging is loaded")
        assert staging()["refused"] is None
        system.put(second)
        try:
            wait_until(lambda: pointed_at(api.state) == second, "the promoted version is on disk", 20)
            assert api.end() == 0
        finally:
            system.put("1", "rollback")
    with running_api(tmp_path / "again", tmp_path / "empty", "http://127.0.0.1:9", state=api.state) as api:
        assert api.version() == second
        assert api.get("/v1/comparables", params=LOGAN).json()["comparables"]


def pointed_at(state: Path) -> str:
    """The version that a restart without MLflow would serve."""
    return str(json.loads((state / "models" / "last_good.json").read_text())["version"])


class Interrupted(Registry):
    """A registry that can be away between two questions."""

    away = False

    def history(self) -> list[dict[str, Any]]:
        if self.away:
            raise TryAgain("MLflow does not answer")
        return super().history()


def test_a_story_that_cannot_be_read_is_asked_for_again_and_the_cache_does_not_wait_for_it(
    system: System, second: str, tmp_path: Path
) -> None:
    root = DataRoot(str(system.data))
    cache = ModelCache(str(tmp_path / "models"), root)
    registry = Interrupted(root)
    follower = Follower(root, cache, Metrics(), 1, with_staging=False, connect=lambda _: registry)
    for version, action in (("1", "promotion"), (second, "promotion")):
        system.put(version, action)
        follower.poll()
    system.put("1", "rollback")
    registry.away = True
    follower.poll()
    assert follower.production is not None
    assert follower.production.version == pointed_at(tmp_path) == "1"
    registry.away = False
    follower.poll()
    assert follower.production.about["history"][-1]["action"] == "rollback"
    kept = cache.last_good()
    assert kept is not None
    assert kept.about["history"] == follower.production.about["history"]


def test_cached_listings_that_are_damaged_cost_comparisons_alone_and_only_without_the_data_root(
    system: System, tmp_path: Path
) -> None:
    root = DataRoot(str(system.data))
    cache = ModelCache(str(tmp_path / "models"), root)
    Follower(root, cache, Metrics(), 1, with_staging=False).poll()
    (tmp_path / "models" / "1" / "listings.parquet").write_bytes(b"damaged")
    cached = cache.last_good()
    assert cached is not None
    assert cached.version == "1"
    assert len(cached.training_data.comparables.nearest({"make": "Dacia"}, 3)) == 3
    alone = ModelCache(str(tmp_path / "models"), DataRoot(str(tmp_path / "empty"))).last_good()
    assert alone is not None
    with pytest.raises(NoSnapshot, match="comparisons and explanations need them"):
        _ = alone.training_data.comparables


def test_a_version_explains_all_its_prices_with_one_explainer(system: System, tmp_path: Path) -> None:
    root = DataRoot(str(system.data))
    follower = Follower(root, ModelCache(str(tmp_path / "models"), root), Metrics(), 1, with_staging=False)
    follower.poll()
    serving = follower.production
    assert serving is not None
    made = serving.training_data.explainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Explainer, "__init__", None)  # another one can't be made
        listing = {"make": "Dacia", "model": "Logan", "model_year": 2015.0}
        found = explained(serving, PricingRequest(listing, None))
    assert found["price_mad"] == round(made.explain(listing).price_mad)


def test_an_alias_that_is_taken_away_is_told_from_a_registry_that_is_away(
    system: System, following: Api, tmp_path: Path
) -> None:
    serves(following, "1")
    system.client.delete_registered_model_alias(MODEL, PRODUCTION)
    try:
        with running_api(tmp_path, system.data, system.address, wait=False) as api:
            wait_until(lambda: api.get("/readyz").json()["mlflow"] == "answers", "MLflow answers")
            answer = api.post("/v1/predict", LOGAN)
            assert answer.status_code == 503
            assert "no model is in production yet" in answer.json()["detail"]
        ready = following.get("/readyz").json()
        assert (ready["status"], ready["version"]) == ("degraded", "1")
        assert "no version is in production any more" in ready["detail"]
    finally:
        system.registry.set_alias(PRODUCTION, "1")


def test_without_mlflow_the_model_in_memory_then_the_cached_one_serves(
    system: System, second: str, tmp_path: Path
) -> None:
    data = system.data
    with running_api(tmp_path / "first", data, system.address) as api:
        wait_until(lambda: (api.state / "models" / "last_good.json").exists(), "the model is cached")
        price = api.post("/v1/predict", LOGAN).json()["price_mad"]
        os.killpg(system.server.pid, signal.SIGKILL)
        ready = wait_until(
            lambda: (r := api.get("/readyz").json())["mlflow"] == "away" and r, "MLflow is missed", 20
        )
        assert (ready["status"], ready["model_source"]) == ("degraded", "registry")
        assert api.post("/v1/predict", LOGAN).json()["price_mad"] == price
        assert "carprice_mlflow_up 0.0" in api.get("/metrics").text
        assert api.end() == 0
        state = api.state
    # the listings of the data root are not needed either
    with running_api(tmp_path / "again", tmp_path / "empty", system.address, state=state) as api:
        ready = api.get("/readyz").json()
        assert (ready["status"], ready["model_source"], ready["version"]) == ("degraded", "cache", "1")
        assert "cache on disk" in ready["detail"]
        assert api.post("/v1/predict", LOGAN).json()["price_mad"] == price
        assert api.post("/v1/explain", LOGAN).json()["price_mad"] == price
        assert api.get("/v1/comparables", params=LOGAN).json()["comparables"]
        assert "Model card" in api.get("/v1/model/card").text
        assert api.get("/v1/model").json()["source"] == "cache"
        # and when it is back, it is followed again
        with running_mlflow(data, system.port):
            wait_until(lambda: api.get("/readyz").json()["status"] == "ready", "MLflow is back", 30)
            assert api.get("/v1/model").json()["source"] == "registry"
            system.put(second)
            serves(api, second)
            wait_until(
                lambda: json.loads((state / "models" / "last_good.json").read_text())["version"] == second,
                "the second is cached",
            )
            assert api.end() == 0
    # a damaged cache falls back on the version before
    for path in (state / "models" / second / "model").glob("*.skops"):
        path.write_bytes(b"damaged")
    with running_api(tmp_path / "damaged", tmp_path / "empty", "http://127.0.0.1:9", state=state) as api:
        assert api.get("/readyz").json()["version"] == "1"
        assert f"the cached version {second} can't be used and is skipped" in api.log.read_text()


def test_with_nothing_at_all_every_answer_says_what_to_do(tmp_path: Path) -> None:
    with running_api(tmp_path, tmp_path / "none", "http://127.0.0.1:9", wait=False) as api:
        ready = wait_until(lambda: "cached" in (r := api.get("/readyz")).text and [r], "MLflow was asked")[0]
        assert ready.status_code == 503
        assert ready.json()["mlflow"] == "away"
        for answer in (
            api.post("/v1/predict", LOGAN),
            api.post("/v1/predict/batch", [LOGAN]),
            api.post("/v1/explain", LOGAN),
            api.post("/v1/what-if", {"listing": LOGAN}),
            api.get("/v1/comparables", params=LOGAN),
            api.get("/v1/choices"),
            api.get("/v1/model"),
            api.get("/v1/model/card"),
        ):
            assert answer.status_code == 503
            assert "no price can be given: MLflow does not answer" in answer.json()["detail"]
        assert api.get("/healthz").status_code == 200
        assert api.get("/v1/predictions").json()["total"] == 0
        assert api.get("/v1/reports").json() == {"reports": []}
        assert "carprice_mlflow_up 0.0" in api.get("/metrics").text


def test_listings_that_are_gone_cost_comparisons_and_no_prices(
    own_data: Path, mlflow_address: str, tmp_path: Path
) -> None:
    shutil.rmtree(own_data / "snapshots")
    with running_api(tmp_path, own_data, mlflow_address) as api:
        assert api.post("/v1/predict", LOGAN).status_code == 200
        for answer in (
            api.get("/v1/comparables", params=LOGAN),
            api.post("/v1/explain", LOGAN),
            api.get("/v1/choices"),
        ):
            assert answer.status_code == 409
            assert "listings of snapshot" in answer.json()["detail"]
