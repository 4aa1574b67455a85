"""Business figures for Prometheus, written to a file that the API adds to its own `/metrics`."""

from __future__ import annotations

import time
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from carprice.reports.records import drift_share, live_error, number, promised_error, time_of
from carprice.reports.state import SystemState
from carprice.store import DataRoot
from carprice_contract.data_root import GAUGES

ALERT_KINDS = ("drift", "live_error", "file_refused", "file_held", "pipeline_failed", "nothing_landed")

# The name and meaning of each gauge. The rules and the dashboard in monitoring/ query these names.
HELP = {
    "carprice_promoted_version": "Number of the model version that the registry has in production.",
    "carprice_production_promoted_timestamp_seconds": "When that version was put into production.",
    "carprice_promised_mape": "Mean relative error that the production model was promoted with.",
    "carprice_live_mape": "Mean relative error on the newest listings, of what was in production then.",
    "carprice_live_rows": "Listings behind carprice_live_mape.",
    "carprice_live_worse": "1 if the production version errs past its limit, 0 if not; absent if untold.",
    "carprice_drift_share": "Share of compared columns in which the newest listings drifted.",
    "carprice_drifted": "1 if listings drifted from what production learned, 0 if not; absent if untold.",
    "carprice_rows_accepted": "Rows of the newest file that were accepted.",
    "carprice_rows_refused": "Rows of the newest file that were refused.",
    "carprice_last_landing_timestamp_seconds": "When the newest file was checked.",
    "carprice_alerts_open": "Alerts whose cause is still there, by kind.",
    "carprice_alerts_undelivered": "Open alerts that a channel has yet to take.",
    "carprice_gauges_written_timestamp_seconds": "When these figures were written.",
}


def write(root: DataRoot, state: SystemState) -> None:
    """Write the gauges of `state` to `metrics/carprice.prom`. A value that is not known has no gauge."""
    root.write_text(GAUGES, text_of(state))


def text_of(state: SystemState) -> str:
    """The gauges in Prometheus' text format."""
    registry = CollectorRegistry()
    for name, value in _values(state).items():
        if isinstance(value, dict):
            by_kind = Gauge(name, HELP[name], ["kind"], registry=registry)
            for kind, count in value.items():
                by_kind.labels(kind).set(count)
        elif value is not None:
            Gauge(name, HELP[name], registry=registry).set(value)
    return generate_latest(registry).decode()


def _values(state: SystemState) -> dict[str, float | dict[str, float] | None]:
    live = live_error(state.live)
    promised = promised_error(state.live) if live is not None else None
    file = state.newest_file
    return {
        "carprice_promoted_version": _version(state.production_version),
        "carprice_production_promoted_timestamp_seconds": _seconds(state.production_since),
        "carprice_promised_mape": promised if promised is not None else state.promised_mape,
        "carprice_live_mape": live,
        "carprice_live_rows": number(state.live, "metrics", "rows"),
        "carprice_live_worse": {"worse": 1.0, "as promised": 0.0}.get(state.live_verdict),
        "carprice_drift_share": drift_share(state.drift),
        "carprice_drifted": {"drifted": 1.0, "stable": 0.0}.get(state.drift_verdict),
        "carprice_rows_accepted": number(file, "rows_accepted"),
        "carprice_rows_refused": number(file, "rows_refused"),
        "carprice_last_landing_timestamp_seconds": _seconds(time_of(file)),
        "carprice_alerts_open": {
            kind: float(sum(alert.get("kind") == kind for alert in state.alerts)) for kind in ALERT_KINDS
        },
        "carprice_alerts_undelivered": float(len(state.undelivered)),
        "carprice_gauges_written_timestamp_seconds": float(int(time.time())),
    }


def _version(version: str | None) -> float | None:
    return float(version) if version is not None and version.isdigit() else None


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None
