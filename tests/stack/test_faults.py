"""A fault that lasts five minutes while a file is on its way; the file still ends in production, once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from one_file import Before, asking, in_production_once, open_runs, report_on
from team_stack import Mailbox, TeamStack, docker, wait_for

from carprice.listings import sample

pytestmark = [pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(1800)]

CUT_SECONDS = 300


@contextmanager
def cut_off(stack: TeamStack, service: str) -> Iterator[None]:
    """While the block runs no step reaches a service."""
    where = (f"{stack.name}-steps", f"{stack.name}-{service}-1")
    docker("network", "disconnect", *where)
    try:
        yield
    finally:
        docker("network", "connect", "--alias", service, *where)


def failed_tries(stack: TeamStack, last_run: int) -> list[list[str]]:
    """DAG, run, task and number of each try that failed in the runs after `last_run`."""
    rows = stack.sql(
        "airflow",
        "SELECT dag_id, run_id, task_id, try_number FROM task_instance_history t "  # noqa: S608
        f"JOIN dag_run r USING (dag_id, run_id) WHERE r.id > {last_run} AND t.state <> 'success' "
        "ORDER BY t.end_date",
    )
    return [row.split("|") for row in rows]


@pytest.mark.parametrize("step", ["train_model", "promote_to_production"])
def test_a_file_waits_for_mlflow_which_steps_cannot_reach_for_five_minutes(
    stack: TeamStack, in_production: str, mailbox: Mailbox, step: str
) -> None:
    wait_for(lambda: not open_runs(stack), "the runs before to end")
    before = Before.of(stack, mailbox)
    text = sample.to_csv(sample.generate(120, seed=200 + len(step))).encode()
    sha256 = hashlib.sha256(text).hexdigest()

    with asking(stack) as asked:
        stack.land(text, f"mlflow-away-{step}.csv")
        wait_for(lambda: stack.steps(step), f"a container of {step}", 600, every=0.1)
        with cut_off(stack, "mlflow"):
            time.sleep(CUT_SECONDS)
            tried = failed_tries(stack, before.last_run)
        report = wait_for(lambda: report_on(stack, sha256), "the report on a model of this file", 900)
        wait_for(lambda: stack.production_version() == report["version"], "its price to be served", 60)
        wait_for(lambda: not open_runs(stack), "all runs to end", 600)

    in_production_once(stack, mailbox, before, sha256, report)
    assert asked.refused == []
    assert len(asked.answered) > CUT_SECONDS
    # Whoever looks at the task in Airflow meanwhile reads why it waits.
    assert tried
    dag, run, task, number = tried[-1]
    log = stack.airflow(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{number}")
    assert "an answer of MLflow at" in log.text, log.text[-3000:]
