"""Each service of the stack is killed while a file is on its way; the file still ends in production, once.

One file's way is long enough for several kills. `pytest -s tests/stack/test_killed.py` prints a table of what
happened.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
import requests
from team_stack import LOGAN, Mailbox, TeamStack, wait_for

from carprice.listings import sample

pytestmark = [pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Kill:
    """A service to kill, and the step during which to kill it; "" is before the file is seen."""

    service: str
    step: str


FILES = [
    (Kill("triggerer", ""), Kill("api", "promote_to_production")),
    (Kill("scheduler", "assemble_listings"), Kill("mlflow", "train_model")),
    (Kill("postgres", "check_data_quality"), Kill("redis", "train_model")),
    (
        Kill("worker", "train_model"),
        Kill("docker-proxy", "evaluate_model"),
        Kill("api-server", "promote_to_staging"),
    ),
]

# The steps of a file when no service dies, each once.
STEPS = Counter(
    {
        ("ingest_listings", "claim_files"): 1,
        ("ingest_listings", "check_data_quality"): 1,
        ("ingest_listings", "assemble_listings"): 1,
        ("train_car_price", "score_new_listings"): 1,
        ("train_car_price", "train_model"): 1,
        ("train_car_price", "evaluate_model"): 1,
        ("promote_car_price", "promote_to_staging"): 1,
        ("promote_car_price", "validate_staging_model"): 1,
        ("promote_car_price", "promote_to_production"): 1,
        ("promote_car_price", "send_pipeline_report"): 1,
        # for the new listings, and for the new version
        ("rate_listings", "rate_listings"): 2,
        ("monitor_drift", "detect_drift"): 1,
        ("monitor_drift", "publish_report"): 1,
    }
)

# The API logs a price at most this long after its answer.
LOGGED_AFTER_SECONDS = 2.0


@dataclass
class Requests:
    """The answers to requests for a price; times are `time.time()` seconds."""

    answered: dict[str, float] = field(default_factory=dict)
    """The time of each prediction, by its id."""
    refused: list[tuple[float, str]] = field(default_factory=list)
    """The time of each request that got no price, and what came instead."""


@contextmanager
def asking(stack: TeamStack) -> Iterator[Requests]:
    """Ask the API for two prices a second while the block runs."""
    asked, done = Requests(), threading.Event()

    def ask() -> None:
        while not done.wait(0.4):
            put = time.time()
            try:
                answer = stack.ask_price("POST", "/v1/predict", json=LOGAN)
            except requests.RequestException as problem:
                asked.refused.append((put, type(problem).__name__))
                continue
            if answer.status_code == 200:
                asked.answered[answer.json()["prediction_id"]] = time.time()
            else:
                asked.refused.append((put, str(answer.status_code)))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class Before:
    """The state of the stack before the file landed."""

    last_run: int
    versions: list[str]
    history: list[str]
    snapshots: set[str]
    messages: int

    @classmethod
    def of(cls, stack: TeamStack, mailbox: Mailbox) -> Before:
        return cls(
            int(stack.sql("airflow", "SELECT max(id) FROM dag_run")[0]),
            versions(stack),
            history(stack),
            snapshots(stack),
            len(mailbox.messages()),
        )


def versions(stack: TeamStack) -> list[str]:
    """The registered model's versions."""
    return stack.sql("mlflow", "SELECT version FROM model_versions ORDER BY version")


def history(stack: TeamStack) -> list[str]:
    """The versions that went into production, in their order."""
    tags = stack.sql(
        "mlflow", "SELECT value FROM registered_model_tags WHERE key LIKE 'history.%' ORDER BY key"
    )
    return [json.loads(tag)["version"] for tag in tags]


def snapshots(stack: TeamStack) -> set[str]:
    """The ids of all snapshots."""
    return {path.name for path in (stack.data / "snapshots").iterdir() if path.is_dir()}


def manifest(stack: TeamStack, snapshot: str) -> dict[str, Any]:
    """The manifest of a snapshot."""
    return dict(json.loads((stack.data / "snapshots" / snapshot / "manifest.json").read_text()))


def started_at(container: dict[str, Any]) -> float:
    """The last start of a container, in `time.time()` seconds."""
    return datetime.fromisoformat(container["State"]["StartedAt"]).timestamp()


def report_on(stack: TeamStack, sha256: str) -> dict[str, Any] | None:
    """The pipeline report on the newest model trained on this file, or None."""
    for path in sorted((stack.data / "reports/pipeline").glob("*.json"), reverse=True):
        report = json.loads(path.read_text())
        if sha256 in {file["sha256"] for file in report["files"]}:
            return dict(report)
    return None


def open_runs(stack: TeamStack) -> list[str]:
    """The DAGs of the runs that have not ended."""
    return stack.sql("airflow", "SELECT dag_id FROM dag_run WHERE state IN ('queued', 'running')")


@dataclass(frozen=True)
class Try:
    """A try of a step; `ended` in `time.time()` seconds."""

    dag: str
    task: str
    state: str
    ended: float


def tries(stack: TeamStack, last_run: int) -> list[Try]:
    """Every try of every step in the runs after `last_run`."""
    found = []
    for table in ("task_instance", "task_instance_history"):
        rows = stack.sql(
            "airflow",
            "SELECT dag_id, task_id, t.state, coalesce(extract(epoch FROM t.end_date), 0) "  # noqa: S608
            f"FROM {table} t JOIN dag_run r USING (dag_id, run_id) "
            f"WHERE r.id > {last_run} AND task_id <> 'no_step_failed' ORDER BY t.end_date",
        )
        found += [row.split("|") for row in rows]
    return [Try(dag, task, state, float(ended)) for dag, task, state, ended in found]


@dataclass
class Death:
    """A kill and its recovery; times are `time.time()` seconds."""

    kill: Kill
    at: float
    dead_at: float
    """When the engine had killed the service that it was asked to kill `at`."""
    well_at: float = 0.0

    @classmethod
    def of(cls, stack: TeamStack, kill: Kill) -> Death:
        """Wait until the step runs, kill the service, and return at once."""
        if kill.step:
            wait_for(lambda: stack.steps(kill.step), f"a container of {kill.step}", 300, every=0.1)
        at = time.time()
        stack.kill(kill.service)
        return cls(kill, at, time.time())

    def wait_until_well(self, stack: TeamStack) -> None:
        """Wait until the engine has restarted the service and it is healthy; the API has a model then."""

        def well() -> bool:
            container = stack.containers()[self.kill.service]
            if started_at(container) <= self.at or container["State"]["Health"]["Status"] != "healthy":
                return False
            # the API is alive, and healthy, before it has loaded the model
            return self.kill.service != "api" or stack.ask_price("GET", "/readyz").status_code == 200

        wait_for(well, f"{self.kill.service} to be well again", 300)
        self.well_at = time.time()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of the table, printed after the last test."""
    rows = [
        "| killed | while | healthy after | died with it | tried again | prices refused | landed to served |",
        "|---|---|---|---|---|---|---|",
    ]
    yield rows
    print("\n" + "\n".join(rows))  # noqa: T201


def rows_of(
    deaths: list[Death], stack: TeamStack, done: list[Try], asked: Requests, seconds: float
) -> Iterator[str]:
    """The rows of the table for the kills during one file."""
    started = {name: started_at(container) for name, container in stack.containers().items()}
    for death, next_one in zip(deaths, [*deaths[1:], None], strict=True):
        until = next_one.at if next_one else float("inf")
        too = {name for name, at in started.items() if death.at <= at < until} - {death.kill.service}
        failed = (each for each in done if each.state not in ("success", "skipped"))
        again = Counter(each.task for each in failed if death.at <= each.ended < until)
        cells = [
            f"`{death.kill.service}`",
            f"`{death.kill.step}`" if death.kill.step else "before the file is seen",
            f"{death.well_at - death.at:.0f} s",
            ", ".join(f"`{name}`" for name in sorted(too)),
            ", ".join(f"`{task}`" + (f" x {n}" if n > 1 else "") for task, n in again.items()),
            str(sum(death.at - 1 <= put < death.well_at for put, _ in asked.refused) or ""),
            f"{seconds:.0f} s",
        ]
        yield f"| {' | '.join(cell or '-' for cell in cells)} |"


@pytest.mark.parametrize("kills", FILES, ids=lambda kills: "-".join(kill.service for kill in kills))
def test_a_file_ends_in_production_once_though_services_are_killed_on_its_way(
    stack: TeamStack, in_production: str, mailbox: Mailbox, table: list[str], kills: tuple[Kill, ...]
) -> None:
    wait_for(lambda: not open_runs(stack), "the runs before to end")
    before = Before.of(stack, mailbox)
    text = sample.to_csv(sample.generate(120, seed=100 + FILES.index(kills))).encode()
    sha256 = hashlib.sha256(text).hexdigest()

    with asking(stack) as asked, ThreadPoolExecutor() as watching:
        landed = time.time()
        stack.land(text, f"seen-{'-'.join(kill.service for kill in kills)}-die.csv")
        try:
            deaths, watched = [], []
            for kill in kills:
                deaths.append(Death.of(stack, kill))
                watched.append(watching.submit(deaths[-1].wait_until_well, stack))
            report = wait_for(lambda: report_on(stack, sha256), "the report on a model of this file", 420)
            wait_for(lambda: stack.production_version() == report["version"], "its price to be served", 60)
            served = time.time()
            wait_for(lambda: not open_runs(stack), "all runs to end", 120)
            for each in watched:
                each.result()
        except AssertionError:
            print(*tries(stack, before.last_run), sep="\n")  # noqa: T201
            services = [kill.service for kill in kills]
            print(stack.compose("logs", "--tail", "60", "scheduler", "worker", *services))  # noqa: T201
            raise

    done = tries(stack, before.last_run)
    table += rows_of(deaths, stack, done, asked, served - landed)

    # Nothing is lost: the file is accepted, a model was trained on it, and the API serves that model.
    receipt = json.loads((stack.data / f"receipts/{sha256}.json").read_text())
    assert receipt["status"] == "accepted"
    assert report["verdict"] == "promoted"
    assert report["production_version"] == report["version"] == stack.production_version()

    # Nothing happens twice: one snapshot holds the file once, one version, one promotion, each step once.
    (snapshot,) = snapshots(stack) - before.snapshots
    files = Counter(file["sha256"] for file in manifest(stack, snapshot)["files"])
    assert files[sha256] == 1
    assert set(files.values()) == {1}
    assert versions(stack) == [*before.versions, report["version"]]
    assert history(stack) == [*before.history, report["version"]]
    tag = "SELECT t.value FROM tags t JOIN model_versions v ON v.run_id = t.run_uuid"
    trained_on = stack.sql("mlflow", f"{tag} WHERE v.version = {report['version']} AND t.key = 'snapshot_id'")
    assert trained_on == [snapshot]
    assert Counter((each.dag, each.task) for each in done if each.state == "success") == STEPS
    ended = stack.sql("airflow", f"SELECT DISTINCT state FROM dag_run WHERE id > {before.last_run}")  # noqa: S608
    assert ended == ["success"]
    subjects = Counter(message.split("\n")[0] for message in mailbox.messages()[before.messages :])
    assert subjects[f"Car prices: version {report['version']} is in production"] == 1
    assert set(subjects.values()) == {1}
    assert not any("failed" in subject for subject in subjects)
    assert stack.steps() == []

    prices_were_given_and_logged(stack, asked, deaths)


def prices_were_given_and_logged(stack: TeamStack, asked: Requests, deaths: list[Death]) -> None:
    """Each request got a price and the price is logged, except while the API itself was down."""
    api = [death for death in deaths if death.kill.service == "api"]
    refused = [put for put, _ in asked.refused if not any(d.at - 1 <= put < d.well_at for d in api)]
    assert refused == []
    lost = [(death.at - LOGGED_AFTER_SECONDS, death.dead_at) for death in api]
    safe = {each for each, at in asked.answered.items() if not any(a < at < b for a, b in lost)}
    assert len(safe) > 20
    log = "SELECT prediction_id FROM predictions"
    wait_for(lambda: safe <= set(stack.sql("predictions", log)), "the answered prices in the log", 15)
