"""The story of a version: its training data, its accuracy, and why it is in production."""

from __future__ import annotations

import csv
import io
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from carprice.errors import CarpriceError
from carprice.history import snapshots
from carprice.history.seen import dated
from carprice.lifecycle.decisions import decisions_of
from carprice.listings.market_prices import at_market_prices
from carprice.reports import paths
from carprice.store import DataRoot
from price_api.serving import NoSnapshot, Tables

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from carprice.lifecycle.registry import Registry

log = logging.getLogger(__name__)

# Each one costs a request to MLflow.
HISTORY_WITH_GATES = 20


def story_of(registry: Registry, root: DataRoot, version: ModelVersion) -> tuple[dict[str, Any], str | None]:
    """The JSON of `/v1/model` for a version, and its model card (HTML) if it has one.

    A part that can't be found is left empty. Raises `TryAgain` if MLflow is away.
    """
    number, run_id = str(version.version), str(version.run_id or "")
    story: dict[str, Any] = {
        "version": number,
        "run_id": run_id,
        "metrics": {},
        "gates": _gates(registry, number),
        "training": {"snapshot_id": None, "rows": None, "files": [], "trained_at": None},
        "history": _history(registry),
        "importance": [],
    }
    try:
        run = registry.get_run(run_id)
    except CarpriceError as problem:
        if problem.exit_code == 75:
            raise
        log.warning("version %s has no run: %s", number, problem)
        return story, None
    story["metrics"] = dict(sorted(run.data.metrics.items()))
    snapshot_id = run.data.tags.get("snapshot_id")
    started = run.info.start_time
    story["training"] = {
        "snapshot_id": snapshot_id,
        "rows": int(run.data.metrics["train_rows"]) if "train_rows" in run.data.metrics else None,
        "files": _files(root, snapshot_id),
        "trained_at": datetime.fromtimestamp(started / 1000, UTC).isoformat(timespec="seconds")
        if started
        else None,
    }
    story["importance"] = _importance(registry, run_id)
    return story, _card(root, run_id)


def _gates(registry: Registry, version: str) -> list[dict[str, Any]]:
    return list(decisions_of(registry, version).values())


def _history(registry: Registry) -> list[dict[str, Any]]:
    """The registry's history, oldest first, its newest entries with the `gates` that their version passed."""
    entries = registry.history()
    recent = {str(entry.get("version")) for entry in entries[-HISTORY_WITH_GATES:]}
    gates: dict[str, list[dict[str, Any]]] = {}
    for version in recent:
        try:
            gates[version] = _gates(registry, version)
        except CarpriceError as problem:
            if problem.exit_code == 75:
                raise
            log.warning("version %s of the history has no decisions: %s", version, problem)
    return [entry | {"gates": gates.get(str(entry.get("version")), [])} for entry in entries]


def promoted(history: list[dict[str, Any]], version: str) -> dict[str, Any] | None:
    """The newest entry of the history that put `version` into production."""
    found = [entry for entry in history if entry.get("version") == version]
    if not found:
        return None
    return {key: found[-1].get(key) for key in ("at", "by", "action", "reason", "previous_version")}


def tables_from(root: DataRoot, snapshot_id: str | None) -> Tables:
    """A snapshot's listings to compare cars with, and its reference sample. Raises `NoSnapshot`."""
    from carprice.model.comparables import most_comparable
    from carprice.model.form_options import OPTIONS_OF, form_options_of

    if not snapshot_id:
        raise NoSnapshot("the model was expected to name the snapshot it was trained on, found no name")
    try:
        manifest = snapshots.manifest_of(root, snapshot_id)
        listings, options = dated(manifest, most_comparable(root, snapshot_id)), None
        everything = snapshots.load(root, snapshot_id, OPTIONS_OF)[1]
        everything = everything[at_market_prices(everything)]
        if len(everything) > len(listings):
            equipped = form_options_of(listings)["has_equipment"]
            options = form_options_of(everything) | {"has_equipment": equipped}
        reference = dated(manifest, snapshots.reference(root, snapshot_id))
        return Tables(snapshot_id, listings, reference, options)
    except (CarpriceError, OSError, ValueError, KeyError) as problem:
        raise NoSnapshot(
            f"the listings of snapshot {snapshot_id} were expected in the data root, found none that can be "
            "read; comparisons and explanations need them"
        ) from problem


def _files(root: DataRoot, snapshot_id: str | None) -> list[dict[str, Any]]:
    try:
        return list(snapshots.manifest_of(root, snapshot_id)["files"]) if snapshot_id else []
    except (CarpriceError, OSError, ValueError, KeyError) as problem:
        log.warning("the manifest of snapshot %s can't be read: %s", snapshot_id, problem)
        return []


def _importance(registry: Registry, run_id: str) -> list[dict[str, Any]]:
    """The permutation importance that training logged, largest first."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        with registry.answering():
            text = mlflow.artifacts.load_text(f"runs:/{run_id}/importance/importance.csv")
        return [
            {"feature": row["feature"], "importance": float(row["importance"])}
            for row in csv.DictReader(io.StringIO(text))
        ]
    except (MlflowException, CarpriceError, OSError, ValueError, KeyError) as problem:
        log.warning("the importance of run %s can't be read: %s", run_id, problem)
        return []


def _card(root: DataRoot, run_id: str) -> str | None:
    try:
        return root.read_bytes(paths.model_card(run_id)).decode("utf-8")
    except (OSError, ValueError) as problem:
        log.info("run %s has no model card that can be read: %s", run_id, problem)
        return None


def as_json(story: dict[str, Any]) -> dict[str, Any]:
    """The story without values that JSON does not have (metrics may be NaN)."""
    return json.loads(json.dumps(story, default=str), parse_constant=lambda _: None)  # type: ignore[no-any-return]
