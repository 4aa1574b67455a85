"""The JSON records that steps write beside their reports, receipts and alerts, read leniently.

Readers look back over months of records, and some records are older than this code. A record that is
broken or lacks a key costs its own line on a page, never the page.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from carprice.store import DataRoot

log = logging.getLogger(__name__)

Document = dict[str, Any]

# Where the data root is an object store, a read waits for the network and not for the processor.
_READERS = 16
_TIME_IN_NAME = re.compile(r"(\d{8}T\d{6})Z")


def documents(root: DataRoot, folder: str, stems: Iterable[str]) -> dict[str, Document]:
    """The JSON objects `<folder>/<stem>.json` by stem, without those that are absent or broken."""

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
    """The stems of the records (or pages) of `folder`, sorted. The name of a report begins with its time.

    Evidently's own files (`<stem>.evidently.html`) lie beside a report and are left out.
    """
    return [
        name.removesuffix(suffix)
        for name in root.names(folder, suffix)
        if not name.startswith(".") and not name.endswith(f".evidently{suffix}")
    ]


def newest(root: DataRoot, folder: str, look_back: int = 20) -> Document:
    """The newest readable record of a folder of reports with its `stem`, or an empty one."""
    for stem in stems(root, folder)[: -look_back - 1 : -1]:
        if found := documents(root, folder, [stem]).get(stem):
            return {"stem": stem} | found
    return {}


def time_of(document: Mapping[str, Any], stem: str = "") -> datetime | None:
    """When a record was written (UTC): the time that it holds, otherwise the time in its name."""
    for key in ("written_at", "at", "checked_at"):
        if isinstance(document.get(key), str):
            try:
                written = datetime.fromisoformat(document[key])
            except ValueError:
                continue
            return written.astimezone(UTC) if written.tzinfo else written.replace(tzinfo=UTC)
    found = _TIME_IN_NAME.search(stem)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def modified_at(entry: Mapping[str, Any]) -> datetime | None:
    """When the file of an fsspec entry was last changed (UTC). The key and its type depend on the store."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    return None


def number(value: Any, *keys: str) -> float | None:
    """`value[key][key]…` where that is a finite number, else None."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def drift_verdict(drift: Mapping[str, Any]) -> str:
    """The verdict of a drift record: `stable`, `drifted` or `too little data`; empty where it has none."""
    if isinstance(drift.get("verdict"), str):
        return str(drift["verdict"])
    return {True: "drifted", False: "stable"}.get(drift.get("drifted", ""), "")


def drift_share(drift: Mapping[str, Any]) -> float | None:
    """The share of the compared columns that drifted."""
    recorded = number(drift, "drift_share")
    columns, drifted = drift.get("columns"), drift.get("drifted_columns")
    if recorded is not None or not isinstance(drifted, list):
        return recorded
    count = len(columns) if isinstance(columns, list | dict) else number(columns)
    return len(drifted) / count if count else None


def live_error(live: Mapping[str, Any]) -> float | None:
    """The mean relative error in a live accuracy record, as a share of the asking price."""
    return number(live, "metrics", "mape")


def promised_error(live: Mapping[str, Any]) -> float | None:
    """The mean relative error that the version of a live accuracy record was promoted with."""
    promised = live.get("promised")
    return number(promised, "mape") if isinstance(promised, Mapping) else number(promised)


def undelivered_to(alert: Mapping[str, Any]) -> list[str]:
    """The channels that have not taken an alert yet."""
    channels, delivered = alert.get("channels"), alert.get("delivered")
    if not isinstance(channels, list) or not isinstance(delivered, Mapping):
        return []
    return [channel for channel in channels if channel not in delivered]


def delivery_problem(alert: Mapping[str, Any]) -> str:
    """Why a channel did not take an alert; empty where all took it, or none was tried yet."""
    errors = alert.get("errors")
    return next((str(p) for p in errors.values() if p), "") if isinstance(errors, Mapping) else ""
