"""### rate_listings

**What it does.** It runs when there are new listings (asset `listings`), and when another version is in
production (asset `production_model`). It rates every listing of the newest snapshot with the version in
production: what each should cost, and a label from very good price to very high price. The API and the app
show the result (asset `market`). Saved searches are then told of new good offers. It gives way to training
and promotion when the machine is busy.

**When tasks are skipped.** No version is in production yet.

**When it is red.** Read the last line of the red task's log, repair what it names, and clear the task. The
API keeps the market before. Rating the same listings again changes nothing else, and tells nobody twice.

**Owner.** Ops.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from carprice_contract.steps import StepName
from include.assets import listings, market, production_model
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.step import step

with DAG(
    "rate_listings",
    schedule=(listings | production_model),
    tags=[Tag.MONITORING],
    doc_md=__doc__,
    **dag_defaults(),
):

    @step(task_id="rate_listings", background=True, outlets=[market], execution_timeout=timedelta(hours=1))
    def rate() -> list[str]:
        return [StepName.RATE_LISTINGS, "--snapshot", "latest"]

    rate() >> [no_step_failed(), report_of_a_failure()]
