"""### train_car_price

**What it does.** There is a new snapshot of the listings (asset `listings`): scores the production model on
the listings it has not seen, before any model sees them, then trains a model on the snapshot, evaluates it on
the listings kept aside for testing, and announces it (asset `candidate_model`). The snapshot is the newest
when the first task starts, also in a run started by hand. `score_new_listings` is skipped while nothing is in
production; training never waits in vain for it.

**When it is red.** Read the last line of the red task's log. "The data was refused": the snapshot can't
be trained on, and the sentence says why. Out of memory: raise `CARPRICE_STEP_MEMORY`. MLflow away:
bring it back. Then clear the red task, or trigger the DAG by hand. A pipeline report was sent.

**Owner.** ops.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, TriggerRule
from airflow.sdk.execution_time.context import InletEventsAccessors
from airflow.sdk.types import TaskInstance

from include.assets import candidate_model, listings
from include.conventions import Tag, dag_defaults, newest_extra, no_step_failed, report_of_a_failure
from include.step import step

SNAPSHOT = "snapshot"
"""The key of the XCom that holds the id of the snapshot chosen."""


def newest_snapshot(inlet_events: InletEventsAccessors) -> str:
    """The snapshot announced last, or the latest where none was announced."""
    return str(newest_extra(inlet_events[listings]).get("snapshot_id", "latest"))


with DAG(
    "train_car_price",
    schedule=[listings],
    tags=[Tag.MODEL],
    doc_md=__doc__,
    **dag_defaults(),
):
    # All listings that production has not learned from: those of one event, or of several that Airflow
    # merged, or of files since whose landing every candidate was turned down.
    @step(inlets=[listings], execution_timeout=timedelta(minutes=10))
    def score_new_listings(ti: TaskInstance = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        snapshot = newest_snapshot(inlet_events)
        ti.xcom_push(SNAPSHOT, snapshot)
        return ["score-new-listings", "--snapshot", snapshot]

    # Whatever became of the score: a model that can't be scored is best replaced. But no listing is
    # learned that was not scored before: a snapshot announced meanwhile is left to the next run.
    @step(inlets=[listings], trigger_rule=TriggerRule.ALL_DONE, execution_timeout=timedelta(hours=2))
    def train_model(ti: TaskInstance = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        chosen = ti.xcom_pull(task_ids="score_new_listings", key=SNAPSHOT)
        return ["train-model", "--snapshot", chosen or newest_snapshot(inlet_events)]

    @step(outlets=[candidate_model], execution_timeout=timedelta(minutes=30))
    def evaluate_model(trained: dict[str, Any]) -> list[str]:
        return ["evaluate-model", "--run-id", trained["run_id"]]

    scored, trained = score_new_listings(), train_model()
    evaluated, told = evaluate_model(trained), [no_step_failed(), report_of_a_failure()]
    scored >> trained
    scored >> told
    evaluated >> told
