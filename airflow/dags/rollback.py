"""### rollback

**What it does.** A person starts it and gives a reason. It puts the previous model version back into
production (asset `production_model`), as `bin/carprice rollback` does.

**When it is skipped.** There is no previous version to go back to.

**When it is red.** Read the last line of the log; in most cases MLflow was away. Check with
`bin/carprice history` what is in production before you trigger it again: a second rollback undoes the first.

**Owner.** Ops.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, ParamsDict

from carprice_contract.steps import StepName
from include.airflow_internals import DagRunProtocol
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
    # Never retried: a second rollback would undo the first.
    @step(task_id="rollback", retries=0, outlets=[production_model])
    def put_previous_back(params: ParamsDict = None, dag_run: DagRunProtocol = None) -> list[str]:
        by = dag_run.triggering_user_name or "Airflow"
        return [StepName.ROLLBACK, f"--by={by}", f"--reason={params['reason']}"]

    put_previous_back() >> [no_step_failed(), report_of_a_failure()]
