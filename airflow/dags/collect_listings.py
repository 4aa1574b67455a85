"""### collect_listings

**What it does.** It reads used-car ads from sites, politely: one mapped task for each source in
`CARPRICE_COLLECTOR_SOURCES`, each in a container of its own. A task lands one file in `raw/` with a manifest
of what it covers (asset `collected_listings`); `ingest_listings` then takes the file like any other. It is
off: nothing runs by itself until `CARPRICE_COLLECTOR_SCHEDULE` is set. Read docs/collecting.md before.

**When `collect_listings` is skipped.** The site is not to be asked now: it wanted no more requests today, the
budget of the day is spent, or its hours are over. The log says which.

**When it is red.**
- `collect_listings` is red and says "The data was refused": the site changed, or it forbids what we ask for.
  Nothing was landed; an alert was sent with what changed and two addresses. Look at them. Then release the
  run (`carprice collect --release RUN`) or discard it and mend the source. There is nothing to clear.
- It says that it was called wrongly: a setting is missing, such as `CARPRICE_COLLECT_CONTACT`.
- Anything else: repair what the last line of its log names, and clear the task. The run goes on where it was.

**Owner.** The data owner, who answers for what is collected; ops for failures.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from carprice_contract.steps import StepName
from include.assets import collected_listings
from include.conventions import Tag, dag_defaults, no_step_failed, report_of_a_failure
from include.settings import settings
from include.step import step

here = settings()

with DAG(
    "collect_listings",
    schedule=CronTriggerTimetable(here.collector_schedule, timezone="Africa/Casablanca")
    if here.collector_schedule
    else None,
    tags=[Tag.DATA],
    doc_md=__doc__,
    **dag_defaults(),
):

    @step(
        collecting=True,
        background=True,
        execution_timeout=timedelta(hours=2),
        map_index_template="{{ asked.source }}",
        outlets=[collected_listings],
    )
    def collect_listings(asked: dict[str, str]) -> list[str]:
        pages = settings().collector_pages
        return [
            StepName.COLLECT_LISTINGS,
            "--source",
            asked["source"],
            *(["--start", asked["start"]] if "start" in asked else []),
            *(["--pages", str(pages)] if pages else []),
        ]

    collect_listings.expand(asked=here.sources) >> [no_step_failed(), report_of_a_failure()]
