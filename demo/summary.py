"""The summary of a landed file, for the people who wait for it."""

from __future__ import annotations

import math
from typing import Any

from carprice.errors import UsageProblem
from carprice.formats import figure
from carprice.history import snapshots
from carprice.lifecycle.decisions import decisions_of
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.store import DataRoot
from carprice_contract.data_root import receipt as receipt_of


def summary(root: DataRoot, registry: Registry, sha256: str) -> tuple[list[str], bool]:
    """The lines to print, and whether a model is in production."""
    lines = _data(root, sha256)
    production = registry.version_of(PRODUCTION)
    newest = max(
        registry.client.search_model_versions("name='CarPricePredictor'"),
        key=lambda v: int(v.version),
        default=None,
    )
    if newest is not None:
        metrics = registry.get_run(str(newest.run_id)).data.metrics
        lines += ["", f"Version {newest.version}, on listings it was never trained on:"]
        lines += [
            f"  {label:<46} {metrics[prefix + 'mape']:6.1%} mean error   "
            f"{metrics[prefix + 'median_ape']:6.1%} median   "
            f"R² {metrics[prefix + 'r2']:.3f}   {metrics[prefix + 'rows']:.0f} rows"
            for label, prefix in (
                ("all test rows", "test_"),
                ("without prices that look like typing errors", "test_unflagged_"),
            )
            if math.isfinite(metrics.get(prefix + "mape", math.nan))
        ]
        lines += _gates(decisions_of(registry, str(newest.version)))
    lines += [""]
    if production is None:
        lines += ["No model is in production."]
    else:
        entry = registry.history()[-1]
        lines += [f"In production: version {production.version}, since {entry['at']} by {entry['action']}."]
    return lines, production is not None


def _data(root: DataRoot, sha256: str) -> list[str]:
    name = receipt_of(sha256)
    if not root.exists(name):
        return ["The pipeline has not processed the file."]
    receipt = root.read_json(name)
    lines = [
        f"{receipt['file']}: {receipt['rows_in']:,} rows in, {receipt['rows_repeated']:,} repeated, "
        f"{receipt['rows_accepted']:,} accepted, {receipt['rows_refused']:,} quarantined"
    ]
    if receipt["status"] == "refused":
        lines += [f"  REFUSED: {receipt['refusal']}"]
    lines += [
        f"  HELD: {reason['sentence']}" for reason in receipt.get("hold", []) if receipt["status"] == "held"
    ]
    lines += _ads(root, sha256)
    elsewhere = [other for other in receipt["names"] if other != receipt["file"]]
    if elsewhere:
        lines += [f"  the same bytes also landed as {', '.join(elsewhere)}: nothing new was trained on them"]
    return [*lines, f"  quality page  {root.uri(receipt['quality_page'])}"]


def _ads(root: DataRoot, sha256: str) -> list[str]:
    """How many ads of the file were known before, where the latest snapshot says it."""
    try:
        manifest = snapshots.manifest_of(root, "latest")
    except UsageProblem:
        return []
    for entry in manifest["files"]:
        if entry["sha256"] == sha256 and "ads" in entry:
            ads = entry["ads"]
            known = ads["same_id"] + ads["linked"]
            nothing = "" if ads["new"] else "; there is nothing new to judge the model by"
            return [
                f"  {ads['ads']:,} ads: {ads['new']:,} new, {known:,} known from earlier files, "
                f"{ads['unsure']:,} that may be known{nothing}"
            ]
    return []


def _gates(decisions: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for step in ("promote_to_staging", "validate_staging_model"):
        if step in decisions:
            lines += ["", f"Gates of {step}:"]
            reasons = decisions[step].get("compared", {}).get("reasons", [])
            lines += [f"  {reason['sentence']}" for reason in reasons]
            lines += [
                f"  {'yes' if g['passed'] else 'NO ':<4} {g['name']:<24} {figure(g['value']):<10} must be "
                f"{g['comparison']} {g['threshold']:g}"
                for g in decisions[step]["gates"]
            ]
    return lines
