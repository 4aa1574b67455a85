"""The rules every DAG keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include import settings as settings_module
from include.conventions import Tag

DAGS = Path(__file__).parents[2] / "airflow/dags"
NAMES = sorted(file.stem for file in DAGS.glob("*.py"))

TASKS = {
    "collect_listings": {"collect_listings", "no_step_failed", "send_pipeline_report"},
    "ingest_listings": {
        "claim_files",
        "check_freshness",
        "check_data_quality",
        "held_files",
        "ask_about_held_files",
        "assemble_listings",
        "no_step_failed",
        "send_pipeline_report",
    },
    "train_car_price": {
        "score_new_listings",
        "train_model",
        "evaluate_model",
        "no_step_failed",
        "send_pipeline_report",
    },
    "promote_car_price": {
        "promote_to_staging",
        "validate_staging_model",
        "approve",
        "promote_to_production",
        "no_step_failed",
        "send_pipeline_report",
    },
    "monitor_drift": {"detect_drift", "publish_report", "no_step_failed", "send_pipeline_report"},
    "rate_listings": {"rate_listings", "no_step_failed", "send_pipeline_report"},
    "rollback": {"rollback", "no_step_failed", "send_pipeline_report"},
    "release_listings": {"decide", "release", "reject", "no_step_failed", "send_pipeline_report"},
}


@pytest.fixture(params=NAMES)
def dag(request: pytest.FixtureRequest, load_dag: Callable[[str], Any]) -> Any:
    return load_dag(request.param)


def test_the_dags_are_the_designed_ones() -> None:
    assert set(NAMES) == set(TASKS)


def test_a_file_holds_the_one_dag_it_is_named_for_with_its_tasks(dag: Any) -> None:
    assert set(dag.task_ids) == TASKS[dag.dag_id]


def test_a_dag_says_what_it_does_what_to_do_when_it_is_red_and_whose_it_is(dag: Any) -> None:
    for heading in ("**What it does.**", "**When it is red.**", "**Owner.**"):
        assert heading in dag.doc_md


def test_tags_are_known_ones(dag: Any) -> None:
    assert dag.tags
    assert dag.tags <= set(Tag)


def test_a_dag_runs_from_the_start_one_run_at_a_time_and_never_for_the_past(dag: Any) -> None:
    assert dag.is_paused_upon_creation is False
    # a held file must not wait for the answer about another one
    assert dag.max_active_runs == (50 if dag.dag_id == "release_listings" else 1)
    assert dag.catchup is False


def test_every_task_ends_in_time_and_is_tried_again_within_minutes(dag: Any) -> None:
    for task in dag.tasks:
        if task.task_id not in ("approve", "decide"):  # a person has days
            assert timedelta() < task.execution_timeout <= timedelta(hours=2)
        assert task.retry_exponential_backoff == 2
        assert task.max_retry_delay <= timedelta(minutes=5)
        assert task.retries == (0 if task.task_id == "rollback" else 3)


def test_a_dag_file_fits_on_two_screens(dag: Any) -> None:
    assert len((DAGS / f"{dag.dag_id}.py").read_text().splitlines()) <= 110


def test_the_assets_link_the_dags(load_dag: Callable[[str], Any]) -> None:
    emitted = {
        name: {outlet.name for task in load_dag(name).tasks for outlet in task.outlets} for name in NAMES
    }

    assert emitted == {
        "collect_listings": {"collected_listings"},
        "ingest_listings": {"listings"},
        "train_car_price": {"candidate_model"},
        "promote_car_price": {"production_model"},
        "monitor_drift": {"drift_report"},
        "rate_listings": {"market"},
        "rollback": {"production_model"},
        "release_listings": {"raw_listings"},
    }
    waits = {
        name: sorted(set(re.findall(r"name='(\w+)', uri", repr(load_dag(name).timetable)))) for name in NAMES
    }
    assert waits["ingest_listings"] == ["raw_listings"]
    assert waits["train_car_price"] == ["listings"]
    assert waits["promote_car_price"] == ["candidate_model"]
    assert waits["monitor_drift"] == ["listings"]
    assert waits["rate_listings"] == ["listings", "production_model"]
    assert type(load_dag("rate_listings").timetable.asset_condition).__name__.endswith("Any")


def test_sites_are_read_when_a_setting_says_so_and_otherwise_never(
    load_dag: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_dag("collect_listings").timetable.can_be_scheduled is False
    monkeypatch.setenv("CARPRICE_COLLECTOR_SCHEDULE", "30 2 * * *")
    settings_module.settings.cache_clear()
    try:
        dag = load_dag("collect_listings")
    finally:
        settings_module.settings.cache_clear()
    assert dag.timetable.can_be_scheduled
    assert "30 2 * * *" in repr(dag.timetable)
    assert "Africa/Casablanca" in repr(dag.timetable)


def test_a_failure_of_any_step_is_told_by_a_last_task(dag: Any) -> None:
    report = dag.get_task("send_pipeline_report")
    assert report.downstream_task_ids == set()
    assert report.trigger_rule == "all_done"  # at the first failure, the second would go untold
    watched = {task.task_id for task in dag.tasks} - {"send_pipeline_report", "no_step_failed"}
    assert watched - report.get_flat_relative_ids(upstream=True) == set()
    assert dag.has_on_failure_callback


@pytest.mark.parametrize(
    ("setting", "skip_unless"), [("on", {}), ("off", {"approve": "needs_approval"})], ids=["on", "off"]
)
def test_a_person_stands_between_validation_and_production(
    setting: str, skip_unless: dict[str, str], load_dag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APPROVAL", setting)
    settings_module.settings.cache_clear()
    try:
        dag = load_dag("promote_car_price")
    finally:
        settings_module.settings.cache_clear()

    assert dag.get_task("approve").upstream_task_ids == {"promote_to_staging", "validate_staging_model"}
    assert dag.get_task("approve").defaults == ["Reject"]
    assert dag.get_task("promote_to_production").upstream_task_ids == {"approve", "validate_staging_model"}
    assert dag.get_task("promote_to_staging").skip_unless == skip_unless
