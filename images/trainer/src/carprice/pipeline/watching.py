"""What is watched while a version is in production: its live error, drift, and how fresh the data is."""

from __future__ import annotations

import logging
from typing import Any

from carprice.errors import CarpriceError, NothingToDo
from carprice.pipeline.context import Context
from carprice_contract.data_root import REPORT_INDEX

log = logging.getLogger(__name__)


def score_new_listings(context: Context, sha256: list[str], snapshot_id: str = "latest") -> dict[str, Any]:
    """Score production on listings that it was not trained on; `sha256` names their files (none: all)."""
    from carprice.alerts import events
    from carprice.lifecycle import decisions
    from carprice.monitoring import live_accuracy

    verdict = live_accuracy.score_new_listings(
        context.root, context.params, context.registry, sha256, snapshot_id
    )
    events.live_error_judged(context.root, context.params, verdict, decisions.in_production(context.registry))
    return verdict


def detect_drift(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Compare the newest listings of a snapshot with those that production was trained on."""
    from carprice.alerts import events
    from carprice.lifecycle import decisions
    from carprice.monitoring import drift

    verdict = drift.detect_drift(context.root, context.params, context.registry, snapshot_id)
    events.drift_judged(context.root, context.params, verdict, decisions.in_production(context.registry))
    return verdict


def publish_report(context: Context, report: str) -> dict[str, Any]:
    """Send waiting alerts and bring the index of reports, the gauges and Evidently's pages up to date.

    `report` is the path of the new report under the data root.
    """
    from carprice.alerts.delivery import deliver
    from carprice.monitoring import publishing, workspace

    delivery = deliver(context.root, context.alert_params)
    publishing.publish(context.root, _history(context))
    workspace.publish(context.root)
    return {
        "report": report,
        "index": REPORT_INDEX,
        "sent": delivery.sent,
        "undelivered": delivery.undelivered,
    }


def check_freshness(context: Context) -> dict[str, Any]:
    """Raise an alert when nothing has landed for long, and send the alerts that wait.

    Raises `NothingToDo` when the data is fresh and no alert waits.
    """
    from carprice.alerts import events
    from carprice.alerts.delivery import deliver
    from carprice.monitoring import publishing, workspace

    found = events.freshness_checked(context.root, context.params.alerts)
    delivery = deliver(context.root, context.params.alerts)
    publishing.publish(context.root)
    # No drift report tells Evidently's workspace of refused files and of the first file.
    workspace.publish(context.root)
    result = found | {"sent": delivery.sent, "undelivered": delivery.undelivered}
    if not found["stale"] and not delivery.sent and not delivery.undelivered:
        landed = (
            f"{found['file']} landed {found['age_days']:.0f} days ago"
            if found["file"]
            else "no file landed yet"
        )
        raise NothingToDo(f"nothing to report: {landed}, and no alert waits to be sent", result=result)
    return result


def _history(context: Context) -> list[dict[str, Any]] | None:
    """The registry's history of production; None while MLflow is away, which must stop no page."""
    try:
        return context.registry.history()
    except CarpriceError as error:
        log.warning("%s", error)
        return None
