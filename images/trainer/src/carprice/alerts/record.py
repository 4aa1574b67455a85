"""The record of alerts: one JSON document under `alerts/` for each cause, named by the cause's hash.

The step that meets a cause records it, which takes no time; a later step sends what was recorded
(`carprice.alerts.delivery`). Meeting a known cause again only raises its count. A record has one of three
states:

- `open`: the cause is still there, or a channel has not taken the alert yet;
- `resolved`: the cause is gone. The cause alerts again when it comes back;
- `told`: every channel has taken the alert, and there is no cause that could go away. It never alerts again.

On a local data root, locks keep two processes from sending the same alert. An object store has no locks:
two steps that send in the same second may both send it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from carprice.alerts.channels import channels
from carprice.errors import UsageProblem
from carprice.reports.records import documents, undelivered_to
from carprice.store import DataRoot
from carprice_contract.data_root import ALERTS

log = logging.getLogger(__name__)

Kind = Literal[
    "drift",
    "live_error",
    "file_refused",
    "file_held",
    "pipeline_failed",
    "nothing_landed",
    "report",
    "watch",
]
ONE_TIME_KINDS = ("file_refused", "report", "watch")
"""The kinds that report an event, not a condition that can go away."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Alert:
    """What a person has to know: what happened (`subject`), the figures and what to do (`text`).

    Two alerts with the same `cause` are the same alert. `report` is a page under the data root, `link` an
    address that a browser opens. `ends` is "told" where the cause is an event that never goes away.
    """

    cause: str
    kind: Kind
    subject: str
    text: str
    report: str | None = None
    link: str | None = None
    ends: str | None = None


def open_alert(root: DataRoot, alert: Alert) -> bool:
    """Record that the cause of `alert` is there; returns whether it is new.

    The alert goes to the channels that are configured now. Never fails the step that calls it.
    """
    now = timestamp()
    with never_failing("record an alert"), locked(root):
        known = read(root, alert.cause)
        if known is not None and known["state"] in ("open", "told") and known.get("ends") != "resolved":
            _write(root, known | {"last_at": now, "count": known["count"] + 1})
            log.info("known since %s, not sent again: %s", known["first_at"], alert.subject)
            return False
        record = asdict(alert) | {
            "state": "open",
            "first_at": now,
            "last_at": now,
            "resolved_at": None,
            "count": 1,
            "channels": [channel.name for channel in channels()],
            "delivered": {},
            "errors": {},
        }
        _write(root, record)
        log.log(
            logging.INFO if alert.kind in ("report", "watch") else logging.WARNING, "alert: %s", alert.subject
        )
        return True
    return False


def resolve(root: DataRoot, cause: str) -> bool:
    """Record that a cause is gone; returns whether it was there. It alerts again when it comes back."""

    def resolved(known: Record) -> Record | None:
        if known["state"] == "resolved":
            return None
        log.info("resolved: %s", known["subject"])
        return known | {"state": "resolved", "resolved_at": timestamp()}

    with never_failing("resolve an alert"):
        return update(root, cause, resolved)
    return False


def resolve_other_versions(root: DataRoot, version: str) -> None:
    """Record that `version` is in production: the drift and live error of other versions are history.

    An alert that a channel has not taken yet is still sent, with a note that the version was replaced.
    """

    def superseded(known: Record) -> Record | None:
        if known["state"] != "open" or known.get("ends"):
            return None
        log.info("version %s is in production; this is history: %s", version, known["subject"])
        text = f"{known['text']}\n\nSince then version {version} has taken its place in production."
        return close_if_finished(known | {"ends": "resolved", "text": text})

    with never_failing("close the alerts of other versions"):
        for known in all_alerts(root):
            about_a_version = known["kind"] in ("drift", "live_error")
            if about_a_version and known["state"] == "open" and known["cause"].split(":")[1] != version:
                update(root, known["cause"], superseded)


def all_alerts(root: DataRoot) -> list[Record]:
    """The records of all alerts, newest first."""
    stems = [
        name.removesuffix(".json")
        for name in root.names(ALERTS, ".json")
        if re.fullmatch(r"[0-9a-f]{64}\.json", name)
    ]
    found = documents(root, ALERTS, stems).values()
    return sorted(found, key=lambda record: str(record["first_at"]), reverse=True)


def exists(root: DataRoot, cause: str) -> bool:
    """Whether a cause has a record, in any state."""
    return root.exists(_path(cause))


def read(root: DataRoot, cause: str) -> Record | None:
    """The record of a cause, or None."""
    try:
        record: Record = root.read_json(_path(cause))
    except FileNotFoundError:
        return None
    return record


def update(root: DataRoot, cause: str, change: Callable[[Record], Record | None]) -> bool:
    """Replace the record of a cause by what `change` makes of it; returns whether it was replaced.

    `change` returns None to leave the record as it is, and is not called where there is none.
    """
    if not exists(root, cause):  # the usual case needs no lock
        return False
    with locked(root):
        known = read(root, cause)
        changed = None if known is None else change(known)
        if changed is None:
            return False
        _write(root, changed)
        return True


def close_if_finished(record: Record) -> Record:
    """`record` in its final state, if it ends with its delivery and every channel has taken it."""
    final_state = "told" if record["kind"] in ONE_TIME_KINDS else record.get("ends")
    if record["state"] != "open" or not final_state or undelivered_to(record):
        return record
    return record | {"state": final_state, "resolved_at": timestamp()}


@contextmanager
def never_failing(action: str) -> Iterator[None]:
    """Log an error of the block and go on: a step must not fail because its alert can't be kept."""
    try:
        yield
    except (UsageProblem, OSError, ValueError, KeyError) as error:
        log.error("can't %s: %s: %s", action, type(error).__name__, error)


@contextmanager
def locked(root: DataRoot, cause: str | None = None, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of all records, or the sending lock of one cause; false if it is taken and not `wait`."""
    name = ".records" if cause is None else f".{_hash(cause)}.json"
    with root.locked(f"{ALERTS}/{name}.lock", wait) as held:
        yield held


def timestamp() -> str:
    """The present time (UTC) as records hold it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _write(root: DataRoot, record: Record) -> None:
    root.write_json(_path(record["cause"]), record)


def _path(cause: str) -> str:
    return f"{ALERTS}/{_hash(cause)}.json"


def _hash(cause: str) -> str:
    return hashlib.sha256(cause.encode()).hexdigest()
