"""The data root in an object store: every step, on a real server that speaks S3."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from systems import FAST, System

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "stack"))

from s3_server import S3Server

from carprice import cli
from carprice.errors import StoreAway, StoreRefused, UsageProblem
from carprice.history import snapshots
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings import sample
from carprice.monitoring import workspace
from carprice.store import DataRoot


@pytest.fixture
def store(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A data root's URL of this test's own."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://cars/{request.node.name[:60]}"


class Steps:
    """Runs `carprice` commands on one data root, with MLflow's database in a folder of its own."""

    def __init__(self, location: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._result = folder / "result.json"
        monkeypatch.setenv("DATA_DIR", location)
        monkeypatch.setenv("CARPRICE_PARAMS", FAST)
        Registry(DataRoot(str(folder / "registry")))  # knows from here on where its artifacts are
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/registry/mlflow/mlflow.db")

    def __call__(self, *words: str, status: int = 0) -> Any:
        """The result of a command, which must end with `status`."""
        self._result.unlink(missing_ok=True)
        assert cli.main([*words, "--result", str(self._result)]) == status, words
        return json.loads(self._result.read_text()) if self._result.exists() else None


def the_same_every_time(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt without its times, and without what a file system calls this version of the file."""
    times = ("checked_at", "written_at", "fingerprints")
    return {key: value for key, value in receipt.items() if key not in times}


def test_every_step_leaves_in_an_object_store_what_it_leaves_in_a_folder(
    store: str, tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, step = DataRoot(store), Steps(store, tmp_path, monkeypatch)
    first, second = str(tmp_path / "first.csv"), str(tmp_path / "second.csv")
    sample.write_sample(first, 900, 1)
    sample.write_sample(second, 900, 2)

    # All steps at once; `system` is the same file in a folder.
    assert cli.main(["run", first]) == 0
    runs = {root.location: Registry(root), system.root.location: system.registry}
    there, here = (each.get_run(str(each.version_of(PRODUCTION).run_id)).data for each in runs.values())
    timed = {name for name in there.metrics if "latency" in name or "seconds" in name}
    assert there.tags["snapshot_id"] == here.tags["snapshot_id"]
    assert {k: v for k, v in there.metrics.items() if k not in timed} == {
        k: v for k, v in here.metrics.items() if k not in timed
    }
    # a folder has a lock, too
    receipts_here = [name for name in system.root.names("receipts") if name != ".lock"]
    assert receipts_here
    for name in receipts_here:
        receipts = [each.read_json(f"receipts/{name}") for each in (root, system.root)]
        assert the_same_every_time(receipts[0]) == the_same_every_time(receipts[1])
    pd.testing.assert_frame_equal(snapshots.load(root, "latest")[1], snapshots.load(system.root, "latest")[1])
    for folder in ("raw", "listings", "quarantine", "reports/quality"):
        assert root.names(folder) == system.root.names(folder), folder
    assert root.names("receipts") == receipts_here

    # One by one, as Airflow has them run.
    assert cli.main(["land", second]) == 0
    monkeypatch.setenv("CARPRICE_PARAMS", FAST.replace("confidence: 0.8", "confidence: 0, max_slice_loss: 9"))
    ((claimed,),) = step("claim-files")
    step("check-data-quality", "--file", claimed["file"], "--sha256", claimed["sha256"])
    snapshot = step("assemble-listings", "--sha256", claimed["sha256"])["snapshot_id"]
    assert step("score-new-listings", "--sha256", claimed["sha256"])["rows"] > 0
    run_id = step("train-model", "--snapshot", snapshot)["run_id"]
    step("evaluate-model", "--run-id", run_id)
    version = step("promote-to-staging", "--run-id", run_id)["version"]
    step("validate-staging-model", "--version", version)
    step("promote-to-production", "--version", version)
    states = json.dumps({"promote-to-production": "success"})
    step("send-pipeline-report", "--run-id", run_id, "--version", version, "--state", states)
    drift = step("detect-drift", "--snapshot", snapshot)
    step("publish-report", "--report", drift["report"])
    step("check-freshness", status=99)
    step("claim-files", status=99)

    assert {"drift", "live", "models", "pipeline", "quality"} <= set(root.folders("reports"))
    assert drift["report"].removeprefix("reports/") in root.read_bytes("reports/index.html").decode()
    assert b"carprice_promoted_version 2.0" in root.read_bytes("metrics/carprice.prom")


def test_a_refused_file_is_told_of_once_in_an_object_store_too(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, step = DataRoot(store), Steps(store, tmp_path, monkeypatch)
    root.write_bytes("raw/empty.csv", b"")
    ((claimed,),) = step("claim-files")

    for _ in range(2):
        refused = step("check-data-quality", "--file", "empty.csv", "--sha256", claimed["sha256"], status=65)
    (alert,) = step("alert", "--list")["alerts"]

    assert refused["status"] == "refused"
    assert (alert["state"], alert["count"]) == ("open", 2)
    step("claim-files", status=99)


def test_what_another_process_wrote_removed_or_replaced_is_seen_at_once(store: str) -> None:
    here, there = DataRoot(store), DataRoot(store)
    assert here.names("raw") == []
    there.write_text("raw/a.csv", "one")
    assert here.names("raw") == ["a.csv"]
    (before,) = here.entries("raw")
    there.write_text("raw/a.csv", "two")
    (after,) = here.entries("raw")
    assert here.read_bytes("raw/a.csv") == b"two"
    assert before["ETag"] != after["ETag"]
    there.remove("raw")
    assert not here.exists("raw/a.csv")
    assert here.folders("") == []


def test_a_reader_never_sees_half_of_an_object(store: str) -> None:
    root, size = DataRoot(store), 3_000_000
    root.write_bytes("big", b"a" * size)
    done = threading.Event()

    def replace() -> None:
        other = DataRoot(store)
        for turn in range(30):
            other.write_bytes("big", (b"b" if turn % 2 else b"a") * size)
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not done.is_set():
        # rclone breaks off an answer whose object is replaced meanwhile: that is told, too.
        with contextlib.suppress(StoreAway), root.open("big") as file:
            content = file.read(size // 2) + file.read()
            seen.add((len(content), len(set(content))))
    writer.join()
    assert seen == {(size, 1)}


def test_a_writer_that_dies_leaves_the_old_object(store: str) -> None:
    root = DataRoot(store)
    root.write_text("a/b.txt", "old")
    with pytest.raises(ZeroDivisionError), root.writing("a/b.txt") as file:
        file.write(b"half" * (1 // 0))
    assert root.read_bytes("a/b.txt") == b"old"


def test_evidently_needs_a_folder_and_says_so(store: str) -> None:
    assert workspace.publish(DataRoot(store)) == {"runs": 0, "changed": 0}
    with pytest.raises(UsageProblem, match="expected a local folder in DATA_DIR"):
        workspace.serve(DataRoot(store), "127.0.0.1", 0)


UNREACHABLE = "http://127.0.0.1:9"
NOT_THE_KEY = "another"


@pytest.mark.parametrize(
    ("setting", "status", "sentence"),
    [
        ({"AWS_SECRET_ACCESS_KEY": NOT_THE_KEY}, 2, "Keys that may use s3://cars/"),
        ({"DATA_DIR": "s3://no-such-bucket/data"}, 2, "The bucket no-such-bucket of DATA_DIR="),
        ({"AWS_ENDPOINT_URL": UNREACHABLE}, 75, f"found EndpointConnectionError at {UNREACHABLE}"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, 2, "an AWS_ENDPOINT_URL like https://host:port were"),
        ({"DATA_DIR": "s4://cars/data"}, 2, "DATA_DIR must be a folder or a URL that fsspec can open"),
    ],
    ids=["another key", "no bucket", "no server", "no URL", "no such scheme"],
)
def test_a_store_that_cannot_be_used_is_one_sentence_and_an_exit_status(
    store: str, setting: dict[str, str], status: int, sentence: str
) -> None:
    environment = os.environ | {"DATA_DIR": store} | setting
    told = subprocess.run(
        [str(REPOSITORY / "bin" / "carprice"), "claim-files"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == status, told.stderr
    assert told.stderr.startswith("carprice: ")
    assert sentence in told.stderr
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("doing", ["exists", "entries", "read_bytes", "remove", "folders"])
def test_whatever_is_asked_of_a_store_that_is_away_can_be_tried_again(
    store: str, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", UNREACHABLE)
    with pytest.raises(StoreAway, match="the step can then be tried again"):
        getattr(DataRoot(store), doing)("raw")


def test_an_object_is_not_written_to_a_bucket_that_is_not_there(store: str) -> None:
    with pytest.raises(StoreRefused, match="make it, or correct DATA_DIR"):
        DataRoot("s3://no-such-bucket/data").write_text("a", "b")
