"""### promote_car_price

**What it does.** It runs when there is a new candidate (asset `candidate_model`). It registers the candidate
as `staging` if it passes the gates, validates the registered model the way the app loads it, and makes it
`production` (asset `production_model`). In every case it sends a report. A person approves before
`production`, under *Required Actions*, in two cases: with `CARPRICE_APPROVAL=on`; and with
`promotion.approve_after_drift`, when the market drifted away from production or its live error is too high.

**When tasks are skipped.** If only `approve` is skipped, no approval was needed. If others are, a gate or the
reviewer said no. That is a decision, not a failure: the report names the gate, its value and its threshold,
and the result (XCom) of the skipped task has all gates.

**When it is red.** Read the last line of the red task's log; in most cases MLflow was away. Start it again
and clear the task: promoting the same candidate again changes nothing else. To undo a promotion, trigger
`rollback`.

**Owner.** The reviewer for decisions, ops for failures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, ParamsDict, TaskInstance, TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from carprice_contract.steps import StepName
from include.airflow_internals import InletEventsAccessors
from include.assets import candidate_model, production_model
from include.conventions import Tag, dag_defaults, newest_extra, no_step_failed, report_arguments
from include.settings import settings
from include.step import step


def candidate(params: ParamsDict, inlet_events: InletEventsAccessors) -> str:
    """The MLflow run given to the DAG run; without one, that of the newest candidate."""
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
    # Measures drift too, where that decides whether a person must approve (promotion.approve_after_drift).
    @step(
        inlets=[candidate_model],
        execution_timeout=timedelta(hours=1),
        skip_unless={} if settings().approval == "on" else {"approve": "needs_approval"},
    )
    def promote_to_staging(params: ParamsDict = None, inlet_events: InletEventsAccessors = None) -> list[str]:
        return [StepName.PROMOTE_TO_STAGING, "--run-id", candidate(params, inlet_events)]

    @step(serving=True)
    def validate_staging_model(staged: dict[str, Any]) -> list[str]:
        return [StepName.VALIDATE_STAGING_MODEL, "--version", str(staged["version"])]

    # Skipped when the validation is, or when a person says no, but not when no approval was needed. So it
    # must not wait for `promote_to_staging` directly: that task's success would be the one it needs.
    @step(outlets=[production_model], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote_to_production(validated: dict[str, Any], approval: dict[str, Any] | None) -> list[str]:
        arguments = [StepName.PROMOTE_TO_PRODUCTION.value, "--version", str(validated["version"])]
        if approval:
            arguments += ["--approved-by", approval["responded_by_user"]["name"]]
        return arguments

    @step(trigger_rule=TriggerRule.ALL_DONE, inlets=[candidate_model])
    def send_pipeline_report(
        ti: TaskInstance = None, params: ParamsDict = None, inlet_events: InletEventsAccessors = None
    ) -> list[str]:
        run_id = candidate(params, inlet_events)
        return [StepName.SEND_PIPELINE_REPORT, "--run-id", run_id, *report_arguments(ti)]

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
