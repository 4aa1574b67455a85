"""The report of a pipeline run: the page a reviewer reads, and what is sent of it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from carprice.alerts import alerts
from carprice.errors import CarpriceError
from carprice.lifecycle.model_card import path_of
from carprice.lifecycle.promotion import decisions_of
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.monitoring.publishing import publish
from carprice.params import AlertParams
from carprice.reports.html import templates
from carprice.reports.report_records import stems
from carprice.store import DataRoot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOfDag:
    """What Airflow tells of the run a report is about.

    `name` is the DAG's and the run's, `link` opens it, `problems` holds the last words of each step
    that failed.
    """

    name: str = ""
    link: str | None = None
    problems: dict[str, str] = field(default_factory=dict)


def send_pipeline_report(
    root: DataRoot,
    registry: Registry,
    run_id: str | None,
    version: str | None,
    states: dict[str, str],
    params: AlertParams | None = None,
    run_of_dag: RunOfDag | None = None,
) -> dict[str, Any]:
    """Write and send the report of one run: JSON and HTML under `reports/pipeline/`.

    `states` maps a step's name to how it ended (`success`, `skipped`, `refused`, `failed`,
    `upstream_failed`). What an unfinished run can't tell is left out; the report is written all the
    same. A failed step is told as an alert, once until it works again; a report of anything else is
    sent where `alerts.send_reports` says so. Alerts that wait are sent along. Doing it again for the
    same run replaces the page, and sends nothing that was sent.
    """
    params, about = params or AlertParams(), run_of_dag or RunOfDag()
    name = _name(root, run_id, about)
    try:
        report = _collect(root, registry, run_id, version, states)
    except CarpriceError as error:
        # MLflow is away: nothing to report with, and all the more reason to tell what failed.
        problems = about.problems | {"send_pipeline_report": str(error)}
        alerts.for_pipeline(root, states, problems, about.name, link=about.link)
        alerts.deliver(root, params)
        raise
    _write(root, name, report)
    log.info("%s; report at %s", report["headline"], root.uri(f"{name}.html"))
    alerts.for_pipeline(root, states, about.problems, about.name, f"{name}.html", about.link)
    if params.send_reports and report["verdict"] != "failed":
        cause, text = f"{name}:{report['headline']}", _plain_text(report)
        alerts.for_report(root, cause, report["headline"], text, f"{name}.html", about.link)
    delivery = alerts.deliver(root, params)
    if delivery.sent or delivery.undelivered:
        _write(root, name, report | {"sent": delivery.sent, "undelivered": delivery.undelivered})
    publish(root, report["history"])
    return {
        "report": f"{name}.html",
        "verdict": report["verdict"],
        "headline": report["headline"],
        "production_version": report["production_version"],
        "sent": delivery.sent,
        "undelivered": delivery.undelivered,
    }


def _name(root: DataRoot, run_id: str | None, about: RunOfDag) -> str:
    """What the report of a candidate, or else of a run of a DAG, is called, by when it was first written."""
    of = run_id or hashlib.sha256(about.name.encode()).hexdigest()
    key = re.sub(r"[^A-Za-z0-9]", "", of)[:12]
    known = [stem for stem in stems(root, "reports/pipeline") if stem.endswith(f"-{key}")]
    if known and (run_id or about.name):
        return f"reports/pipeline/{known[-1]}"
    return f"reports/pipeline/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{key}"


def _write(root: DataRoot, name: str, report: dict[str, Any]) -> None:
    root.write_json(f"{name}.json", report)
    root.write_text(f"{name}.html", templates().get_template("pipeline.html").render(report=report))


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
    failed = [step for step, state in states.items() if state == "failed"]
    refused = [step for step, state in states.items() if state == "refused"]
    stopped = failed or [step for step, state in states.items() if state == "upstream_failed"]
    said_no = [gate for decision in decisions.values() for gate in decision["gates"] if not gate["passed"]]
    if refused and not failed:
        files = "a file was" if len(refused) == 1 else f"{len(refused)} files were"
        verdict, headline = "failed", f"{files} refused"
    elif stopped:
        verdict, headline = "failed", f"the pipeline failed at {stopped[0]}"
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
        "sent": [],
        "undelivered": {},
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
