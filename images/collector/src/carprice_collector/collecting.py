"""One run of the collector: from what it was asked for to a file that landed."""

from __future__ import annotations

import logging
import os
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from carprice.errors import DataRefused, NothingToDo
from carprice.store import DataRoot
from carprice_collector import gauges
from carprice_collector.crawl import crawl
from carprice_collector.delivery import deliver, earlier_runs, hold, new_run, write_csv
from carprice_collector.findings import findings
from carprice_collector.journal import Journal
from carprice_collector.politeness.ledger import Ledger, SiteBusy, only_run
from carprice_collector.politeness.rules import StopCode
from carprice_collector.settings import Settings
from carprice_collector.sources import SOURCES, Source
from carprice_collector.summary import filling, manifest

log = logging.getLogger(__name__)

_RESUME_WITHIN = timedelta(hours=20)


def collect(settings: Settings, source: Source, most_pages: int = 0) -> dict[str, Any]:
    """Read up to `most_pages` pages of a source (0: all) and land its ads; returns the manifest.

    A run that was killed goes on where it was; one that is older than 20 hours is landed as it is, first.
    Raises `NothingToDo` when the site is not to be asked now, `DataRefused` when the run is held because the
    site changed or when there is nothing that may be read, and `SettingError`.
    """
    settings.refuse_haste(source.site)
    root = DataRoot(settings.data_root)
    folder = f"{settings.state_folder}/{re.sub(r'[^A-Za-z0-9.-]', '_', source.site)}"
    try:
        with only_run(folder), closing(Ledger(folder)) as ledger:
            return _collect(settings, source, most_pages, root, folder, ledger)
    except SiteBusy as error:
        raise NothingToDo(f"Another run asks {source.site} already; this one leaves it alone.") from error


def _collect(
    settings: Settings, source: Source, most_pages: int, root: DataRoot, folder: str, ledger: Ledger
) -> dict[str, Any]:
    scope = {
        "first_page": source.first_page,
        "sitemap": source.sitemap,
        "with_details": source.with_details,
        "most_pages": most_pages,
    }
    path = f"{folder}/{source.kind}.sqlite"
    if os.path.exists(path):
        _finish_old_run(path, scope, root, folder)
    _refuse_to_start(settings, source, ledger, path, root, folder)
    now = datetime.now(UTC)
    journal = Journal(path)
    if journal.get("run") is None:
        facts = {
            "run": new_run(root, source.name, now),
            "kind": source.kind,
            "source": source.name,
            "site": source.site,
            "scope": scope,
            "started_at": now.isoformat(timespec="seconds"),
        }
        journal.begin(facts, source.first_links())
    else:
        log.info("the run %s goes on where it was", journal.get("run"))
    crawl(source, journal, ledger, settings, most_pages)
    if journal.next_page() is not None and journal.get("stopped") is None:
        journal.set(stopped=StopCode.INTERRUPTED, stopped_why="The run was interrupted before its last page.")
    journal.set(ended_at=datetime.now(UTC).isoformat(timespec="seconds"))
    return _deliver(journal, root, folder)


def _finish_old_run(path: str, scope: dict[str, Any], root: DataRoot, folder: str) -> None:
    """Land what a run that was killed has, unless it can go on: it had ended, is old, or was another one."""
    journal = Journal(path)
    started = journal.get("started_at")
    if started is None:
        journal.remove()
        return
    if journal.get("ended_at") is None:
        is_new = datetime.now(UTC) - datetime.fromisoformat(started) < _RESUME_WITHIN
        if is_new and journal.get("scope") == scope:
            journal.close()
            return
        journal.set(
            ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
            stopped=StopCode.KILLED,
            stopped_why="The run was killed, and was too old or another one to go on.",
        )
    try:
        _deliver(journal, root, folder)
    except DataRefused as error:
        log.warning("the run before this one: %s", error)


def _refuse_to_start(
    settings: Settings, source: Source, ledger: Ledger, path: str, root: DataRoot, folder: str
) -> None:
    """Raises `NothingToDo` when the site is not to be asked now."""
    now = datetime.now(UTC)
    stopped = ledger.stopped(now)
    hours = settings.open_hours
    if stopped is not None:
        why = f"{source.site} is left alone until {stopped[0]:%Y-%m-%d %H:%M} UTC: {stopped[1]}"
    elif hours is not None and not hours.hold(now):
        why = f"Sites are asked in the hours {hours} only (CARPRICE_COLLECT_HOURS)."
    elif ledger.asked_on(now) >= settings.pages_per_day:
        why = f"{settings.pages_per_day} requests were sent to {source.site} today, and no more are allowed."
    else:
        return
    raise NothingToDo(why)


def _deliver(journal: Journal, root: DataRoot, folder: str) -> dict[str, Any]:
    """Land the ads of a run that has ended, or hold them; its journal is gone afterwards."""
    filled = filling(journal)
    made = manifest(journal, filled)
    least = SOURCES[journal.get("kind")].least_filled
    changed = findings(
        made, filled, least, journal.pages_in("moved"), earlier_runs(root, made["source"], made["scope"])
    )
    if changed:
        made = made | {"findings": changed}
    gauges.write(root, made)
    if not changed and not filled.ads:
        lost = [why for state in ("forbidden", "failed") for _, why in journal.pages_in(state, 1)]
        why = made["stopped_why"] or (lost[0] if lost else "no page has an ad.")
        journal.remove()
        raise DataRefused(f"Ads of {made['source']} were expected, found none: {why}", result=made)
    path = f"{folder}/{made['run']}.csv"
    write_csv(journal, path)
    if changed:
        hold(root, path, made)
    else:
        made = deliver(root, path, made)
    os.unlink(path)
    journal.remove()
    if changed:
        raise DataRefused(
            f"The pages of {made['source']} were expected as before, found changed: "
            f"{' '.join(map(_told, changed[:3]))} The run {made['run']} is held with {made['ads']} ads and "
            "nothing was landed; look at the pages, then release or discard it.",
            result=made,
        )
    return made


def _told(finding: dict[str, Any]) -> str:
    examples = f" See {' and '.join(finding['examples'])} ." if finding["examples"] else ""
    return f"{finding['sentence']}{examples}"
