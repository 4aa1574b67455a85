"""Sends what the record of alerts holds: each open alert once to every channel.

A channel that can't be reached keeps the alert pending, with the reason in the record, until a later
delivery gets it through. The waits between the tries grow, and are longer where the alert may have been
delivered already. Each try has the same key, by which the other side can tell that it is the same alert.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from carprice.alerts import wording
from carprice.alerts.channels import SETTINGS, Message, channels
from carprice.alerts.record import (
    Record,
    all_alerts,
    close_if_finished,
    locked,
    never_failing,
    read,
    timestamp,
    update,
)
from carprice.alerts.sending import Failure, send
from carprice.errors import UsageProblem
from carprice.params import AlertParams
from carprice.reports.paths import relative_to_index
from carprice.reports.records import undelivered_to
from carprice.settings import settings
from carprice.store import DataRoot

# Where an alert may have arrived, a further try may be one too many; where it has not, people wait for it.
_FIRST_WAIT_UNSURE, _LONGEST_WAIT_UNSURE = timedelta(hours=1), timedelta(hours=24)
_TRIES_WITHOUT_WAIT = 3
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=15), timedelta(hours=1)


@dataclass(frozen=True)
class Delivery:
    """The channels that took everything, and for each other channel why it did not."""

    sent: list[str] = field(default_factory=list)
    undelivered: dict[str, str] = field(default_factory=dict)


def deliver(root: DataRoot, params: AlertParams, at_once: bool = False) -> Delivery:
    """Send every open alert to the channels that have not taken it, and close the alerts this finishes.

    A channel that failed is tried again when its wait is over, or `at_once`. Takes at most
    `alerts.send_seconds`, and for a mail server that was reached `alerts.mail_seconds`, whatever the other
    side does, and never raises.
    """
    delivery = Delivery()
    with never_failing("send alerts"), contextlib.ExitStack() as held_locks:
        configured = [channel.name for channel in channels()]
        mine = []
        for seen in all_alerts(root):
            if not _needs_delivery(seen, configured, at_once):
                continue
            # Another process that holds the lock is sending this alert right now.
            if held_locks.enter_context(locked(root, seen["cause"], wait=False)):
                known = read(root, seen["cause"])
                if known is not None and _needs_delivery(known, configured, at_once):
                    mine.append(known | {"channels": _recipients(known, configured)})
        mine.sort(key=lambda record: str(record["first_at"]))
        messages = [_message(root, record) for record in mine]
        pending = {
            channel: [i for i, record in enumerate(mine) if channel in _due(record, at_once)]
            for channel in configured
        }
        queues = {c: [messages[i] for i in pending[c]] for c in configured}
        outcomes = send(queues, params.send_seconds, params.mail_seconds)
        for i, record in enumerate(mine):
            results = {c: outcomes[c][pending[c].index(i)] for c in configured if i in pending[c]}
            _record_results(root, record, results)
        for channel, outcome in outcomes.items():
            problem = next((p for p in outcome if p is not None), None)
            if problem is None:
                delivery.sent.append(channel)
            else:
                delivery.undelivered[channel] = str(problem)
    return delivery


def send_test(params: AlertParams) -> dict[str, str | None]:
    """Send a test through every configured channel: None where it was accepted, otherwise why not.

    Raises `UsageProblem` where no channel is configured.
    """
    names = [channel.name for channel in channels()]
    if not names:
        raise UsageProblem(
            f"a channel for alerts was expected, found none; set {SETTINGS} (docs/settings.md)"
        )
    message = Message(*wording.trial())
    outcomes = send({name: [message] for name in names}, params.send_seconds, params.mail_seconds)
    return {name: None if outcome[0] is None else str(outcome[0]) for name, outcome in outcomes.items()}


def _message(root: DataRoot, record: Record) -> Message:
    """The message of an alert: its text, then the addresses of the report and of the run."""
    text, page = str(record["text"]), None
    report = record["report"]
    if report:
        with contextlib.suppress(FileNotFoundError):
            page = root.read_bytes(report)
        text += f"\n\nReport: {root.uri(report)}"
        base = settings().reports_url.rstrip("/")
        if base:
            text += f"\n{base}/{relative_to_index(report)}"
    if record["link"]:
        text += f"\nRun: {record['link']}"
    if record["count"] > 1:
        text += f"\nSeen {record['count']} times since {record['first_at']}."
    # an alert that comes back after it was resolved is another one
    key = hashlib.sha256(f"{record['cause']} {record['first_at']}".encode()).hexdigest()[:32]
    return Message(str(record["subject"]), text, page, key)


def _record_results(root: DataRoot, sent: Record, results: Mapping[str, Failure | None]) -> None:
    """Record for each channel that an alert was accepted, or why not, and close the alert if that ends it."""

    def with_results(known: Record) -> Record | None:
        if known["first_at"] != sent["first_at"]:
            return None  # resolved and opened again meanwhile: this is another alert
        accepted = {channel: timestamp() for channel, problem in results.items() if problem is None}
        problems = known["errors"] | {c: None if p is None else str(p) for c, p in results.items()}
        tried = {c: p for c, p in results.items() if p is None or p.end != "not tried"}
        updated = {
            "attempts": known.get("attempts", {}) | {c: _attempt(known, c, p) for c, p in tried.items()},
            "channels": sent["channels"],
            "delivered": known["delivered"] | accepted,
            "errors": {c: p for c, p in problems.items() if p is not None and c in sent["channels"]},
        }
        return close_if_finished(known | updated)

    update(root, sent["cause"], with_results)


def _attempt(known: Record, channel: str, failure: Failure | None) -> dict[str, Any]:
    """The tries of a channel, with one more."""
    before = known.get("attempts", {}).get(channel, {"count": 0, "unsure": 0})
    unsure = int(failure is not None and failure.end == "unsure")
    return {"count": before["count"] + 1, "unsure": before["unsure"] + unsure, "last_at": timestamp()}


def _due(record: Record, at_once: bool) -> list[str]:
    """The channels that an alert is sent to now."""
    now = datetime.now(UTC)
    return [
        channel
        for channel in undelivered_to(record)
        if at_once
        or (tries := record.get("attempts", {}).get(channel)) is None
        # a try in the future is from before the clock was set back
        or abs(now - datetime.fromisoformat(tries["last_at"])) >= _wait(tries)
    ]


def _wait(tries: Mapping[str, Any]) -> timedelta:
    """How long to wait after the last try of a channel."""
    if tries["unsure"]:
        return _doubled(_FIRST_WAIT_UNSURE, tries["unsure"] - 1, _LONGEST_WAIT_UNSURE)
    more = tries["count"] - _TRIES_WITHOUT_WAIT
    return _doubled(_FIRST_WAIT, more, _LONGEST_WAIT) if more >= 0 else timedelta(0)


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    return min(first * 2.0 ** min(times, 10), longest)


def _recipients(record: Record, configured: list[str]) -> list[str]:
    """The channels that an alert goes to, without those that are no longer configured.

    If none of them is left and none took the alert, it goes to all channels that are configured now, so
    that somebody learns of it. If nothing is configured, as in a person's own shell, nothing changes.
    """
    recipients: list[str] = record["channels"]
    if not configured or not recipients:
        return recipients
    return [c for c in recipients if c in configured or c in record["delivered"]] or configured


def _needs_delivery(record: Record, configured: list[str], at_once: bool) -> bool:
    """Whether an alert has to be sent or closed, or lists a channel that is no longer configured."""
    if record["state"] != "open":
        return False
    updated = record | {"channels": _recipients(record, configured)}
    waits = bool(set(_due(updated, at_once)) & set(configured))
    return waits or updated["channels"] != record["channels"] or close_if_finished(updated)["state"] != "open"
