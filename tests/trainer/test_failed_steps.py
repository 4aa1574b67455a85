"""Each step that fails is told once for each cause, whatever else fails in the same run or before it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from carprice.alerts import events
from carprice.alerts.record import all_alerts
from carprice.store import DataRoot

# the tasks of each DAG that can be red, as a report of a run names them
DAGS = {
    "ingest_listings": (
        "claim_files", "check_data_quality_0", "check_data_quality_1", "assemble_listings", "held_files",
        "ask_about_held_files_0", "check_freshness",
    ),
    "train_car_price": ("score_new_listings", "train_model", "evaluate_model"),
    "promote_car_price": (
        "promote_to_staging", "validate_staging_model", "approve", "promote_to_production",
    ),
    "monitor_drift": ("detect_drift", "publish_report"),
    "release_listings": ("decide", "release", "reject"),
    "rollback": ("rollback",),
}  # fmt: skip
PAIRS = [(dag, *pair) for dag, steps in DAGS.items() for pair in combinations(steps, 2)]


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path))


def failed(root: DataRoot, run: str, *steps: str) -> list[str]:
    """The subjects of the alerts that are new after a run in which `steps` failed."""
    before = {alert["cause"] for alert in all_alerts(root)}
    events.steps_ended(root, dict.fromkeys(steps, "failed"), {}, run)
    return sorted(alert["subject"] for alert in all_alerts(root) if alert["cause"] not in before)


@pytest.mark.parametrize(("dag", "step"), [(dag, step) for dag, steps in DAGS.items() for step in steps])
def test_each_step_that_fails_is_told_once(root: DataRoot, dag: str, step: str) -> None:
    assert failed(root, f"{dag}, run 1", step) == [f"Car prices: the pipeline failed at {step}"]
    assert failed(root, f"{dag}, run 1", step) == []


@pytest.mark.parametrize(("dag", "one", "other"), PAIRS)
def test_of_two_steps_that_fail_each_is_told(root: DataRoot, dag: str, one: str, other: str) -> None:
    copies = one.rstrip("01") == other.rstrip("01")  # of a mapped step: one cause
    assert len(failed(root, f"{dag}, run 1", one, other)) == (1 if copies else 2)
    assert failed(root, f"{dag}, run 1", one, other) == []


@pytest.mark.parametrize(("dag", "one", "other"), PAIRS)
def test_a_step_that_fails_after_another_is_told_too(root: DataRoot, dag: str, one: str, other: str) -> None:
    assert len(failed(root, f"{dag}, run 1", one)) == 1
    copies = one.rstrip("01") == other.rstrip("01")
    assert len(failed(root, f"{dag}, run 1", one, other)) == (0 if copies else 1)


@pytest.mark.parametrize("task", ["held_files", "ask_about_held_files_3", "approve", "decide"])
def test_a_task_that_is_no_step_is_told_in_each_run_that_it_fails(root: DataRoot, task: str) -> None:
    for run in ("ingest_listings, run 1", "ingest_listings, run 2"):
        assert len(failed(root, run, task)) == 1


def test_a_step_that_succeeded_in_between_is_told_again(root: DataRoot) -> None:
    failed(root, "train_car_price, run 1", "train_model")
    events.step_succeeded(root, "train-model")
    events.steps_ended(root, {"train_model": "failed"}, {}, "train_car_price, run 2")
    (alert,) = all_alerts(root)
    assert (alert["state"], alert["count"]) == ("open", 1)
