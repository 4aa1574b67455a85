"""Has the market moved away from what the production model learned?"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from carprice import snapshots
from carprice.data_root import DataRoot
from carprice.errors import NothingToDo
from carprice.listing import FEATURES, TEXT_FEATURES, as_canonical
from carprice.params import DriftParams
from carprice.registry import PRODUCTION, Registry

log = logging.getLogger(__name__)


def detect_drift(root: DataRoot, params: DriftParams, registry: Registry, snapshot_id: str) -> dict[str, Any]:
    """Compare the newest file of a snapshot with what the production model was trained on.

    The reference is the reference sample of production's snapshot. Writes an HTML page under
    `reports/drift/` and returns the verdict: `drifted` is true when the share of drifted columns
    reaches `drift.share`. Raises `NothingToDo` when no model is in production or either side holds
    fewer than `drift.min_rows` rows.
    """
    version = registry.require(PRODUCTION)
    run = registry.get_run(str(version.run_id))
    trained_on = run.data.tags["snapshot_id"]
    manifest = snapshots.manifest_of(root, snapshot_id)
    newest = manifest["files"][-1]
    reference = snapshots.reference(root, trained_on)
    current = as_canonical(root.read_parquet(f"listings/{newest['sha256']}.parquet"))
    smaller = min(len(reference), len(current))
    if smaller < params.min_rows:
        raise NothingToDo(
            f"at least {params.min_rows} rows on both sides were expected (drift.min_rows), found {smaller}; "
            f"too little data to say whether {newest['file']} drifted"
        )
    columns, dropped = _comparable(reference, current)
    log.info("comparing %d columns of %s with snapshot %s", len(columns), newest["file"], trained_on)
    found, page = _evidently(reference[columns], current[columns], params)
    drifted = sorted(column for column, is_drifted in found.items() if is_drifted)
    verdict = {
        "file": newest["file"],
        "sha256": newest["sha256"],
        "reference_snapshot": trained_on,
        "production_version": str(version.version),
        "rows": len(current),
        "reference_rows": len(reference),
        "columns": len(columns),
        "columns_left_out": dropped,
        "drifted_columns": drifted,
        "drift_share": len(drifted) / len(columns),
        "drifted": len(drifted) / len(columns) >= params.share,
    }
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"reports/drift/{stamp}-{newest['sha256'][:12]}"
    root.write_bytes(f"{name}.html", page)
    verdict["report"] = f"{name}.html"
    root.write_json(f"{name}.json", verdict)
    log.info("%d of %d columns drifted: %s", len(drifted), len(columns), ", ".join(drifted) or "none")
    return verdict


def _comparable(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Columns with values on both sides, and those that are empty on one (Evidently refuses them)."""
    wanted = [*FEATURES, "price_mad"]
    filled = [c for c in wanted if reference[c].notna().any() and current[c].notna().any()]
    return filled, [c for c in wanted if c not in filled]


def _evidently(
    reference: pd.DataFrame, current: pd.DataFrame, params: DriftParams
) -> tuple[dict[str, bool], bytes]:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import tempfile

    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    text = [c for c in reference.columns if c in TEXT_FEATURES]
    numbers = [c for c in reference.columns if c not in TEXT_FEATURES]
    definition = DataDefinition(categorical_columns=text, numerical_columns=numbers)

    def dataset(table: pd.DataFrame) -> Dataset:
        rows = table.sample(min(len(table), params.max_rows), random_state=0)
        typed = rows[text].fillna("unknown").astype(str).join(rows[numbers].astype(float))
        return Dataset.from_pandas(typed, data_definition=definition)

    # Named distances with a fixed limit say how large a change is; a p-value would only say how
    # many rows there are.
    preset = DataDriftPreset(
        num_method="wasserstein",
        cat_method="jensenshannon",
        num_threshold=params.distance,
        cat_threshold=params.distance,
        drift_share=params.share,
    )
    snapshot = Report([preset]).run(dataset(current), dataset(reference))
    found = {}
    for metric in snapshot.dict()["metrics"]:
        config = metric.get("config", {})
        if str(config.get("type", "")).endswith(ValueDrift.__name__):
            found[config["column"]] = float(metric["value"]) >= float(
                config.get("threshold") or params.distance
            )
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.html")
        snapshot.save_html(path)
        with open(path, "rb") as file:
            return found, file.read()
