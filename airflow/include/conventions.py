"""What all DAGs have in common: owner, tags, retries, and how people learn of a failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Context, TaskInstance, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from carprice_contract.steps import StepName
from include.airflow_internals import InletEventsAccessor
from include.base_step import PROBLEM
from include.receipts import findings_of
from include.settings import settings
from include.step import step, step_operator

log = logging.getLogger(__name__)

OWNER = "ops"

REPORT = "send_pipeline_report"
"""The task that sends people the report of a run."""

NO_STEP_FAILED = "no_step_failed"


class Tag(StrEnum):
    """Every tag a DAG may have."""

    DATA = "data"
    MODEL = "model"
    MONITORING = "monitoring"
    REPAIR = "repair"


def dag_defaults() -> dict[str, Any]:
    """The arguments every DAG starts from."""
    here = settings()
    return {
        "catchup": False,
        "is_paused_upon_creation": False,
        # Two runs at a time would claim the same files, or train and promote the same model.
        "max_active_runs": 1,
        "on_failure_callback": alert_about_a_run_without_report,
        "default_args": {
            "owner": OWNER,
            # `Step` ends a task that fails for another reason than a service that is away after `retries`.
            "retries": max(here.retries, here.away_retries),
            "retry_delay": timedelta(seconds=here.retry_delay_seconds),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(minutes=15),
        },
    }


def no_step_failed() -> EmptyOperator:
    """A last task that fails with any step above it: a report that was sent must not make the run green.

    A skipped step does not count as failed. The scheduler decides this task alone, so it costs no process.
    """
    return EmptyOperator(task_id=NO_STEP_FAILED, trigger_rule=TriggerRule.NONE_FAILED)


def report_of_a_failure() -> Any:
    """A last task that tells people which steps failed, or which files were refused or held; else skipped.

    It waits for all steps above it: one that starts at the first failure would not see the second.
    """

    @step(task_id=REPORT, trigger_rule=TriggerRule.ALL_DONE)
    def report(ti: TaskInstance = None) -> list[str]:
        if not {"failed", "refused", "held"} & set(step_states(ti).values()):
            raise AirflowSkipException("No step failed: there is nothing to report.")
        return [StepName.SEND_PIPELINE_REPORT, *report_arguments(ti)]

    task: Callable[[], Any] = report
    return task()


def report_arguments(ti: TaskInstance) -> list[str]:
    """The arguments of `carprice send-pipeline-report` about the run of `ti`."""
    states = step_states(ti)
    problems = {name: _xcom_of(ti, name, PROBLEM) for name, state in states.items() if state == "failed"}
    return [
        "--dag-run", f"{ti.dag_id}, run {ti.run_id}",
        "--link", run_url(ti.dag_id, ti.run_id),
        "--state", json.dumps(states),
        "--problems", json.dumps({name: words for name, words in problems.items() if words}),
    ]  # fmt: skip


def run_url(dag_id: str, run_id: str) -> str:
    """Where the Airflow UI shows a run."""
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}"


def alert_about_a_run_without_report(context: Context) -> None:
    """Tell people about a failed run whose own report could not. The dag-processor calls it for each.

    The run's report covers a failed task, and a killed one. Two cases are left: the report itself failed,
    or the run ended before its last task because it timed out or was stuck.
    """
    ti, reason = context.get("ti"), context.get("reason") or "failed"
    if reason == "task_failure" and (ti is None or ti.task_id != REPORT):
        return
    dag_id, run_id, task_id = context["dag"].dag_id, str(context["run_id"]), ti.task_id if ti else REPORT
    words = "the report of the run could not be sent" if reason == "task_failure" else f"the run {reason}"
    operator = step_operator()(python_callable=list, task_id="alert_about_a_failed_run")
    arguments = [StepName.ALERT.value, "--run-failed", f"{dag_id}, run {run_id}", task_id, words]
    caller = SimpleNamespace(
        dag_id=dag_id, run_id=run_id, task_id=operator.task_id, map_index=-1, try_number=1
    )
    outcome = operator.run_step([*arguments, "--link", run_url(dag_id, run_id)], {"ti": caller})
    if outcome.exit_code:
        log.error("The alert about the failed run %s could not be sent: %s", run_id, outcome.last_words)


def newest_extra(events: InletEventsAccessor) -> dict[str, Any]:
    """The `extra` of an asset's newest event; empty without an event.

    Not the events that triggered the run: those end with the first one that waited for the run, so the
    run would not see a later one.
    """
    newest = list(events.ascending(False).limit(1))
    return dict(newest[0].extra) if newest else {}


def step_states(ti: TaskInstance) -> dict[str, str]:
    """Each step of the run of `ti` with how it ended, in order; a mapped step's name ends in its index.

    The check of a refused file has the state `refused`, and that of a held file the state `held`: these are
    findings about the data, not failures. Where a check has several such files, the names of the further ones
    end in a number more.
    """
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    order = [task.task_id for task in ti.task.dag.topological_sort()]
    not_steps = {ti.task_id, REPORT, NO_STEP_FAILED}

    def task_of(name: str) -> str:
        return name if name in order else name.rpartition("_")[0]

    names = sorted(
        (name for name in states if name not in not_steps), key=lambda n: (order.index(task_of(n)), n)
    )
    found: dict[str, str] = {}
    for name in names:
        state = states[name] or "none"
        # only the checks of files and the reading of sites are mapped
        ended_early = state == "failed" or (state == "skipped" and name not in order)
        findings = findings_of(_xcom_of(ti, name, "return_value")) if ended_early else []
        found[name] = findings[0] if findings else state
        found |= {f"{name}_{number}": finding for number, finding in enumerate(findings[1:], start=1)}
    return found


def _xcom_of(ti: TaskInstance, name: str, key: str) -> Any:
    """The XCom `key` of the task called `name`; a mapped task's name ends in its index."""
    task_id, map_index = name, -1
    if name not in ti.task.dag.task_dict:
        task_id, _, number = name.rpartition("_")
        map_index = int(number)
    return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)
