"""Every step in one process: what Airflow does in containers, on a laptop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from carprice.alerts import events
from carprice.alerts.delivery import deliver
from carprice.errors import DataRefused, NothingToDo
from carprice.lifecycle.registry import Registry
from carprice.params import Params
from carprice.pipeline import ingestion, market_steps, model_steps, watching
from carprice.pipeline.context import Context
from carprice.quality.check import FileHeld
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, receipt

log = logging.getLogger(__name__)

MODEL_STEPS = (
    "train_model",
    "evaluate_model",
    "promote_to_staging",
    "validate_staging_model",
    "promote_to_production",
)


def run(root: DataRoot, params: Params, registry: Registry, path: str) -> dict[str, Any]:
    """Land the file at `path` and take it through every step; returns the report's result.

    The report is written whatever happens after the data was accepted. Raises what the failing
    step raised; `GateSaidNo` when a gate kept the candidate out.
    """
    context = Context(root, params, registry)
    landed = ingestion.land(context, path)
    name, sha256 = landed["file"], landed["sha256"]
    _require_new(context, name, sha256)
    log.info("[1/8] check_data_quality")
    try:
        receipt = ingestion.check_data_quality(context, name, sha256)
    except (DataRefused, FileHeld):
        deliver(root, params.alerts)
        raise
    log.info("[2/8] assemble_listings")
    snapshot_id = ingestion.assemble_listings(context, [sha256])["snapshot_id"]
    # Once a model has learned the new listings they say nothing honest about it.
    _watch_production(context, snapshot_id)
    try:
        report = _train_and_promote(context, snapshot_id)
    finally:
        # with the version before, where a gate kept the candidate out
        _rate(context, snapshot_id)
    return report | {
        key: receipt[key] for key in ("rows_in", "rows_repeated", "rows_accepted", "rows_refused")
    }


def _require_new(context: Context, name: str, sha256: str) -> None:
    """Raises `NothingToDo` when the content was dealt with before and nothing is left to do."""
    path = receipt(sha256)
    if not context.root.exists(path):
        return
    with contextlib.suppress(NothingToDo):
        ingestion.claim_files(context)  # adds a new name to the receipt
    known = context.root.read_json(path)
    if known["status"] == "accepted" and sha256 not in _assembled(context.root):
        return  # a person released it, or the run that had it died
    raise NothingToDo(
        f"a file not seen before was expected, found in {name} the bytes of {known['file']}, "
        f"{known['status']} on {known['checked_at'][:10]}; nothing new was trained"
    )


def _assembled(root: DataRoot) -> set[str]:
    """The files of the newest snapshot, by SHA-256."""
    try:
        return set(root.read_json(LATEST_SNAPSHOT)["sha256"])
    except FileNotFoundError:
        return set()


def _train_and_promote(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Run the steps from training to production; the report is written in any case."""
    states: dict[str, str] = {}
    run_id: str | None = None
    version: str | None = None

    def train() -> None:
        nonlocal run_id
        run_id = model_steps.train_model(context, snapshot_id)["run_id"]

    def stage() -> None:
        nonlocal version
        version = model_steps.promote_to_staging(context, str(run_id))["version"]

    actions: tuple[Callable[[], object], ...] = (
        train,
        lambda: model_steps.evaluate_model(context, str(run_id)),
        stage,
        lambda: model_steps.validate_staging_model(context, str(version)),
        lambda: model_steps.promote_to_production(context, str(version), "gates"),
    )
    try:
        for number, (step, action) in enumerate(zip(MODEL_STEPS, actions, strict=True), start=3):
            log.info("[%d/8] %s", number, step)
            try:
                action()
            except NothingToDo:
                states[step] = "skipped"
                raise
            except Exception:
                states[step] = "failed"
                raise
            states[step] = "success"
    finally:
        log.info("[8/8] send_pipeline_report")
        report = model_steps.send_pipeline_report(context, run_id, version, states)
    return report


def _watch_production(context: Context, snapshot_id: str) -> None:
    """Judge production on the new listings. A failure is recorded as an alert and stops no training."""
    log.info("production and the new listings: score_new_listings, detect_drift")
    _beside(
        context,
        {
            "score_new_listings": lambda: watching.score_new_listings(context, [], snapshot_id),
            "detect_drift": lambda: watching.detect_drift(context, snapshot_id),
        },
    )


def _rate(context: Context, snapshot_id: str) -> None:
    """Rate the listings on offer. A failure is recorded as an alert and takes nothing back."""
    log.info("the listings on offer: rate_listings")
    _beside(context, {"rate_listings": lambda: market_steps.rate_listings(context, snapshot_id)})
    deliver(context.root, context.params.alerts)


def _beside(context: Context, actions: Mapping[str, Callable[[], object]]) -> None:
    """Run steps that stop nothing else when they fail."""
    for step, judge in actions.items():
        try:
            judge()
        except NothingToDo as nothing:
            log.info("%s: %s", step, nothing)
        except Exception as error:
            log.exception("%s failed", step)
            events.steps_ended(context.root, {step: "failed"}, {step: str(error)}, "`carprice run`")
            continue
        events.step_succeeded(context.root, step)
