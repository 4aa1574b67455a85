"""Every step in one process: what Airflow does in containers, on a laptop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from carprice.alerts import alerts
from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.landing import landing
from carprice.lifecycle import evaluation, promotion, training
from carprice.lifecycle.registry import Registry
from carprice.monitoring import drift, live_accuracy
from carprice.params import Params
from carprice.quality import quality
from carprice.reports import reports
from carprice.store import DataRoot

log = logging.getLogger(__name__)


def run(root: DataRoot, params: Params, registry: Registry, path: str) -> dict[str, Any]:
    """Land the file at `path` and take it through every step; returns the report's result.

    The report is written whatever happens after the data was accepted. Raises what the failing
    step raised; `GateSaidNo` when a gate kept the candidate out.
    """
    landed = landing.land(root, path)
    name, sha256 = landed["file"], landed["sha256"]
    if root.exists(f"receipts/{sha256}.json"):
        with contextlib.suppress(NothingToDo):
            landing.claim(root, params)  # notes the new name, if it is one
        known = root.read_json(f"receipts/{sha256}.json")
        raise NothingToDo(
            f"a file not seen before was expected, found in {name} the bytes of {known['file']}, "
            f"{known['status']} on {known['checked_at'][:10]}; nothing new was trained"
        )
    log.info("[1/8] check_data_quality")
    receipt = quality.check_data_quality(root, params, name, sha256)
    log.info("[2/8] assemble_listings")
    snapshot = snapshots.assemble(root, params, [sha256])
    _judge_production(root, params, registry, snapshot["snapshot_id"])
    states: dict[str, str] = {}
    run_id = version = None
    try:
        log.info("[3/8] train_model")
        run_id = training.train(root, params, registry, snapshot["snapshot_id"])["run_id"]
        states["train_model"] = "success"
        log.info("[4/8] evaluate_model")
        evaluation.evaluate(root, params, registry, run_id)
        states["evaluate_model"] = "success"
        log.info("[5/8] promote_to_staging")
        version = promotion.require_yes(promotion.promote_to_staging(root, params, registry, run_id))[
            "version"
        ]
        states["promote_to_staging"] = "success"
        log.info("[6/8] validate_staging_model")
        promotion.require_yes(promotion.validate_staging(root, params, registry, version))
        states["validate_staging_model"] = "success"
        log.info("[7/8] promote_to_production")
        promotion.promote_to_production(registry, version, "gates")
        alerts.put_in_production(root, version)
        states["promote_to_production"] = "success"
    except Exception as error:
        steps = ["train_model", "evaluate_model", "promote_to_staging", "validate_staging_model"]
        stopped = next((step for step in steps if step not in states), "promote_to_production")
        states[stopped] = "skipped" if isinstance(error, NothingToDo) else "failed"
        raise
    finally:
        log.info("[8/8] send_pipeline_report")
        report = reports.send_pipeline_report(root, registry, run_id, version, states, params.alerts)
    return report | {
        key: receipt[key] for key in ("rows_in", "rows_repeated", "rows_accepted", "rows_refused")
    }


def _judge_production(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> None:
    """Before the training that learns the listings: afterwards they have no honest figure to give.

    What can't be judged is told and stops no training.
    """
    log.info("production and the new listings: score_new_listings, detect_drift")

    def score() -> None:
        verdict = live_accuracy.score_new_listings(root, params, registry, snapshot_id=snapshot_id)
        alerts.for_live_error(root, params, verdict, promotion.in_production(registry))

    def compare() -> None:
        verdict = drift.detect_drift(root, params, registry, snapshot_id)
        alerts.for_drift(root, params, verdict, promotion.in_production(registry))

    judges: dict[str, Callable[[], None]] = {"score_new_listings": score, "detect_drift": compare}
    for step, judge in judges.items():
        try:
            judge()
        except NothingToDo as nothing:
            log.info("%s: %s", step, nothing)
            alerts.step_worked(root, step)
        except Exception as error:
            log.exception("%s failed", step)
            alerts.for_pipeline(root, {step: "failed"}, {step: str(error)}, "`carprice run`")
        else:
            alerts.step_worked(root, step)
