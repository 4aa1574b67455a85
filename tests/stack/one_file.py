"""What a file leaves behind on its way through the stack, and that it did so once."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from team_stack import LOGAN, Mailbox, TeamStack

# How often each step of a file succeeds.
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


def in_production_once(
    stack: TeamStack, mailbox: Mailbox, before: Before, sha256: str, report: dict[str, Any]
) -> None:
    """Assert that a file that landed after `before` is in production, nothing lost and nothing twice."""
    done = tries(stack, before.last_run)

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
