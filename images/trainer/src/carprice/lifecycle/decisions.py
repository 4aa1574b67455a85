"""What was decided about a model version, and what follows from it: no model is loaded here."""

from __future__ import annotations

import logging
from typing import Any

from carprice import strict_json
from carprice.errors import UsageProblem
from carprice.lifecycle.registry import PRODUCTION, Registry

log = logging.getLogger(__name__)

DRIFT_TAG, LIVE_TAG = "drift.verdict", "live.verdict"
"""Tags of a model version: the newest verdict on it."""


def promote_to_production(registry: Registry, version: str, approved_by: str) -> dict[str, Any]:
    """Make a validated version `production`, and what was there `previous`; returns what was promoted.

    Raises `UsageProblem` for a version without a yes of both gates.
    """
    decisions = decisions_of(registry, version)
    for step in ("promote_to_staging", "validate_staging_model"):
        if not decisions.get(step, {}).get("passed"):
            raise UsageProblem(
                f"a version that passed {step} was expected, found version {version} with "
                f"{'a no' if step in decisions else 'no decision'}; see its report"
            )
    entry = registry.put_in_production(version, "promotion", approved_by, "all gates said yes")
    registry.tag_version(version, promoted_at=entry["at"], approved_by=approved_by)
    log.info("version %s is in production", version)
    run = registry.get_run(str(registry.version(version).run_id))
    return {
        "version": version,
        "previous_version": entry["previous_version"],
        "run_id": run.info.run_id,
        "snapshot_id": run.data.tags["snapshot_id"],
        "approved_by": approved_by,
        "at": entry["at"],
        "metrics": {k: v for k, v in run.data.metrics.items() if k.startswith("test_unflagged_")},
    }


def in_production(registry: Registry) -> str | None:
    """The version in production, None where there is none."""
    production = registry.version_of(PRODUCTION)
    return None if production is None else str(production.version)


def decisions_of(registry: Registry, version: str) -> dict[str, dict[str, Any]]:
    """The decision records of a version, by the name of the step that took them."""
    tags = registry.version(version).tags
    prefix = "decision."
    return {
        key.removeprefix(prefix): strict_json.loads(value)
        for key, value in tags.items()
        if key.startswith(prefix)
    }
