"""Simulated days: the collector visits the replica of a market on each, and its files reach production."""

from __future__ import annotations

import time
from collections.abc import Callable

from carprice.history import collected
from carprice.store import DataRoot
from carprice_contract.data_root import COLLECTED
from demo import follow
from demo.airflow_api import AirflowApi
from demo.replica.market import Market
from demo.replica.server import AVITO, Replica
from demo.settings import DemoProblem

DAG = "collect_listings"
DAYS = 5


def market_site() -> Replica:
    """The site that is visited; it listens on a free port of this machine once it is entered."""
    return Replica(Market(size=2500, seed=17))


def environment(site: Replica) -> dict[str, str]:
    """What tells Airflow to read the site. It is on this machine, so nobody has to be spared."""
    return {
        "CARPRICE_COLLECTOR_SOURCES": f"avito={site.address}{AVITO}",
        "CARPRICE_COLLECTOR_NETWORK": "host",
        "CARPRICE_COLLECT_CONTACT": "demo@example.org",
        "CARPRICE_COLLECT_DELAY_SECONDS": "0",
        "CARPRICE_COLLECT_PAGES_PER_DAY": "100000",
    }


def collect_days(
    api: AirflowApi, root: DataRoot, site: Replica, say: Callable[[str], None], seconds: float
) -> str:
    """Collect on each day and follow the file; returns the SHA-256 of the last one.

    `seconds` is the most time for each of the two. Raises `DemoProblem`.
    """
    sha256 = ""
    _wait_for_dag(api, seconds)
    for day in range(DAYS):
        site.day = day
        since, before = follow.now(), _runs(root)
        say(f"day {day + 1} of {DAYS}: the collector visits {site.address}")
        state = follow.follow_run(api, DAG, api.trigger(DAG), say, seconds)
        new = sorted(_runs(root) - before)
        if state != "success" or not new:
            raise DemoProblem(
                f"a run of {DAG} that lands a file was expected, found it {state}; read the log of its red "
                "task in the Airflow UI"
            )
        manifest = root.read_json(f"{COLLECTED}/{new[-1]}")
        sha256 = manifest["sha256"]
        say(f"landed {manifest['file']}: {manifest['ads']:,} ads of {manifest['pages_read']:,} pages")
        follow.follow(api, root, sha256, since, say, seconds)
        say(f"day {day + 1} of {DAYS}: {_changed(root)}")
    return sha256


def _wait_for_dag(api: AirflowApi, seconds: float) -> None:
    """Airflow answers before it has read its DAGs."""
    deadline = time.monotonic() + seconds
    while all(dag["dag_id"] != DAG for dag in api.dags()):
        if time.monotonic() > deadline:
            raise DemoProblem(
                f"the DAG {DAG} was expected within {seconds:.0f} s (DEMO_TIMEOUT), found none; read the log "
                "of the dag-processor"
            )
        time.sleep(1)


def _runs(root: DataRoot) -> set[str]:
    return set(root.names(COLLECTED, ".json"))


def _changed(root: DataRoot) -> str:
    changes = collected.changes(root)
    if not changes:
        return "the first day"
    newest = changes[-1]
    return (
        f"{newest['new']:,} new ads, {newest['cheaper']:,} cheaper, {newest['dearer']:,} dearer, "
        f"{len(newest['gone']):,} gone"
    )
