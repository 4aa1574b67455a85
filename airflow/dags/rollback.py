"""### rollback

**What it does.** A person starts it and gives a reason. It puts an earlier model version back into
production (asset `production_model`), as `bin/carprice rollback` does: the one that is named, or the one
before that in production. A second run goes back one more version.

**When it is skipped.** There is no version to go back to.

**When it is red.** Read the last line of the log; in most cases MLflow was away. Clear the task: it ends
where the first try would have ended.

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
    params={
        "reason": Param("", type="string", minLength=3, description="Why; it is kept in the record."),
        "version": Param(
            None,
            type=["null", "string"],
            description="One that was in production; empty: the one before that in production.",
        ),
    },
    tags=[Tag.MODEL, Tag.REPAIR],
    doc_md=__doc__,
    **dag_defaults(),
):
    # Not retried: whoever starts it waits for the answer.
    @step(task_id="rollback", retries=0, outlets=[production_model])
    def put_back(params: ParamsDict = None, dag_run: DagRunProtocol = None) -> list[str]:
        by = dag_run.triggering_user_name or "Airflow"
        target = [f"--version={params['version']}"] if params["version"] else []
        asked = [f"--by={by}", f"--reason={params['reason']}", f"--run={dag_run.run_id}"]
        return [StepName.ROLLBACK, *asked, *target]

    put_back() >> [no_step_failed(), report_of_a_failure()]
