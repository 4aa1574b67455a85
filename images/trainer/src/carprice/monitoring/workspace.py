"""The Evidently workspace: one run for each landed file, and panels that show the figures over time.

`carprice evidently-ui` shows it. A run holds the figures of the file and, for the newest files, Evidently's
own report of its drift. Runs are made from the records, so a lost workspace is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carprice.errors import UsageProblem
from carprice.formats import percent, thousands
from carprice.landing.summaries import summaries
from carprice.reports.records import (
    Document,
    documents,
    drift_share,
    drift_verdict,
    live_error,
    number,
    promised_error,
    stems,
    time_of,
)
from carprice.store import DataRoot
from carprice_contract.data_root import EVIDENTLY_WORKSPACE

if TYPE_CHECKING:
    from evidently.sdk.models import DashboardModel

log = logging.getLogger(__name__)

FOLDER = EVIDENTLY_WORKSPACE
PROJECT = "Used-car prices"
DESCRIPTION = (
    "Every landed file of listings: what was refused, how it differs from what the production model "
    "learned, and how well that model priced it."
)
# The service keeps all runs in memory: figures are small, Evidently's reports are large.
WITH_REPORT = 10
LISTED = 1000

FIGURES = {
    "drift_share": "Columns that drifted, as a share",
    "live_error": "Mean error on the new listings",
    "promised_error": "Mean error at promotion",
    "rows_refused": "Rows refused",
    "rows_accepted": "Rows accepted",
}
_OURS = uuid.UUID("6f3c2d0e-94a4-5a0b-9d1c-5d1f0e6a7b21")
_PUBLISHED = f"{FOLDER}/published.json"


def publish(root: DataRoot) -> dict[str, Any]:
    """Bring the workspace up to date with the records; the number of runs and of changed runs.

    A repetition changes nothing. Evidently's service reads a local folder: on an object store nothing is
    written, and the log says so.
    """
    if not root.is_local:
        log.warning("no Evidently workspace: it needs a local data root, found %s", root.location)
        return {"runs": 0, "changed": 0}
    prepare(root)
    runs = _runs(root)
    try:
        known = root.read_json(_PUBLISHED)
    except (FileNotFoundError, ValueError):
        known = {}
    wanted = {name: _digest(run) for name, run in runs.items()}
    changed = [name for name in runs if known.get(name) != wanted[name] or not root.exists(_path(name))]
    for name in changed:
        _write(root, _path(name), _content(root, runs[name]))
    for name in set(known) - set(runs):
        root.remove(_path(name))
    root.write_json(_PUBLISHED, wanted)
    log.info("the Evidently workspace holds %d runs, %d of them new or changed", len(runs), len(changed))
    return {"runs": len(runs), "changed": len(changed)}


def prepare(root: DataRoot) -> str:
    """Make the project and its panels if they are missing; the path of the workspace.

    The service notices new runs only in projects that exist when it starts. Panels that somebody rearranged
    in the UI stay as they are.
    """
    folder = f"{FOLDER}/{_project_id()}"
    if not root.exists(f"{folder}/dashboard.json"):
        # Evidently takes longer to import than all else that is done here.
        from carprice.monitoring import evidently_adapter

        root.write_text(f"{folder}/dashboard.json", evidently_adapter.to_json(_dashboard().dict()))
    if not root.exists(f"{folder}/metadata.json"):
        os.makedirs(root.path(f"{folder}/snapshots"), exist_ok=True)
        project = {"id": str(_project_id()), "name": PROJECT, "description": DESCRIPTION, "version": "2"}
        root.write_json(f"{folder}/metadata.json", project)
    return root.path(FOLDER)


def serve(root: DataRoot, host: str, port: int) -> None:
    """Run Evidently's service on the workspace until it is stopped. Sends nothing to anybody.

    Raises `UsageProblem` if the data root is an object store: the service reads a local folder.
    """
    if not root.is_local:
        raise UsageProblem(
            f"expected a local folder in DATA_DIR, which is all that Evidently's service reads, found "
            f"{root.location}; open the pages under reports/, which show the same figures"
        )
    from carprice.monitoring import evidently_adapter

    evidently_adapter.serve_workspace(prepare(root), host, port)


# --- runs


def _runs(root: DataRoot) -> dict[str, Document]:
    """The newest landed files as runs, by the id of the run, oldest first."""
    receipts = summaries(root, skip_broken=True)
    newest = sorted(receipts.items(), key=lambda item: str(item[1].get("checked_at", "")))[-LISTED:]
    drift = _by_file(root, "reports/drift")
    live = _by_file(root, "reports/live")
    with_report = [sha for sha, _ in newest if drift.get(sha, {}).get("evidently")][-WITH_REPORT:]
    return {
        str(uuid.uuid5(_OURS, sha)): _run(
            at, receipt, drift.get(sha, {}), live.get(sha, {}), with_report=sha in with_report
        )
        for sha, receipt in newest
        if (at := time_of(receipt)) is not None
    }


def _run(at: datetime, receipt: Document, drift: Document, live: Document, with_report: bool) -> Document:
    accuracy = live or _object(drift.get("accuracy"))
    figures = {
        "drift_share": drift_share(drift),
        "live_error": live_error(accuracy),
        "promised_error": promised_error(accuracy),
        "rows_refused": number(receipt, "rows_refused"),
        "rows_accepted": number(receipt, "rows_accepted"),
    }
    version = drift.get("production_version") or live.get("version")
    return {
        "at": at.isoformat(),
        "file": str(receipt.get("file")),
        "figures": {name: value for name, value in figures.items() if value is not None},
        "verdict": drift_verdict(drift),
        "headline": str(drift.get("headline") or live.get("headline") or receipt.get("refusal") or ""),
        "version": str(version) if version is not None else "",
        "report": str(drift.get("report") or receipt.get("quality_page") or ""),
        "evidently": f"{str(drift['evidently']).removesuffix('.html')}.json" if with_report else None,
        # A repeated measurement replaces its report, so the run must change with it.
        "measured_at": drift.get("written_at"),
    }


def _by_file(root: DataRoot, folder: str) -> dict[str, Document]:
    """The reports of a folder by the hash of the newest file that each compares.

    Of several reports on one file the earliest counts: no training had seen the file then.
    """
    found: dict[str, Document] = {}
    names = stems(root, folder)[-LISTED:]
    records = documents(root, folder, names).values()
    for record in sorted(records, key=lambda record: str(record.get("written_at", ""))):
        files = record.get("files")
        last = files[-1] if isinstance(files, list) and files else {}
        sha256 = record.get("sha256") or _object(last).get("sha256")
        if isinstance(sha256, str):
            found.setdefault(sha256, record)
    return found


def _content(root: DataRoot, run: Document) -> str:
    """A run as Evidently stores it."""
    from carprice.monitoring import evidently_adapter

    return evidently_adapter.run_document(
        saved=_saved_report(root, run["evidently"]),
        name=run["file"],
        at=datetime.fromisoformat(run["at"]),
        tags=[tag for tag in (run["verdict"], f"version {run['version']}" if run["version"] else "") if tag],
        metadata={key: run[key] for key in ("file", "headline", "version", "report") if run[key]},
        figures={name: (FIGURES[name], value, _shown(name, value)) for name, value in run["figures"].items()},
        text=run["headline"] or "No model was in production to compare the file with.",
    )


def _shown(figure: str, value: float) -> str:
    return percent(value) if figure.endswith(("share", "error")) else thousands(value)


def _saved_report(root: DataRoot, name: str | None) -> str | None:
    """Evidently's own report as it was saved beside the page."""
    if name is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        return root.read_bytes(name).decode()
    return None


# --- panels


def _dashboard() -> DashboardModel:
    from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric
    from evidently.sdk.panels import bar_plot_panel, line_plot_panel, text_panel

    from carprice.monitoring.evidently_adapter import FIGURE_METRIC

    def metric(figure: str, legend: str) -> PanelMetric:
        return PanelMetric(metric=FIGURE_METRIC, metric_labels={"figure": figure}, legend=legend)

    panels = [
        text_panel(
            title="Every point is a landed file",
            description="The index of reports says in words what each file means for prices.",
        ),
        line_plot_panel(
            title="Live error",
            description="Mean error of the production model on new listings, and at promotion.",
            values=[metric("live_error", "on new listings"), metric("promised_error", "at promotion")],
        ),
        line_plot_panel(
            title="Drift share",
            description="Columns in which the new listings differ from what production learned.",
            values=[metric("drift_share", "share of columns")],
            size="half",
        ),
        bar_plot_panel(
            title="Rows refused",
            description="Rows of each file that the quality check refused.",
            values=[metric("rows_refused", "rows refused")],
            size="half",
        ),
    ]
    for panel in panels:
        panel.id = uuid.uuid5(_OURS, panel.title)
    tab = DashboardTabModel(id=uuid.uuid5(_OURS, "tab"), title="History", panels=[p.id for p in panels])
    return DashboardModel(tabs=[tab], panels=panels)


# --- files


def _project_id() -> uuid.UUID:
    return uuid.uuid5(_OURS, PROJECT)


def _path(run_id: str) -> str:
    return f"{FOLDER}/{_project_id()}/snapshots/{run_id}.json"


def _write(root: DataRoot, name: str, text: str) -> None:
    """Write a file as a whole, then its first byte again: the service notices changes but no renames."""
    root.write_text(name, text)
    with open(root.path(name), "r+") as file:
        file.write(text[:1])


def _digest(run: Document) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
