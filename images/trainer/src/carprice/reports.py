"""The report of a pipeline run: the page a reviewer reads, and what is sent of it."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from carprice.data_root import DataRoot
from carprice.html import templates
from carprice.model_card import path_of
from carprice.notifications import notify
from carprice.promotion import decisions_of
from carprice.publishing import publish
from carprice.registry import PRODUCTION, Registry

log = logging.getLogger(__name__)


def send_pipeline_report(
    root: DataRoot, registry: Registry, run_id: str | None, version: str | None, states: dict[str, str]
) -> dict[str, Any]:
    """Write and send the report of one promotion: JSON and HTML under `reports/pipeline/`.

    `states` maps a step's name to how it ended (`success`, `skipped`, `failed`, `upstream_failed`).
    What an unfinished run can't tell is left out; the report is written all the same.
    """
    report = _collect(root, registry, run_id, version, states)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"reports/pipeline/{stamp}-{re.sub(r'[^A-Za-z0-9]', '', run_id or 'norun')[:12]}"
    page = templates().get_template("pipeline.html").render(report=report)
    root.write_json(f"{name}.json", report)
    root.write_text(f"{name}.html", page)
    publish(root, report["history"])
    log.info("%s; report at %s", report["headline"], root.uri(f"{name}.html"))
    sent = notify(f"Car prices: {report['headline']}", _plain_text(report), page.encode())
    return {
        "report": f"{name}.html",
        "verdict": report["verdict"],
        "headline": report["headline"],
        "production_version": report["production_version"],
        "sent": sent,
    }


def _collect(
    root: DataRoot, registry: Registry, run_id: str | None, version: str | None, states: dict[str, str]
) -> dict[str, Any]:
    run = registry.get_run(run_id) if run_id else None
    if version is None and run_id:
        known = registry.client.search_model_versions(f"name='CarPricePredictor' and run_id='{run_id}'")
        version = str(known[0].version) if known else None
    decisions = decisions_of(registry, version) if version else {}
    production = registry.version_of(PRODUCTION)
    in_production = production is not None and str(production.version) == version
    failed = [step for step, state in states.items() if state in ("failed", "upstream_failed")]
    said_no = [gate for decision in decisions.values() for gate in decision["gates"] if not gate["passed"]]
    if failed:
        verdict, headline = "failed", f"the pipeline failed at {failed[0]}"
    elif in_production:
        verdict, headline = "promoted", f"version {version} is in production"
    elif said_no:
        words = ", ".join(
            f"{g['name']} {g['value']:.4g} (must be {g['comparison']} {g['threshold']:g})" for g in said_no
        )
        verdict, headline = "kept", f"version {version} was not promoted: {words}"
    else:
        verdict, headline = "kept", f"version {version or 'none'} was not promoted"
    return {
        "verdict": verdict,
        "headline": headline,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version,
        "production_version": str(production.version) if production else None,
        "run_id": run_id,
        "model_card": path_of(run_id) if run_id and root.exists(path_of(run_id)) else None,
        "snapshot_id": run.data.tags.get("snapshot_id") if run else None,
        "files": _files(root, run.data.tags.get("snapshot_id")) if run else [],
        "metrics": dict(sorted(run.data.metrics.items())) if run else {},
        "decisions": list(decisions.values()),
        "states": states,
        "history": registry.history(),
    }


def _files(root: DataRoot, snapshot_id: str | None) -> list[dict[str, Any]]:
    name = f"snapshots/{snapshot_id}/manifest.json"
    if not snapshot_id or not root.exists(name):
        return []
    return [root.read_json(f"receipts/{entry['sha256']}.json") for entry in root.read_json(name)["files"]]


def _plain_text(report: dict[str, Any]) -> str:
    lines = [report["headline"], ""]
    lines += [
        f"{file['file']}: {file['rows_in']} rows in, {file['rows_repeated']} repeated, "
        f"{file['rows_accepted']} accepted, {file['rows_refused']} refused"
        for file in report["files"][-10:]
    ]
    for decision in report["decisions"]:
        lines += ["", decision["step"]]
        lines += [
            f"  {'yes' if g['passed'] else 'NO '} {g['name']}: {g['value']:.4g} {g['comparison']} "
            f"{g['threshold']:g}"
            for g in decision["gates"]
        ]
    lines += ["", json.dumps(report["states"])]
    return "\n".join(lines)
