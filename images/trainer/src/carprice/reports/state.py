"""The present state of the system, read from the records that the steps left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carprice.landing.summaries import summaries
from carprice.reports.paths import PRODUCTION_HISTORY
from carprice.reports.records import (
    Document,
    documents,
    drift_verdict,
    newest,
    number,
    promised_error,
    stems,
    time_of,
    undelivered_to,
)
from carprice.store import DataRoot

# The pipeline reports that are searched for the promise of the version in production.
_LOOK_BACK = 200


@dataclass(frozen=True)
class SystemState:
    """What is in production and what the newest records say; None or empty where no record says it.

    `alerts` are the open ones, newest first. `receipts` has the summary of that of every file, by
    SHA-256. `history` is
    the registry's history of production, oldest first.
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
        """The newest drift verdict; empty where it is about a version that has been replaced."""
        judged = self.drift.get("production_version")
        return drift_verdict(self.drift) if str(judged) == self.production_version else ""

    @property
    def live_verdict(self) -> str:
        """The newest verdict on the live error; empty where it is about a version that has been replaced."""
        judged = self.live.get("version")
        return str(self.live.get("verdict") or "") if str(judged) == self.production_version else ""

    @property
    def undelivered(self) -> list[Document]:
        """The open alerts that a channel has not taken yet."""
        return [alert for alert in self.alerts if undelivered_to(alert)]


def save_production_history(root: DataRoot, history: list[Document]) -> None:
    """Keep a copy of the registry's history, so that the state can be read without the registry."""
    root.write_json(PRODUCTION_HISTORY, history)


def read_state(root: DataRoot) -> SystemState:
    """Read the state from the data root alone; nothing here waits for the registry."""
    receipts = summaries(root, skip_broken=True)
    pipelines = stems(root, "reports/pipeline")
    reports = documents(root, "reports/pipeline", pipelines[-_LOOK_BACK:])
    last = next((reports[stem] for stem in reversed(pipelines[-_LOOK_BACK:]) if stem in reports), {})
    history = _saved_history(root, last)
    entry: Document = history[-1] if history else {}
    version = entry.get("version")
    live = newest(root, "reports/live")
    promised = next(
        (
            number(report, "metrics", "test_unflagged_mape")
            for _, report in sorted(reports.items(), reverse=True)
            if version is not None and report.get("version") == version and report.get("metrics")
        ),
        None,
    )
    if promised is None and live.get("version") == version:
        promised = promised_error(live)
    alerts = documents(root, "alerts", stems(root, "alerts")).values()
    open_alerts = [alert for alert in alerts if alert.get("state") == "open"]
    return SystemState(
        production_version=str(version) if version is not None else None,
        production_since=time_of(entry),
        production_action=entry.get("action"),
        promised_mape=promised,
        drift=newest(root, "reports/drift"),
        live=live,
        newest_file=max(receipts.values(), key=lambda r: str(r.get("checked_at", "")), default={}),
        pipeline={"stem": pipelines[-1]} | reports.get(pipelines[-1], {}) if pipelines else {},
        alerts=sorted(open_alerts, key=lambda alert: str(alert.get("first_at", "")), reverse=True),
        receipts=receipts,
        history=history,
    )


def _saved_history(root: DataRoot, last_report: Mapping[str, Any]) -> list[Document]:
    """The saved copy of the registry's history, otherwise the one in the last pipeline report."""
    try:
        saved = root.read_json(PRODUCTION_HISTORY)
    except (OSError, ValueError):
        saved = last_report.get("history")
    return [entry for entry in saved if isinstance(entry, dict)] if isinstance(saved, list) else []
