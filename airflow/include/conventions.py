"""What all DAGs have in common: who owns them, their tags, how a failed task is tried again."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk.execution_time.context import InletEventsAccessor
from airflow.sdk.types import TaskInstance

from include.settings import settings

OWNER = "ops"


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

    The scheduler settles it alone: it costs no process.
    """
    return EmptyOperator(task_id="no_step_failed")


def newest_extra(events: InletEventsAccessor) -> dict[str, Any]:
    """The `extra` of an asset's newest event, empty if there was none.

    Not of the events that triggered the run: Airflow hands a run only those up to the first one
    that waited for it, so a later one would stay unseen until the next.
    """
    newest = list(events.ascending(False).limit(1))
    return dict(newest[0].extra) if newest else {}


def step_states(ti: TaskInstance) -> dict[str, str]:
    """How the steps of the run `ti` is in ended, in their order; a mapped one's name ends in its index."""
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    order = [task.task_id for task in ti.task.dag.topological_sort()]
    own = {ti.task_id, "no_step_failed"}

    def task_of(name: str) -> str:
        return name if name in order else name.rpartition("_")[0]

    names = sorted((name for name in states if name not in own), key=lambda n: (order.index(task_of(n)), n))
    return {name: states[name] or "none" for name in names}
