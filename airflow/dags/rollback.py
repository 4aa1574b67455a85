"""### rollback

**What it does.** Started by hand, with a reason: puts the previous model version back into production
(asset `production_model`). The same as `bin/carprice rollback`.

**When it is skipped.** There is no previous version to go back to.

**When it is red.** Read the last line of the log; mostly MLflow was away. Check with `bin/carprice history`
what is in production before triggering it again: a second rollback undoes the first.

**Owner.** ops.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.types import DagRunProtocol as DagRun

from include.assets import production_model
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.step import step

with DAG(
    "rollback",
    schedule=None,
    params={"reason": Param("", type="string", minLength=3, description="Why; it is kept in the record.")},
    tags=[Tag.MODEL, Tag.REPAIR],
    doc_md=__doc__,
    **dag_defaults(),
):
    # Not tried again by itself: a second rollback would undo the first.
    @step(task_id="rollback", retries=0, outlets=[production_model])
    def put_previous_back(params: ParamsDict = None, dag_run: DagRun = None) -> list[str]:
        by = dag_run.triggering_user_name or "Airflow"
        return ["rollback", "--by", by, "--reason", params["reason"]]

    put_previous_back() >> [no_step_failed(), report_of_a_failure()]
