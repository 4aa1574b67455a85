"""### release_listings

**What it does.** A person starts it for a held file: one whose prices stand far from the production model's,
in which one amount stands in many rows, or whose ads are merged. Its quality page says why. `release` uses
the file as it is and wakes `ingest_listings` up (asset `raw_listings`); `reject` refuses it. The receipt
keeps who decided and why. `bin/carprice release` and `bin/carprice reject` do the same.

**When it is skipped.** The task of the other decision is always skipped. Both are when the same decision was
taken before.

**When it is red.** The last line of the log says so if no held file has that name or SHA-256, and lists those
that are held.

**Owner.** The data owner.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from carprice_contract.steps import StepName
from include.airflow_internals import DagRunProtocol
from include.assets import raw_listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.step import step


def decision(step_name: StepName, params: ParamsDict, dag_run: DagRunProtocol) -> list[str]:
    """The arguments of the step that was chosen; the other one is skipped."""
    if params["decision"] != step_name:
        raise AirflowSkipException(f"The decision is to {params['decision']}.")
    by = dag_run.triggering_user_name or "Airflow"
    # `raw/` and `=`: a name or a reason may begin with a hyphen.
    return [step_name, f"raw/{params['file']}", f"--by={by}", f"--reason={params['reason']}"]


with DAG(
    "release_listings",
    schedule=None,
    params={
        "file": Param(
            "", type="string", minLength=1, description="Its name in raw/, or the beginning of its SHA-256."
        ),
        "decision": Param("release", enum=[StepName.RELEASE.value, StepName.REJECT.value]),
        "reason": Param("", type="string", minLength=3, description="Why; it is kept in the receipt."),
    },
    tags=[Tag.DATA, Tag.REPAIR],
    doc_md=__doc__,
    **dag_defaults(),
):

    @step(outlets=[raw_listings])
    def release(params: ParamsDict = None, dag_run: DagRunProtocol = None) -> list[str]:
        return decision(StepName.RELEASE, params, dag_run)

    @step
    def reject(params: ParamsDict = None, dag_run: DagRunProtocol = None) -> list[str]:
        return decision(StepName.REJECT, params, dag_run)

    decided = [release(), reject()]
    decided >> no_step_failed()
    decided >> report_of_a_failure()
