"""### release_listings

**What it does.** A person releases or rejects a held file: one whose prices stand far from the production
model's, in which one amount stands in many rows, or whose ads are merged. `ingest_listings` starts it for
every file that it holds; the run then waits under *Required Actions* until a person answers, for as long as
it takes. Who starts it by hand may give the decision at once. `release` uses the file as it is and wakes
`ingest_listings` up (asset `raw_listings`); `reject` refuses it. The receipt keeps who decided and why.
`bin/carprice release` and `bin/carprice reject` do the same.

**When it is skipped.** The task of the other decision is always skipped. Both are when the same decision was
taken before, for example by the command.

**When it is red.** The last line of the log says so if no held file has that name or SHA-256, and lists those
that are held.

**Owner.** The data owner.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, ParamsDict, TaskInstance

from carprice_contract.steps import StepName
from include.airflow_internals import DagRunProtocol
from include.assets import raw_listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.decision import ASK, Decision
from include.step import step

with DAG(
    "release_listings",
    schedule=None,
    params={
        "file": Param(
            "", type="string", minLength=1, description="Its name in raw/, or the beginning of its SHA-256."
        ),
        "decision": Param(
            ASK,
            enum=[ASK, StepName.RELEASE.value, StepName.REJECT.value],
            description="`ask` waits until a person answers under Required Actions.",
        ),
        "reason": Param("", type="string", description="Why; it is kept in the receipt."),
        "held": Param("", type="string", description="Why the file is held, for who is asked."),
    },
    tags=[Tag.DATA, Tag.REPAIR],
    doc_md=__doc__,
    # Each held file waits for its own answer. The steps of two files do not touch each other.
    **dag_defaults() | {"max_active_runs": 50},
):
    decide = Decision(
        task_id="decide",
        subject="Use the held file {{ params.file }}?",
        body="{{ params.held }}\n\nIts quality page is under *quality* in the reports. **Release** uses the "
        "file as it is, **Reject** refuses it. Until then nothing learns from it.",
        options_mapping={"Release": StepName.RELEASE.value, "Reject": StepName.REJECT.value},
        options=["Release", "Reject"],
        params={"why": Param("", type="string", description="Why; it is kept in the receipt.")},
        execution_timeout=None,
    )

    def decision(
        step_name: StepName, params: ParamsDict, dag_run: DagRunProtocol, ti: TaskInstance
    ) -> list[str]:
        """The arguments of the step, with who decided and why."""
        answer = ti.xcom_pull(task_ids="decide", key=Decision.ANSWER) or {}
        by = answer.get("by") or dag_run.triggering_user_name or "Airflow"
        reason = answer.get("why") or params["reason"] or "no reason was given"
        # `raw/` and `=`: a name or a reason may begin with a hyphen.
        return [step_name, f"raw/{params['file']}", f"--by={by}", f"--reason={reason}"]

    @step(outlets=[raw_listings])
    def release(
        params: ParamsDict = None, dag_run: DagRunProtocol = None, ti: TaskInstance = None
    ) -> list[str]:
        return decision(StepName.RELEASE, params, dag_run, ti)

    @step
    def reject(
        params: ParamsDict = None, dag_run: DagRunProtocol = None, ti: TaskInstance = None
    ) -> list[str]:
        return decision(StepName.REJECT, params, dag_run, ti)

    decided = [release(), reject()]
    decide >> decided
    decided >> no_step_failed()
    decided >> report_of_a_failure()
