"""### rollback

**What it does.** Started by hand, with a reason: puts the previous model version back into production
(asset `production_model`). The same as `bin/carprice rollback`.

**When it is red.** The last line of the log says what is missing, mostly that there is no previous version.

**Owner.** ops.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import ParamsDict

from include.assets import production_model
from include.conventions import Tag, dag_defaults
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
    def put_previous_back(params: ParamsDict = None) -> list[str]:
        return ["rollback", "--reason", params["reason"]]

    put_previous_back()
