"""### promote_car_price

**What it does.** There is a new candidate (asset `candidate_model`): registers it as `staging` if it
passes the gates, validates the registered model the way the app loads it, and makes it `production`
(asset `production_model`). With `CARPRICE_APPROVAL=on`, or with `promotion.approve_after_drift` where the
market drifted away from production or its live error is too high, a person approves in between, under
*Required Actions*. The report is sent whatever happened.

**When tasks are skipped.** `approve` alone: nobody had to be asked. Others: a gate said no, or the reviewer
did. That is a decision, not a failure: the report names the gate, its value and its threshold; the result of
the skipped task (XCom) has all gates.

**When it is red.** Read the last line of the red task's log; mostly MLflow was away. Bring it back and clear
the red task: promoting the same candidate again changes nothing else. To undo a promotion trigger `rollback`.

**Owner.** the reviewer for decisions, ops for failures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, TriggerRule
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import InletEventsAccessors
from airflow.sdk.types import TaskInstance

from include.assets import candidate_model, production_model
from include.conventions import Tag, dag_defaults, newest_extra, no_step_failed, report_arguments
from include.settings import settings
from include.step import step


def candidate(params: ParamsDict, inlet_events: InletEventsAccessors) -> str:
    """The MLflow run asked for, or that of the newest candidate."""
    run_id = params["run_id"] or newest_extra(inlet_events[candidate_model]).get("run_id")
    if not run_id:
        raise AirflowFailException("There is no candidate yet: run train_car_price, or give a run_id.")
    return str(run_id)


with DAG(
    "promote_car_price",
    schedule=[candidate_model],
    params={
        "run_id": Param(
            None, type=["null", "string"], description="MLflow run to promote; empty: the newest."
        )
    },
    tags=[Tag.MODEL],
    doc_md=__doc__,
    **dag_defaults(),
):
    # A person is asked always, or where it finds production to be off: see `promotion.approve_after_drift`.
    # Time to measure drift is in it.
    @step(
        inlets=[candidate_model],
        execution_timeout=timedelta(hours=1),
        only_if={} if settings().approval == "on" else {"approve": "needs_approval"},
    )
    def promote_to_staging(params: ParamsDict = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        return ["promote-to-staging", "--run-id", candidate(params, inlet_events)]

    @step(serving=True)
    def validate_staging_model(staged: dict[str, Any]) -> list[str]:
        return ["validate-staging-model", "--version", str(staged["version"])]

    # Skipped with the validation or by a person's no, but not because nobody had to be asked. So it
    # must not wait for `promote_to_staging` too, whose success would count as the one it needs.
    @step(outlets=[production_model], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote_to_production(validated: dict[str, Any], approval: dict[str, Any] | None) -> list[str]:
        arguments = ["promote-to-production", "--version", str(validated["version"])]
        if approval:
            arguments += ["--approved-by", approval["responded_by_user"]["name"]]
        return arguments

    @step(trigger_rule=TriggerRule.ALL_DONE, inlets=[candidate_model])
    def send_pipeline_report(
        ti: TaskInstance = None, params: ParamsDict = None, inlet_events: InletEventsAccessors = None
    ) -> list[str]:
        return ["send-pipeline-report", "--run-id", candidate(params, inlet_events), *report_arguments(ti)]

    staged = promote_to_staging()
    validated = validate_staging_model(staged)
    approved = ApprovalOperator(
        task_id="approve",
        subject="Put model version {{ ti.xcom_pull('promote_to_staging').version }} into production?",
        body="{{ ti.xcom_pull('promote_to_staging').approval_reason or '' }}\n"
        "```\n{{ ti.xcom_pull('promote_to_staging').gates | tojson(2) }}\n```",
        response_timeout=timedelta(days=3),
        defaults="Reject",
        execution_timeout=None,
    )
    promoted = promote_to_production(validated, approved.output)
    [staged, validated] >> approved
    promoted >> [no_step_failed(), send_pipeline_report()]
