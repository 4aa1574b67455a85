"""### ingest_listings

**What it does.** It runs when a CSV lands in `raw/` (asset `raw_listings`) and on a catch-up schedule. It
claims every complete file that has no receipt, checks the quality of each file, and makes a snapshot of all
accepted listings (asset `listings`). The snapshot starts the training. Each file is checked in a step of its
own; where more than `landing.files_alone` files wait, small files share steps, and the step's XCom says what
became of each.

**When `check_data_quality` is skipped.** A file is held: a person looks at its quality page and answers
the run of `release_listings` that waits under *Required Actions*. An alert was sent. The other files went
through.

**When it is red.**
- `check_data_quality` is red and says "The data was refused": a file can't be used as it is. The sentence
  names it and says why, and the quality page `reports/quality/<sha256>.html` shows the rows. An alert was
  sent, once for this content. Ask whoever delivered the file for a corrected copy, and put it into `raw/`.
  The other files went through, those of the same step too; there is nothing to clear.
- Another task is red: read the last line of its log and repair what it names. There is nothing to clear
  either: the landing trigger and the catch-up schedule claim the file again.

**Owner.** Ops; for refused files the data owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, TaskInstance, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from carprice_contract.steps import StepName
from include.assets import listings, raw_listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.decision import question_about
from include.receipts import receipts_of
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
        return [StepName.CLAIM_FILES]

    @step(
        map_index_template="{{ claimed[0].file[:100] }}"
        "{% if claimed | length > 1 %} and {{ claimed | length - 1 }} more{% endif %}"
    )
    def check_data_quality(claimed: list[dict[str, str]]) -> list[str]:
        # With `=`: a name may begin with a hyphen.
        files = [word for file in claimed for word in (f"--file={file['file']}", "--sha256", file["sha256"])]
        return [StepName.CHECK_DATA_QUALITY, *files]

    # Runs however the checks ended: a file that is refused, held or changed does not stop the others.
    @step(trigger_rule=TriggerRule.ALL_DONE, outlets=[listings])
    def assemble_listings(checked: Iterable[Any] | None) -> list[str]:
        accepted = [receipt["sha256"] for receipt in receipts_of(checked) if receipt["status"] == "accepted"]
        if not accepted:
            raise AirflowSkipException("No file was accepted.")
        return [StepName.ASSEMBLE_LISTINGS, "--sha256", *accepted]

    # Without files to claim: alert if nothing has landed for days, and send the alerts that wait.
    @step(trigger_rule=TriggerRule.ALL_SKIPPED)
    def check_freshness() -> list[str]:
        return [StepName.CHECK_FRESHNESS]

    # One run of release_listings for each held file waits until a person answers.
    @task(trigger_rule=TriggerRule.ALL_DONE)  # type: ignore[untyped-decorator]
    def held_files(checked: Iterable[Any] | None, ti: TaskInstance = None) -> list[dict[str, Any]]:
        held = [receipt for receipt in receipts_of(checked) if receipt["status"] == "held"]
        if not held:
            raise AirflowSkipException("No file is held.")
        return [question_about(receipt, ti.run_id) for receipt in held]

    claimed = claim_files()
    checked = check_data_quality.expand(claimed=claimed)
    fresh = check_freshness()
    claimed >> fresh
    assembled = assemble_listings(checked)
    asked = TriggerDagRunOperator.partial(
        task_id="ask_about_held_files", trigger_dag_id="release_listings", skip_when_already_exists=True
    ).expand_kwargs(held_files(checked))
    [checked, assembled, asked, fresh] >> no_step_failed()
    [assembled, asked, fresh] >> report_of_a_failure()
