"""What all DAGs have in common: who owns them, their tags, how a failed task is tried again and told."""

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
from airflow.sdk import TriggerRule
from airflow.sdk.definitions.context import Context
from airflow.sdk.execution_time.context import InletEventsAccessor
from airflow.sdk.types import TaskInstance

from include.settings import settings
from include.step import step, step_operator
from include.step_contract import PROBLEM

log = logging.getLogger(__name__)

OWNER = "ops"

REPORT = "send_pipeline_report"
"""The last step of a run that failed: it tells people."""


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
        # Two runs at a time would claim, train or promote the same thing.
        "max_active_runs": 1,
        "on_failure_callback": tell_of_a_run_without_report,
        "default_args": {
            "owner": OWNER,
            "retries": here.retries,
            "retry_delay": timedelta(seconds=here.retry_delay_seconds),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(minutes=15),
        },
    }


def no_step_failed() -> EmptyOperator:
    """A last task that fails with any step above it: a report that was sent must not make the run green.

    A skipped step is no failure, and does not end the wait for the others. The scheduler settles it
    alone: it costs no process.
    """
    return EmptyOperator(task_id="no_step_failed", trigger_rule=TriggerRule.NONE_FAILED)


def report_of_a_failure() -> Any:
    """A last task that tells people which step failed; skipped, without a process, where none did."""

    @step(task_id=REPORT, trigger_rule=TriggerRule.ONE_FAILED)
    def report(ti: TaskInstance = None) -> list[str]:
        return ["send-pipeline-report", *report_arguments(ti)]

    task: Callable[[], Any] = report
    return task()


def report_arguments(ti: TaskInstance) -> list[str]:
    """What `carprice send-pipeline-report` is told of the run that `ti` is in."""
    states = step_states(ti)
    problems = {name: _left_by(ti, name, PROBLEM) for name, state in states.items() if state == "failed"}
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


def tell_of_a_run_without_report(context: Context) -> None:
    """Called by the dag-processor for a run that failed: tells people where its own report could not.

    A killed task, too, ends as a failed one, which the run's report tells. Left are the report's own
    failure, and a run that ended before its last task: timed out, or stuck.
    """
    ti, reason = context.get("ti"), context.get("reason") or "failed"
    if reason == "task_failure" and (ti is None or ti.task_id != REPORT):
        return
    dag_id, run_id, task_id = context["dag"].dag_id, str(context["run_id"]), ti.task_id if ti else REPORT
    words = "the report of the run could not be sent" if reason == "task_failure" else f"the run {reason}"
    operator = step_operator()(python_callable=list, task_id="tell_of_a_failed_run")
    arguments = ["alert", "--run-failed", f"{dag_id}, run {run_id}", task_id, words]
    caller = SimpleNamespace(
        dag_id=dag_id, run_id=run_id, task_id=operator.task_id, map_index=-1, try_number=1
    )
    outcome = operator.run_step([*arguments, "--link", run_url(dag_id, run_id)], {"ti": caller})
    if outcome.exit_code:
        log.error("nobody was told that %s failed: %s", run_id, outcome.last_words)


def newest_extra(events: InletEventsAccessor) -> dict[str, Any]:
    """The `extra` of an asset's newest event, empty if there was none.

    Not of the events that triggered the run: Airflow hands a run only those up to the first one
    that waited for it, so a later one would stay unseen until the next.
    """
    newest = list(events.ascending(False).limit(1))
    return dict(newest[0].extra) if newest else {}


def step_states(ti: TaskInstance) -> dict[str, str]:
    """How the steps of the run `ti` is in ended, in their order; a mapped one's name ends in its index.

    A file that was refused failed its check, and is a finding and no failure: its state is `refused`.
    """
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    order = [task.task_id for task in ti.task.dag.topological_sort()]
    own = {ti.task_id, REPORT, "no_step_failed"}

    def task_of(name: str) -> str:
        return name if name in order else name.rpartition("_")[0]

    names = sorted((name for name in states if name not in own), key=lambda n: (order.index(task_of(n)), n))
    found = {name: states[name] or "none" for name in names}
    for name, state in found.items():
        result = _left_by(ti, name, "return_value") if state == "failed" else None
        if isinstance(result, dict) and result.get("status") == "refused":
            found[name] = "refused"
    return found


def _left_by(ti: TaskInstance, name: str, key: str) -> Any:
    """The XCom `key` of the task called `name`, which ends in the index of a mapped one."""
    task_id, map_index = name, -1
    if name not in ti.task.dag.task_dict:
        task_id, _, number = name.rpartition("_")
        map_index = int(number)
    return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)
