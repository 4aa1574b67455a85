"""Whether the service can give prices, and why not."""

from __future__ import annotations

from typing import Any

from price_api.problems import Refusal
from price_api.production import Follower

_RETRY = {"Retry-After": "5"}


def why_unavailable(follower: Follower) -> Refusal:
    """The refusal (503) of every price while no version is loaded."""
    if follower.mlflow_answers is False:
        return Refusal("registry-away", headers=_RETRY)
    if follower.mlflow_answers and not follower.alias_set:
        return Refusal("no-model", headers=_RETRY)
    refused = follower.refused
    if follower.mlflow_answers and refused is not None:
        params = {"version": refused.key[0], "reason": refused.reason}
        return Refusal("version-refused", params, headers=_RETRY)
    return Refusal("loading", headers=_RETRY)


def readiness(follower: Follower) -> dict[str, Any]:
    """What `/readyz` says of the model: `status` is ready, degraded or unavailable."""
    mlflow = {True: "answers", False: "away", None: "not asked yet"}[follower.mlflow_answers]
    serving = follower.production
    if serving is None:
        return {"status": "unavailable", "detail": why_unavailable(follower).detail, "mlflow": mlflow}
    version = serving.version
    problems = []
    if follower.mlflow_answers is False:
        place = "the cache on disk" if serving.source == "cache" else "memory"
        problems.append(f"MLflow does not answer: version {version} serves from {place}")
    elif not follower.alias_set:
        problems.append(f"no version is in production any more: version {version} continues to serve")
    refused = follower.refused
    if refused is not None:
        problems.append(
            f"version {refused.key[0]} was refused and version {version} continues to serve: {refused.reason}"
        )
    return {
        "status": "degraded" if problems else "ready",
        "version": version,
        "model_source": serving.source,
        "detail": "; ".join(problems) or f"version {version} is in production",
        "mlflow": mlflow,
    }
