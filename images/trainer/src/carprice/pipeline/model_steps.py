"""From a snapshot to a model in production, and back to the one before."""

from __future__ import annotations

from typing import Any

from carprice.errors import CarpriceError
from carprice.pipeline.context import Context


def train_model(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Train a candidate on a snapshot."""
    from carprice.lifecycle import training

    return training.train(context.root, context.params, context.registry, snapshot_id)


def evaluate_model(context: Context, run_id: str) -> dict[str, Any]:
    """Score a candidate on listings that no model was trained on."""
    from carprice.lifecycle import evaluation

    return evaluation.evaluate(context.root, context.params, context.registry, run_id)


def promote_to_staging(context: Context, run_id: str) -> dict[str, Any]:
    """Register a candidate and gate it on its figures.

    The result says whether a person must approve the promotion and why. Raises `GateSaidNo`.
    """
    from carprice.lifecycle import promotion
    from carprice.pipeline.approval import reason_for_approval

    decision = promotion.require_yes(
        promotion.promote_to_staging(context.root, context.params, context.registry, run_id)
    )
    reason = reason_for_approval(context, run_id)
    return decision | {"needs_approval": reason is not None, "approval_reason": reason}


def validate_staging_model(context: Context, version: str) -> dict[str, Any]:
    """Load `staging` from the registry as the app does, and gate it. Raises `GateSaidNo`."""
    from carprice.lifecycle import promotion

    return promotion.require_yes(
        promotion.validate_staging(context.root, context.params, context.registry, version)
    )


def promote_to_production(context: Context, version: str, approved_by: str) -> dict[str, Any]:
    """Make a validated version `production`."""
    from carprice.alerts import events
    from carprice.lifecycle import decisions

    promoted = decisions.promote_to_production(context.registry, version, approved_by)
    events.version_in_production(context.root, promoted["version"])
    return promoted


def rollback(
    context: Context, by: str, reason: str, version: str | None = None, run: str | None = None
) -> dict[str, Any]:
    """Put `version`, or the one before, back into production; returns the entry of the history."""
    from carprice.alerts import events
    from carprice.lifecycle import rollback as rolling_back
    from carprice.monitoring import publishing

    entry = rolling_back.rollback(context.registry, by, reason, version, run)
    events.version_in_production(context.root, entry["version"])
    publishing.publish(context.root, context.registry.history())
    return entry


def send_pipeline_report(
    context: Context,
    run_id: str | None,
    version: str | None,
    states: dict[str, str],
    problems: dict[str, str] | None = None,
    dag_run: str = "",
    link: str | None = None,
) -> dict[str, Any]:
    """Write and send the report of a run.

    `states` maps a step to how it ended, `problems` a step to its last words. While MLflow is away no
    report can be written; the alert about the run is sent all the same.
    """
    from carprice.alerts import events
    from carprice.alerts.delivery import deliver
    from carprice.pipeline import run_report

    about = run_report.RunOfDag(dag_run, link, problems or {})
    settings = context.alert_params
    try:
        registry = context.registry
    except CarpriceError:
        events.steps_ended(context.root, states, about.problems, about.name, link=about.link)
        deliver(context.root, settings)
        raise
    return run_report.send_pipeline_report(context.root, registry, run_id, version, states, settings, about)
