"""### ingest_listings

**What it does.** A CSV landed in `raw/` (asset `raw_listings`), or the catch-up time has come: claims
every complete file that has not been dealt with, checks the quality of each in a step of its own, and
makes a snapshot of all accepted listings (asset `listings`), on which training starts.

**When it is red.**
- `check_data_quality` red, "The data was refused": the file can't be used as it is. The sentence says why,
  the quality page `reports/quality/<sha256>.html` shows the rows. Tell whoever delivered the file; a
  corrected copy is simply dropped into `raw/`. Nothing to clear here, the other files went through.
  People were told, once for this content.
- any other task red: read its log's last line. After repair nothing needs to be cleared either:
  the landing trigger and the catch-up schedule claim the file again.

**Owner.** ops; the data owner for refused files.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.types import TaskInstance

from include.assets import listings, raw_listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_arguments, step_states
from include.settings import settings
from include.step import step

with DAG(
    "ingest_listings",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(settings().catchup_schedule, timezone="UTC"),
        assets=[raw_listings],
    ),
    tags=[Tag.DATA],
    doc_md=__doc__,
    **dag_defaults(),
):

    @step(execution_timeout=timedelta(minutes=5))
    def claim_files() -> list[str]:
        return ["claim-files"]

    @step(map_index_template="{{ claimed.file }}")
    def check_data_quality(claimed: dict[str, str]) -> list[str]:
        return ["check-data-quality", "--file", claimed["file"], "--sha256", claimed["sha256"]]

    # One refused file does not stop the others; all refused, and there is nothing to assemble.
    @step(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS, outlets=[listings])
    def assemble_listings(receipts: list[dict[str, Any]]) -> list[str]:
        accepted = [receipt["sha256"] for receipt in receipts if receipt["status"] == "accepted"]
        return ["assemble-listings", "--sha256", *accepted]

    @step(trigger_rule=TriggerRule.ALL_DONE)
    def send_pipeline_report(ti: TaskInstance = None) -> list[str]:
        if not {"failed", "refused"} & set(step_states(ti).values()):
            raise AirflowSkipException("No step failed; promote_car_price sends the report.")
        return ["send-pipeline-report", *report_arguments(ti)]

    # Nothing to claim: time to see whether that has been so for long, and to send what could not be sent.
    @step(trigger_rule=TriggerRule.ALL_SKIPPED)
    def check_freshness() -> list[str]:
        return ["check-freshness"]

    claimed = claim_files()
    receipts = check_data_quality.expand(claimed=claimed)
    claimed >> check_freshness()
    assembled = assemble_listings(receipts)
    [receipts, assembled] >> no_step_failed()
    assembled >> send_pipeline_report()
