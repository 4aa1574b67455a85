"""Airflow end to end with a container for each step, on PostgreSQL if it is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from claims import NO_STEP, burst_is_ingested_once, every_step_shows_its_result, worse_candidate_stays_out
from conftest import require
from postgresql import PostgreSQL, find_server
from running_demo import Demo, docker

from carprice.listings import sample

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The engine's events of containers, one JSON object per line, as they happen.

    Read from the beginning, because the engine keeps only the last few hundred events.
    """
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    with open(path, "wb") as file:
        following = subprocess.Popen(
            ["docker", "events", "--filter", "type=container", "--format", "{{json .}}"], stdout=file
        )
    yield path
    following.kill()
    following.wait()


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> str:
    """A PostgreSQL database for Airflow; SQLite if PostgreSQL is neither installed nor required."""
    server = find_server()
    if server is None and not require_postgresql():
        return ""
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    return postgresql.url


def require_postgresql() -> bool:
    return os.environ.get("REQUIRE_POSTGRES") == "1"


@pytest.fixture(scope="module")
def demo(
    tmp_path_factory: pytest.TempPathFactory, engine: None, events: Path, database: str
) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("docker"), runtime="docker", database=database)
    try:
        demo.start(demo.synthetic("first.csv", 500, seed=0))
        demo.wait_until_serving()
        yield demo
    finally:
        demo.close()


def started_containers(events: Path, demo: Demo) -> list[dict[str, str]]:
    """The image and labels of each container that the engine started for this demo."""
    started = [json.loads(line) for line in events.read_text().splitlines() if '"start"' in line]
    attributes = [event["Actor"]["Attributes"] for event in started if event["Action"] == "start"]
    return [found for found in attributes if found.get("carprice.data") == str(demo.data)]


def broken_rows(share: float) -> bytes:
    """200 synthetic listings, a share of them without a model year."""
    table = sample.generate(200, seed=77)
    table.loc[: int(share * len(table)) - 1, "Année-Modèle"] = "inconnue"
    return sample.to_csv(table).encode()


def without_column(name: str) -> bytes:
    return sample.to_csv(sample.generate(100, seed=78).drop(columns=name)).encode()


REFUSED = {
    "empty.csv": (b"", "empty.csv is empty (0 bytes)"),
    "header_only.csv": (sample.to_csv(sample.generate(1, seed=0)[:0]).encode(), "no rows"),
    "binary.csv": (bytes(range(256)) * 40, "is not text"),
    "no_price.csv": (without_column("Prix"), "the required column 'Prix' is missing"),
    "broken.csv": (broken_rows(0.6), "can't be used, but at most 50% was expected"),
}


def test_a_landed_file_ends_with_a_model_in_production(demo: Demo) -> None:
    assert demo.production_version() == "1"
    assert "In production: version 1" in demo.output
    assert "each step runs in a container of its own" in demo.output
    assert "PROCESS MODE" not in demo.output


def test_every_step_shows_its_result_in_airflow(demo: Demo) -> None:
    demo.wait_for_report(demo.land(demo.synthetic("second.csv", 200, seed=6)))  # drift needs a production

    every_step_shows_its_result(demo)


def test_each_executed_step_was_one_container_of_its_own(demo: Demo, events: Path) -> None:
    states = {
        (task["dag_run_id"], task["task_id"], str(task["map_index"])): task["state"]
        for task in demo.tasks()
        if task["task_id"] != NO_STEP
    }
    containers = started_containers(events, demo)
    started = Counter(
        (found["carprice.run"], found["carprice.task"], found["carprice.map_index"]) for found in containers
    )

    assert len(started) >= 11
    assert set(started.values()) == {1}
    assert {step for step, state in states.items() if state == "success"} <= set(started)
    # A step that finds nothing to do is skipped, and so is a step whose gate says no. Both ran.
    assert {states[step] for step in started} <= {"success", "skipped"}
    serving = {found["carprice.task"] for found in containers if found["image"].startswith("carprice-app")}
    assert serving == {"validate_staging_model"}


def test_unusable_files_are_refused_each_with_its_sentence_and_the_next_good_one_goes_through(
    demo: Demo,
) -> None:
    shas = {}
    for name, (content, _) in REFUSED.items():
        demo.move_in(content, name)
        shas[name] = hashlib.sha256(content).hexdigest()
    receipts = dict(zip(shas, demo.wait_for_receipts(*shas.values()), strict=True))
    good = demo.land(demo.synthetic("good_after_bad.csv", 200, seed=9))
    report = demo.wait_for_report(good)

    for name, (_, sentence) in REFUSED.items():
        assert receipts[name]["status"] == "refused"
        assert receipts[name]["rows_accepted"] == 0
        assert sentence in receipts[name]["refusal"]
        assert (demo.data / receipts[name]["quality_page"]).exists()
    assert demo.receipts()[good]["status"] == "accepted"
    assert report["states"]["promote_to_production"] == "success"
    in_snapshot = {file["sha256"] for file in demo.latest_manifest()["files"]}
    assert good in in_snapshot
    assert not in_snapshot & set(shas.values())
    failed = {
        demo.api.result(task)["file"]
        for task in demo.tasks("ingest_listings")
        if task["task_id"] == "check_data_quality" and task["state"] == "failed"
    }
    assert failed == set(REFUSED)


@pytest.mark.soak
def test_an_edited_setting_takes_effect_without_a_new_image(demo: Demo) -> None:
    image = docker("image", "inspect", "-f", "{{.Id}}", "carprice-trainer:latest")

    worse_candidate_stays_out(demo, demo.synthetic("for_the_worse.csv", 200, seed=7))

    assert docker("image", "inspect", "-f", "{{.Id}}", "carprice-trainer:latest") == image


@pytest.mark.soak
def test_a_burst_of_16_files_survives_kills_on_postgresql(demo: Demo, database: str) -> None:
    require("POSTGRES", bool(database), "PostgreSQL is not installed (Debian's package `postgresql`).")

    burst_is_ingested_once(demo, first_seed=300, kill=True)


def test_stopped_in_the_middle_of_a_step_it_leaves_no_process_and_no_container(demo: Demo) -> None:
    """This test is the last one because it ends the demo that the tests above share."""
    mine = ["ps", "-aq", "--filter", f"label=carprice.data={demo.data}"]
    marks = demo.marks
    assert demo.processes(marks)
    demo.land(demo.synthetic("unfinished.csv", 200, seed=8))
    demo.wait_for(lambda: docker(*mine).split(), "a step of the new file runs")

    assert demo.stop() == 0

    assert demo.processes(marks) == []
    assert docker(*mine).split() == []
