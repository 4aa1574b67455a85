"""From a snapshot and the model in production to the market that people look at."""

from __future__ import annotations

from typing import Any

from carprice.pipeline.context import Context


def rate_listings(context: Context, snapshot_id: str = "latest") -> dict[str, Any]:
    """Rate the listings of a snapshot with the version in production; returns the market's manifest.

    Saved searches are told of new good offers: no later step of the run sends what was recorded for them.
    Raises `NothingToDo` where no version is in production.
    """
    from carprice.alerts.delivery import deliver
    from carprice.history import snapshots
    from carprice.lifecycle.rating import rater
    from carprice.market import making

    manifest = snapshots.manifest_of(context.root, snapshot_id)
    rating, run = rater(context.root, context.registry, context.params.market, manifest)
    made, _ = making.make(context.root, manifest, rating, str(run.info.run_id))
    deliver(context.root, context.alert_params)
    return made
