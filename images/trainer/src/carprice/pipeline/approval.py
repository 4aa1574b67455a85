"""Whether a person has to approve a promotion."""

from __future__ import annotations

import contextlib

from carprice.errors import NothingToDo
from carprice.lifecycle.decisions import DRIFT_TAG, LIVE_TAG, in_production
from carprice.lifecycle.registry import PRODUCTION
from carprice.pipeline.context import Context

_REASONS = {
    DRIFT_TAG: ("drifted", "the market drifted away from it"),
    LIVE_TAG: ("worse", "its live error is worse than promised"),
}


def reason_for_approval(context: Context, run_id: str) -> str | None:
    """Why a person has to approve the promotion of a run's model; None where the gates alone decide.

    With `promotion.approve_after_drift`, a person decides while the market has drifted away from the
    version in production or its live error is worse than promised. The verdict of `monitor_drift` may
    come too late, so drift is measured here, on the newest listings that the candidate learned.
    """
    registry = context.registry
    if not context.params.promotion.approve_after_drift or in_production(registry) is None:
        return None
    # Where prices are served staging is validated too, without Evidently.
    from carprice.monitoring import drift

    snapshot_id = registry.get_run(run_id).data.tags["snapshot_id"]
    with contextlib.suppress(NothingToDo):
        drift.detect_drift(context.root, context.params, registry, snapshot_id)
    production = registry.require(PRODUCTION)
    reasons = [words for tag, (bad, words) in _REASONS.items() if production.tags.get(tag) == bad]
    return f"version {production.version} is in production and {' and '.join(reasons)}" if reasons else None
