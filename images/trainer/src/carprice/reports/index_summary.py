"""The top of the index: the state of the system in five figures, and what a person should look into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carprice.formats import percent, thousands
from carprice.reports.paths import relative_to_index
from carprice.reports.phrases import about_share, about_version, colour_of, joined, sentence
from carprice.reports.records import (
    Document,
    delivery_problem,
    drift_verdict,
    live_error,
    number,
    promised_error,
    time_of,
)
from carprice.reports.state import SystemState

# An open alert of these kinds needs nobody to look into it. A refused file counts until the next one has
# landed; a report only waits to be sent.
_NO_FINDING = ("file_refused", "report", "watch")
_MOST_ALERTS = 5


@dataclass(frozen=True)
class Tile:
    """One figure of the system's state."""

    name: str
    figure: str
    words: str
    colour: str = ""
    at: datetime | None = None
    href: str = ""


def tiles(state: SystemState) -> list[Tile]:
    """The figures of the system's state, in the order of the page."""
    return [_production(state), _live_error(state), _market(state), _newest_file(state), _alerts(state)]


def attention(state: SystemState) -> list[tuple[str, str]]:
    """What a person should look into: a sentence, and the address of the report about it or nothing.

    Empty when all is well.
    """
    found = [
        (
            sentence(str(alert.get("subject", "")).removeprefix("Car prices: ")),
            relative_to_index(str(alert.get("report") or "")),
        )
        for alert in state.alerts
        if alert.get("subject") and alert.get("kind") not in _NO_FINDING
    ][:_MOST_ALERTS]
    alerted = {alert.get("kind") for alert in state.alerts}
    if state.production_version is None:
        found.append(("No model is in production", ""))
    if state.pipeline.get("verdict") == "failed" and "pipeline_failed" not in alerted:
        found.append((sentence(state.pipeline.get("headline")), _page_of(state.pipeline, "pipeline")))
    if state.live_verdict == "worse" and "live_error" not in alerted:
        found.append(("The model errs more on new listings than was promised", _page_of(state.live, "live")))
    if state.drift_verdict == "drifted" and "drift" not in alerted:
        found.append(
            ("The market has moved away from what the model learned", _page_of(state.drift, "drift"))
        )
    file = state.newest_file
    if file.get("status") == "refused":
        found.append(
            (f"The newest file, {file.get('file')}, was refused", f"quality/{file.get('sha256')}.html")
        )
    if any(delivery_problem(alert) for alert in state.undelivered):
        found.append(("An alert did not reach everybody: a channel does not answer", ""))
    return found


def _production(state: SystemState) -> Tile:
    words = "" if state.production_version else "No model has been promoted yet."
    if state.production_since:
        words = {"rollback": "rolled back", "promotion": "promoted"}.get(
            state.production_action or "", "since then"
        )
    return Tile(
        "In production",
        about_version("Version {}", state.production_version) or "None",
        words,
        "yes" if state.production_version else "wait",
        state.production_since,
    )


def _live_error(state: SystemState) -> Tile:
    live = state.live
    error = live_error(live)
    promised = promised_error(live)
    promised = promised if promised is not None else state.promised_mape
    return Tile(
        "Live error",
        percent(error) if error is not None else "–",
        joined(
            about_share("{} promised", promised),
            live.get("verdict") if live else "no new listings priced yet",
            _replaced_version(live.get("version"), state),
        ),
        colour_of(state.live_verdict),
        time_of(live, str(live.get("stem", ""))),
        _page_of(live, "live"),
    )


def _market(state: SystemState) -> Tile:
    drift = state.drift
    found = sentence(drift.get("headline") or drift.get("file")) if drift else "no new listings compared yet"
    return Tile(
        "Market",
        drift_verdict(drift).capitalize() or "–",
        joined(found, _replaced_version(drift.get("production_version"), state)),
        colour_of(state.drift_verdict),
        time_of(drift, str(drift.get("stem", ""))),
        _page_of(drift, "drift"),
    )


def _newest_file(state: SystemState) -> Tile:
    file = state.newest_file
    if not file:
        return Tile("Newest file", "–", "no file has landed yet")
    refused, rows_in = number(file, "rows_refused"), number(file, "rows_in")
    whole = {"refused": "Refused", "held": "Held"}.get(str(file.get("status")), "")
    rows_refused = f"{thousands(refused)} refused" if refused is not None else "–"
    return Tile(
        "Newest file",
        whole or rows_refused,
        joined(f"of {thousands(rows_in)} rows" if rows_in is not None else "", file.get("file")),
        "no" if whole == "Refused" else "wait" if whole or refused else "yes",
        time_of(file),
        f"quality/{file['sha256']}.html" if file.get("sha256") and file.get("quality_page") else "",
    )


def _alerts(state: SystemState) -> Tile:
    waiting = state.undelivered
    problem = next((why for alert in waiting if (why := delivery_problem(alert))), "")
    words = f"{len(waiting)} waiting to be sent" if waiting else ""
    if problem:
        words = f"{len(waiting)} not delivered: {problem[:120]}"
    return Tile(
        "Alerts",
        f"{len(state.alerts)} open" if state.alerts else "None open",
        words,
        "no" if problem else "wait" if state.alerts else "yes",
    )


def _replaced_version(version: Any, state: SystemState) -> str:
    """The version that a figure is about, where that is not the version in production."""
    return f"version {version}" if version is not None and str(version) != state.production_version else ""


def _page_of(record: Document, kind: str) -> str:
    """The address of a record's page on the index; empty where there is no record."""
    return f"{kind}/{record['stem']}.html" if record.get("stem") else ""
