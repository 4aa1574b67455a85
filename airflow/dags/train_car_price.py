"""### train_car_price

**What it does.** It runs when there is a new snapshot of the listings (asset `listings`). It scores the
production model on the listings that this model has not seen, trains a new model on the snapshot, evaluates
it on the listings kept aside for testing, and announces it (asset `candidate_model`). It takes the snapshot
that is the newest when the first task starts, also in a run started by hand. `score_new_listings` is skipped
while nothing is in production; the training then follows at once.

**When it is red.** Read the last line of the red task's log; a pipeline report was sent, too. "The data was
refused": the snapshot can't be trained on, and the sentence says why. Out of memory: raise
`CARPRICE_STEP_MEMORY`. MLflow is away: start it again. Then clear the red task, or trigger the DAG by hand.

**Owner.** Ops.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, TaskInstance, TriggerRule

from carprice_contract.steps import StepName
from include.airflow_internals import InletEventsAccessors
from include.assets import candidate_model, listings
from include.conventions import Tag, dag_defaults, newest_extra, no_step_failed, report_of_a_failure
from include.step import step

SNAPSHOT = "snapshot"
"""The key of the XCom with the id of the snapshot that the run works on."""


def newest_snapshot(inlet_events: InletEventsAccessors) -> str:
    """The id of the snapshot that was announced last; without one, `latest`."""
    return str(newest_extra(inlet_events[listings]).get("snapshot_id", "latest"))


with DAG(
    "train_car_price",
    schedule=[listings],
    tags=[Tag.MODEL],
    doc_md=__doc__,
    **dag_defaults(),
):
    # Scores every listing that production has not learned: of this event, of events that Airflow merged,
    # and of earlier files whose candidates were all turned down.
    @step(inlets=[listings], execution_timeout=timedelta(minutes=10))
    def score_new_listings(ti: TaskInstance = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        snapshot = newest_snapshot(inlet_events)
        ti.xcom_push(SNAPSHOT, snapshot)
        return [StepName.SCORE_NEW_LISTINGS, "--snapshot", snapshot]

    # Runs however the score ended: a model that can't be scored is best replaced. It trains on the snapshot
    # that was scored, so that no listing is learned unscored; the next run takes a newer snapshot.
    @step(inlets=[listings], trigger_rule=TriggerRule.ALL_DONE, execution_timeout=timedelta(hours=2))
    def train_model(ti: TaskInstance = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        chosen = ti.xcom_pull(task_ids="score_new_listings", key=SNAPSHOT)
        return [StepName.TRAIN_MODEL, "--snapshot", chosen or newest_snapshot(inlet_events)]

    @step(outlets=[candidate_model], execution_timeout=timedelta(minutes=30))
    def evaluate_model(trained: dict[str, Any]) -> list[str]:
        return [StepName.EVALUATE_MODEL, "--run-id", trained["run_id"]]

    scored, trained = score_new_listings(), train_model()
    evaluated, ending = evaluate_model(trained), [no_step_failed(), report_of_a_failure()]
    scored >> trained
    scored >> ending
    evaluated >> ending
