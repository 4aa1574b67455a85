"""Gates between a candidate and production; each writes the record of its decision."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from carprice.errors import NothingToDo, UsageProblem
from carprice.formats import figure
from carprice.lifecycle.comparison import against_production
from carprice.lifecycle.evaluation import prices_of, test_listings
from carprice.lifecycle.gates import Gate
from carprice.lifecycle.registry import PRODUCTION, STAGING, Registry
from carprice.model.features import features_of
from carprice.model.metrics import Floats, regression_metrics
from carprice.model.signature import model_signature
from carprice.params import Params, PromotionParams
from carprice.store import DataRoot

log = logging.getLogger(__name__)


def promote_to_staging(root: DataRoot, params: Params, registry: Registry, run_id: str) -> dict[str, Any]:
    """Register a run's model and, when every gate on its figures says yes, make it `staging`."""
    run = registry.get_run(run_id)
    version = str(registry.register(run_id, run.data.tags["model_uri"]).version)
    production = registry.version_of(PRODUCTION)
    gates = _absolute_gates(run.data.metrics, params.promotion)
    compared: dict[str, Any] = {"production_version": None}
    if production is not None and str(production.version) != version:
        found, compared = against_production(root, params, registry, run, production)
        gates += found
    decision = _decide(registry, run_id, version, "promote_to_staging", gates, compared)
    if decision["passed"]:
        registry.set_alias(STAGING, version)
    return decision


def validate_staging(root: DataRoot, params: Params, registry: Registry, version: str) -> dict[str, Any]:
    """Load `staging` from the registry as the app will, and check what it promises."""
    staging = registry.version_of(STAGING)
    if staging is None or str(staging.version) != version:
        raise UsageProblem(
            f"version {version} was expected to be '{STAGING}', found version "
            f"{'none' if staging is None else staging.version}; run promote-to-staging first"
        )
    run = registry.get_run(str(staging.run_id))
    limits = params.promotion
    begun = time.perf_counter()
    loaded = registry.load_version(STAGING)
    load_seconds = time.perf_counter() - begun
    expected = model_signature()
    listings = test_listings(root, run)
    prices = prices_of(loaded.pipeline, listings)
    actual = listings["price_mad"].to_numpy(dtype=np.float64)
    logged = run.data.metrics.get("test_mape", np.nan)
    gates = [
        Gate(
            "signature_matches",
            float(loaded.signature == expected),
            ">=",
            1,
            "the registered signature is the listing's definition",
        ),
        Gate(
            "input_example_priced",
            _share_plausible(prices_of(loaded.pipeline, loaded.example)),
            ">=",
            1,
            "share of the logged input example that gets a finite, positive price",
        ),
        Gate(
            "test_rows_priced",
            _share_plausible(prices),
            ">=",
            1,
            "share of the test rows that get a finite, positive price",
        ),
        Gate(
            "same_as_evaluated",
            abs(regression_metrics(actual, prices)["mape"] - logged),
            "<=",
            1e-6,
            "the loaded model's mean error differs this much from the evaluated one's",
        ),
        Gate(
            "prediction_cpu_ms",
            _prediction_ms(loaded.pipeline, listings),
            "<=",
            limits.max_prediction_ms,
            "median processor time of one prediction, whatever else the machine is doing",
        ),
    ]
    return _decide(
        registry,
        str(staging.run_id),
        version,
        "validate_staging_model",
        gates,
        {"load_seconds": load_seconds},
    )


def _absolute_gates(metrics: dict[str, float], limits: PromotionParams) -> list[Gate]:
    flagged = metrics.get("train_rows_flagged", 0.0) + metrics["test_rows"] - metrics["test_unflagged_rows"]
    rows = "on the newest test rows whose price does not look like a typing error"

    def recent(name: str) -> float:
        # a run of an earlier release has no figures of the recent window
        of_rows = "recent" if "test_recent_rows" in metrics else "unflagged"
        return metrics.get(f"test_{of_rows}_{name}", np.nan)

    return [
        Gate(
            "test_rows",
            metrics["test_unflagged_rows"],
            ">=",
            limits.min_test_rows,
            "test listings the figures rest on",
        ),
        Gate("mape", recent("mape"), "<=", limits.max_mape, f"mean relative error {rows}"),
        Gate(
            "median_ape",
            recent("median_ape"),
            "<=",
            limits.max_median_ape,
            f"median relative error {rows}",
        ),
        Gate(
            "r2_log",
            # among cars of one kind there is no variance to explain, however good the prices are
            float(np.fmax(recent("r2_log"), metrics.get("test_unflagged_r2_log", np.nan))),
            ">=",
            limits.min_r2_log,
            f"R² of the log price {rows}, or on all such rows where it is higher",
        ),
        Gate(
            "flagged_share",
            flagged / (metrics["train_rows"] + metrics["test_rows"]),
            "<=",
            limits.max_flagged_share,
            "share of the prices, learned and tested, that look like typing errors",
        ),
    ]


def _decide(
    registry: Registry, run_id: str, version: str, step: str, gates: list[Gate], compared: dict[str, Any]
) -> dict[str, Any]:
    for gate in gates:
        log.info("gate %s", gate.sentence())
    record = {
        "step": step,
        "version": version,
        "run_id": run_id,
        "passed": all(gate.passed for gate in gates),
        "gates": [gate.record() for gate in gates],
        "compared": compared,
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    registry.record_decision(run_id, version, step, record)
    return record


def _share_plausible(prices: Floats) -> float:
    return float(np.mean(np.isfinite(prices) & (prices > 0)))


def _prediction_ms(pipeline: Any, listings: Any, calls: int = 30) -> float:
    taken = []
    for row in range(calls):
        one = features_of(listings.iloc[[row % len(listings)]])
        begun = time.process_time()
        pipeline.predict(one)
        taken.append(1000 * (time.process_time() - begun))
    return float(np.median(taken))


class GateSaidNo(NothingToDo):
    """A gate said no: not a failure, the remaining promotion steps are skipped."""


def require_yes(decision: dict[str, Any]) -> dict[str, Any]:
    """The decision, if every gate said yes. Raises `GateSaidNo` naming each one that did not."""
    if decision["passed"]:
        return decision
    words = "; ".join(
        f"{gate['name']} must be {gate['comparison']} {gate['threshold']:g}, found {figure(gate['value'])}"
        for gate in decision["gates"]
        if not gate["passed"]
    )
    raise GateSaidNo(f"version {decision['version']} is not promoted: {words}", result=decision)
