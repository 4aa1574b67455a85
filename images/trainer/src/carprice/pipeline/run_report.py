"""The report of one pipeline run: the page that a reviewer reads and the message that is sent."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from carprice.alerts import events
from carprice.alerts.delivery import deliver
from carprice.alerts.wording import steps_of
from carprice.errors import CarpriceError
from carprice.formats import figure, thousands
from carprice.landing.receipts import read_receipt
from carprice.lifecycle.decisions import decisions_of
from carprice.lifecycle.registry import MODEL, PRODUCTION, Registry
from carprice.monitoring.publishing import publish
from carprice.params import AlertParams
from carprice.reports.html import templates
from carprice.reports.paths import model_card
from carprice.reports.records import stems
from carprice.store import DataRoot
from carprice_contract.data_root import receipt, snapshot_manifest
from carprice_contract.formats import SNAPSHOT

log = logging.getLogger(__name__)

MOST_FILES = 50
"""The newest files of a snapshot whose receipts a report has; the model card counts all of them."""


@dataclass(frozen=True)
class RunOfDag:
    """The run of a DAG that a report is about, as Airflow describes it.

    `name` is the DAG's and the run's. `link` opens the run. `problems` holds the last error of each step
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
    """Write the report of one run as JSON and HTML under `reports/pipeline/`, and send it.

    `states` maps a step's name to how it ended (`success`, `skipped`, `refused`, `held`, `failed`,
    `upstream_failed`). An unfinished run gets a report too, without what is not known yet. A failed step
    raises an alert, once until the step succeeds again. Any other report is sent if `alerts.send_reports`
    is on, except that of a held file. Alerts that wait are sent as well. A second call for the same run
    replaces the page and sends nothing twice. Raises `CarpriceError` where MLflow is away, after the failed
    steps were reported.
    """
    params, about = params or AlertParams(), run_of_dag or RunOfDag()
    name = _name_of_report(root, run_id, about)
    try:
        report = _collect(root, registry, run_id, version, states)
    except CarpriceError as error:
        # MLflow is away: there is no report, but people must still learn what failed.
        problems = about.problems | {"send_pipeline_report": str(error)}
        events.steps_ended(root, states, problems, about.name, link=about.link)
        deliver(root, params)
        raise
    _write(root, name, report)
    log.info("%s; report at %s", report["headline"], root.uri(f"{name}.html"))
    events.steps_ended(root, states, about.problems, about.name, f"{name}.html", about.link)
    # of a failed step and of a held file people are told by an alert of its own
    if params.send_reports and report["verdict"] not in ("failed", "held"):
        cause, text = f"{name}:{report['headline']}", _plain_text(report)
        events.run_reported(root, cause, report["headline"], text, f"{name}.html", about.link)
    delivery = deliver(root, params)
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


def _name_of_report(root: DataRoot, run_id: str | None, about: RunOfDag) -> str:
    """The path of a run's report without its suffix: when it was first written, and a key of the run.

    The key comes from the training run, or from the run of the DAG where nothing was trained.
    """
    identity = run_id or hashlib.sha256(about.name.encode()).hexdigest()
    key = re.sub(r"[^A-Za-z0-9]", "", identity)[:12]
    known = stems(root, "reports/pipeline")
    existing = [stem for stem in known if stem.endswith(f"-{key}")]
    if existing and (run_id or about.name):
        return f"reports/pipeline/{existing[-1]}"
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if known and (newest := known[-1].partition("-")[0]) > time:  # the clock was set back
        time = f"{datetime.strptime(newest, '%Y%m%dT%H%M%SZ') + timedelta(seconds=1):%Y%m%dT%H%M%SZ}"
    return f"reports/pipeline/{time}-{key}"


def _write(root: DataRoot, name: str, report: dict[str, Any]) -> None:
    root.write_json(f"{name}.json", report)
    root.write_text(f"{name}.html", templates().get_template("pipeline.html").render(report=report))


def _collect(
    root: DataRoot, registry: Registry, run_id: str | None, version: str | None, states: dict[str, str]
) -> dict[str, Any]:
    run = registry.get_run(run_id) if run_id else None
    if version is None and run_id:
        registered = registry.client.search_model_versions(f"name='{MODEL}' and run_id='{run_id}'")
        version = str(registered[0].version) if registered else None
    decisions = decisions_of(registry, version) if version else {}
    production = registry.version_of(PRODUCTION)
    in_production = production is not None and str(production.version) == version
    verdict, headline = _verdict(version, in_production, states, decisions)
    return {
        "verdict": verdict,
        "headline": headline,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version,
        "production_version": str(production.version) if production else None,
        "run_id": run_id,
        "model_card": model_card(run_id) if run_id and root.exists(model_card(run_id)) else None,
        "snapshot_id": run.data.tags.get("snapshot_id") if run else None,
        **_files(root, run.data.tags.get("snapshot_id") if run else None),
        "metrics": dict(sorted(run.data.metrics.items())) if run else {},
        "decisions": list(decisions.values()),
        "states": states,
        "sent": [],
        "undelivered": {},
        "history": registry.history(),
    }


def _verdict(
    version: str | None, in_production: bool, states: dict[str, str], decisions: dict[str, dict[str, Any]]
) -> tuple[str, str]:
    """What came of the run: `failed`, `held`, `promoted` or `kept`, and the headline of the report."""
    failed = [step for step, state in states.items() if state == "failed"]
    refused = [step for step, state in states.items() if state == "refused"]
    if refused and not failed:
        files = "a file was" if len(refused) == 1 else f"{len(refused)} files were"
        return "failed", f"{files} refused"
    held = [step for step, state in states.items() if state == "held"]
    if held and not failed and not in_production:
        files = "a file is" if len(held) == 1 else f"{len(held)} files are"
        return "held", f"{files} held until a person decides"
    stopped = failed or [step for step, state in states.items() if state == "upstream_failed"]
    if stopped:
        return "failed", f"the pipeline failed at {stopped[0]}"
    if in_production:
        return "promoted", f"version {version} is in production"
    missed = [gate for decision in decisions.values() for gate in decision["gates"] if not gate["passed"]]
    if missed:
        gates = ", ".join(
            f"{g['name']} {figure(g['value'])} (must be {g['comparison']} {g['threshold']:g})" for g in missed
        )
        return "kept", f"version {version} was not promoted: {gates}"
    return "kept", f"version {version or 'none'} was not promoted"


def _files(root: DataRoot, snapshot_id: str | None) -> dict[str, Any]:
    """The receipts of the newest files of a snapshot, in order of receipt, and how many files it has."""
    name = snapshot_manifest(snapshot_id) if snapshot_id else ""
    if not name or not root.exists(name):
        return {"files": [], "files_total": 0}
    files = root.read_record(name, SNAPSHOT)["files"]
    newest = [
        read_receipt(root, entry["sha256"]) | {"ads": entry.get("ads")}
        for entry in files[-MOST_FILES:]
        # a snapshot stays when a receipt is deleted
        if root.exists(receipt(entry["sha256"]))
    ]
    return {"files": newest, "files_total": len(files)}


def _plain_text(report: dict[str, Any]) -> str:
    lines = [report["headline"], ""]
    lines += [
        f"{file['file']}: {thousands(file['rows_in'])} rows in, {thousands(file['rows_repeated'])} repeated, "
        f"{thousands(file['rows_accepted'])} accepted, {thousands(file['rows_refused'])} refused"
        + (f", {thousands(file['ads']['new'])} new ads" if file["ads"] else "")
        for file in report["files"][-10:]
    ]
    for decision in report["decisions"]:
        lines += ["", decision["step"]]
        lines += [f"  {reason['sentence']}" for reason in decision["compared"].get("reasons", [])]
        lines += [
            f"  {'yes' if g['passed'] else 'NO '} {g['name']}: {figure(g['value'])} {g['comparison']} "
            f"{g['threshold']:g}"
            for g in decision["gates"]
        ]
    lines.append("")
    for state in dict.fromkeys(report["states"].values()):
        lines.append(f"{state}: {steps_of([step for step, its in report['states'].items() if its == state])}")
    return "\n".join(lines)
