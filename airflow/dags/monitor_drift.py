"""### monitor_drift

**What it does.** It runs when there are new listings (asset `listings`), and daily. It compares the newest
listings with those that the production model was trained on, and publishes the report (asset
`drift_report`). It gives way to training and promotion when the machine is busy. Drift is a finding, not a
failure: the report and the result of `detect_drift` show it, and one alert is sent until the drift is over.

**When it is red.** Read the last line of the red task's log, repair what it names, and clear the task.
Nothing else waits for it.

**Owner.** The reviewer for findings, ops for failures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from carprice_contract.steps import StepName
from include.assets import drift_report, listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.settings import settings
from include.step import step

with DAG(
    "monitor_drift",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(settings().drift_schedule, timezone="UTC"), assets=[listings]
    ),
    tags=[Tag.MONITORING],
    doc_md=__doc__,
    **dag_defaults(),
):

    @step(background=True, priority_weight=-10, execution_timeout=timedelta(hours=1))
    def detect_drift() -> list[str]:
        return [StepName.DETECT_DRIFT, "--snapshot", "latest"]

    @step(background=True, priority_weight=-10, outlets=[drift_report])
    def publish_report(drift: dict[str, Any]) -> list[str]:
        return [StepName.PUBLISH_REPORT, "--report", drift["report"]]

    publish_report(detect_drift()) >> [no_step_failed(), report_of_a_failure()]
