"""The JSON that reports, receipts and alerts leave beside their pages, read with patience.

What reads here looks back over months of records, some older than the code that reads them: a record
that is broken or lacks a key costs its own line on a page, never the page.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from carprice.store import DataRoot

log = logging.getLogger(__name__)

Document = dict[str, Any]

# Reads wait for the store, not for the processor, where the data root is an object store.
_READERS = 16
# The registry's history of production, for those who must not wait for the registry.
HISTORY = "reports/production.json"
_STAMP = re.compile(r"(\d{8}T\d{6})Z")


def documents(root: DataRoot, folder: str, stems: Iterable[str]) -> dict[str, Document]:
    """The JSON objects `<folder>/<stem>.json` by stem; those that are absent or broken are left out."""

    def read(stem: str) -> Document | None:
        name = f"{folder}/{stem}.json"
        try:
            found = root.read_json(name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s can't be read and is left out: %s", name, error)
            return None
        return found if isinstance(found, dict) else None

    wanted = list(stems)
    with ThreadPoolExecutor(_READERS) as pool:
        return {
            stem: found
            for stem, found in zip(wanted, pool.map(read, wanted), strict=True)
            if found is not None
        }


def stems(root: DataRoot, folder: str, suffix: str = ".json") -> list[str]:
    """The stems of the records (or pages) of `folder`, by name: reports carry their time in theirs.

    Evidently's own files lie beside a report (`<stem>.evidently.html`) and are none of their own.
    """
    return [
        name.removesuffix(suffix)
        for name in root.names(folder, suffix)
        if not name.startswith(".") and not name.endswith(f".evidently{suffix}")
    ]


def newest(root: DataRoot, folder: str, look_back: int = 20) -> Document:
    """The newest readable record of a folder of reports, or an empty one."""
    for stem in stems(root, folder)[: -look_back - 1 : -1]:
        if found := documents(root, folder, [stem]).get(stem):
            return {"stem": stem} | found
    return {}


def time_of(document: Mapping[str, Any], stem: str = "") -> datetime | None:
    """When a record was written (UTC): by its own word, else by the time in its name."""
    for key in ("written_at", "at", "checked_at"):
        if isinstance(document.get(key), str):
            try:
                told = datetime.fromisoformat(document[key])
            except ValueError:
                continue
            return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    found = _STAMP.search(stem)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def number(value: Any, *keys: str) -> float | None:
    """`value[key][key]…` where that is a finite number, else None."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def drift_verdict(drift: Mapping[str, Any]) -> str:
    """The verdict of a drift record: `stable`, `drifted` or `too little data`; empty where untold."""
    if isinstance(drift.get("verdict"), str):
        return str(drift["verdict"])
    return {True: "drifted", False: "stable"}.get(drift.get("drifted", ""), "")


def drift_share(drift: Mapping[str, Any]) -> float | None:
    """The share of the compared columns that drifted."""
    told = number(drift, "drift_share")
    columns, drifted = drift.get("columns"), drift.get("drifted_columns")
    if told is not None or not isinstance(drifted, list):
        return told
    count = len(columns) if isinstance(columns, list | dict) else number(columns)
    return len(drifted) / count if count else None


def live_error(live: Mapping[str, Any]) -> float | None:
    """The mean relative error of a live accuracy record, a share of the asking price."""
    return number(live, "metrics", "mape")


def promised_error(live: Mapping[str, Any]) -> float | None:
    """What the record's version was promised to err by when it was promoted."""
    promised = live.get("promised")
    return number(promised, "mape") if isinstance(promised, Mapping) else number(promised)


@dataclass(frozen=True)
class State:
    """The state of things, as the records tell it; what none of them tells is None or empty.

    `alerts` are those whose cause is still there, the newest first; `receipts` are those of all files,
    by hash; `history` is the registry's, oldest first.
    """

    production_version: str | None = None
    production_since: datetime | None = None
    production_action: str | None = None
    promised_mape: float | None = None
    drift: Document = field(default_factory=dict)
    live: Document = field(default_factory=dict)
    newest_file: Document = field(default_factory=dict)
    pipeline: Document = field(default_factory=dict)
    alerts: list[Document] = field(default_factory=list)
    receipts: dict[str, Document] = field(default_factory=dict)
    history: list[Document] = field(default_factory=list)

    @property
    def drift_verdict(self) -> str:
        """The newest drift verdict, empty where it is about a version that is not in production any more."""
        about = self.drift.get("production_version")
        return drift_verdict(self.drift) if str(about) == self.production_version else ""

    @property
    def live_verdict(self) -> str:
        """The newest verdict on the live error, empty where another version is in production by now."""
        about = self.live.get("version")
        return str(self.live.get("verdict") or "") if str(about) == self.production_version else ""

    @property
    def undelivered(self) -> list[Document]:
        """The open alerts that a channel has yet to take."""
        return [alert for alert in self.alerts if _awaited(alert)]


def state_of(root: DataRoot, history: list[Document] | None = None) -> State:
    """Read the state of things.

    `history` is the registry's. It is kept for those who can't ask: None means what was kept last.
    """
    if history is not None:
        root.write_json(HISTORY, history)
    receipts = documents(root, "receipts", stems(root, "receipts"))
    pipelines = stems(root, "reports/pipeline")
    told = documents(root, "reports/pipeline", pipelines[-200:])
    last = next((told[stem] for stem in reversed(pipelines[-200:]) if stem in told), {})
    entries = history if history is not None else _kept_history(root, last)
    entry: Document = entries[-1] if entries else {}
    version = entry.get("version")
    live = newest(root, "reports/live")
    promised = next(
        (
            number(report, "metrics", "test_unflagged_mape")
            for _, report in sorted(told.items(), reverse=True)
            if version is not None and report.get("version") == version and report.get("metrics")
        ),
        None,
    )
    if promised is None and live.get("version") == version:
        promised = promised_error(live)
    alerts = documents(root, "alerts", stems(root, "alerts")).values()
    there = [alert for alert in alerts if alert.get("state") == "open"]
    return State(
        production_version=str(version) if version is not None else None,
        production_since=time_of(entry),
        production_action=entry.get("action"),
        promised_mape=promised,
        drift=newest(root, "reports/drift"),
        live=live,
        newest_file=max(receipts.values(), key=lambda r: str(r.get("checked_at", "")), default={}),
        pipeline={"stem": pipelines[-1]} | told.get(pipelines[-1], {}) if pipelines else {},
        alerts=sorted(there, key=lambda alert: str(alert.get("first_at", "")), reverse=True),
        receipts=receipts,
        history=entries,
    )


def problem_of(alert: Mapping[str, Any]) -> str:
    """Why a channel did not take an alert; empty where all did, or none was tried yet."""
    errors = alert.get("errors")
    return next((str(p) for p in errors.values() if p), "") if isinstance(errors, Mapping) else ""


def _awaited(alert: Mapping[str, Any]) -> bool:
    channels, delivered = alert.get("channels"), alert.get("delivered")
    return isinstance(channels, list) and any(
        channel not in delivered for channel in channels if isinstance(delivered, Mapping)
    )


def _kept_history(root: DataRoot, last_report: Mapping[str, Any]) -> list[Document]:
    try:
        kept = root.read_json(HISTORY)
    except (OSError, ValueError):
        kept = last_report.get("history")
    return [entry for entry in kept if isinstance(entry, dict)] if isinstance(kept, list) else []
