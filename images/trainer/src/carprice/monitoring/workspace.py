"""The Evidently workspace: one run per landed file, and panels that show how the figures went over time.

`carprice evidently-ui` shows it. A run holds the file's figures and, for the newest files, Evidently's own
report of its drift. Runs are made of the records, so a workspace that is lost is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carprice.errors import UsageProblem
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
from carprice_contract.data_root import EVIDENTLY_WORKSPACE, RECEIPTS

if TYPE_CHECKING:
    from evidently.core.report import Snapshot
    from evidently.sdk.models import DashboardModel

log = logging.getLogger(__name__)

FOLDER = EVIDENTLY_WORKSPACE
PROJECT = "Used-car prices"
DESCRIPTION = (
    "Every landed file of listings: what was refused, how it differs from what the production model "
    "learned, and how well that model priced it."
)
# The service holds all runs in memory: figures are small, Evidently's reports are not.
WITH_REPORT = 10
LISTED = 1000

FIGURES = {
    "drift_share": "Columns that drifted, as a share",
    "live_error": "Mean error on the new listings",
    "promised_error": "Mean error that was promised",
    "rows_refused": "Rows refused",
    "rows_accepted": "Rows accepted",
}
# Evidently asks a panel for a metric by type and labels; ours has one label, the figure.
_METRIC = "evidently:metric_v2:CarPrices"
_OURS = uuid.UUID("6f3c2d0e-94a4-5a0b-9d1c-5d1f0e6a7b21")
_PUBLISHED = f"{FOLDER}/published.json"


def publish(root: DataRoot) -> dict[str, Any]:
    """Bring the workspace up to date with the records; the counts of runs and of those that changed.

    Doing it again changes nothing. Evidently's service reads a local folder: on an object store nothing
    is written, and the log says so.
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
    """Make the project and its panels where they are missing; the workspace's folder.

    The service only notices runs of projects that were there when it started. Panels that somebody
    rearranged in the UI stay as they are.
    """
    folder = f"{FOLDER}/{_project_id()}"
    if not root.exists(f"{folder}/dashboard.json"):
        root.write_text(f"{folder}/dashboard.json", _json(_dashboard().dict()))
    if not root.exists(f"{folder}/metadata.json"):
        os.makedirs(root.path(f"{folder}/snapshots"), exist_ok=True)
        project = {"id": str(_project_id()), "name": PROJECT, "description": DESCRIPTION, "version": "2"}
        root.write_json(f"{folder}/metadata.json", project)
    return root.path(FOLDER)


def serve(root: DataRoot, host: str, port: int) -> None:
    """Run Evidently's service on the workspace until it is stopped. Sends nothing to anybody.

    Raises `UsageProblem` where the data root is an object store: the service reads a local folder.
    """
    if not root.is_local:
        raise UsageProblem(
            f"a local folder was expected in DATA_DIR, as Evidently's service reads no other, found "
            f"{root.location}; the pages under reports/ show the same figures"
        )
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently.ui.service.app import get_config, run

    run(get_config(host=host, port=port, workspace=prepare(root)))


# --- runs


def _runs(root: DataRoot) -> dict[str, Document]:
    """What each run is made of, by the run's id: the newest landed files, oldest first."""
    receipts = documents(root, RECEIPTS, stems(root, RECEIPTS))
    newest = sorted(receipts.items(), key=lambda item: str(item[1].get("checked_at", "")))[-LISTED:]
    drift = _by_file(root, "reports/drift")
    live = _by_file(root, "reports/live")
    with_report = [sha for sha, _ in newest if drift.get(sha, {}).get("evidently")][-WITH_REPORT:]
    return {
        str(uuid.uuid5(_OURS, sha)): _run(
            receipt, drift.get(sha, {}), live.get(sha, {}), with_report=sha in with_report
        )
        for sha, receipt in newest
        if time_of(receipt) is not None
    }


def _run(receipt: Document, drift: Document, live: Document, with_report: bool) -> Document:
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
        "at": receipt["checked_at"],
        "file": str(receipt.get("file")),
        "figures": {name: value for name, value in figures.items() if value is not None},
        "verdict": drift_verdict(drift),
        "headline": str(drift.get("headline") or live.get("headline") or receipt.get("refusal") or ""),
        "version": str(version) if version is not None else "",
        "report": str(drift.get("report") or receipt.get("quality_page") or ""),
        "evidently": f"{str(drift['evidently']).removesuffix('.html')}.json" if with_report else None,
        # A repeated measurement replaces its report.
        "measured_at": drift.get("written_at"),
    }


def _by_file(root: DataRoot, folder: str) -> dict[str, Document]:
    """The reports of a folder by the hash of the newest file that each is about.

    Of several about one file the earliest counts: it was made before any training saw the file.
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
    from evidently.core.metric_types import MetricConfig, SingleValue, single_value_location

    snapshot = _evidently(root, run["evidently"])
    results: dict[str, Any] = {}
    for name, value in run["figures"].items():
        result = SingleValue(value=value, display_name=FIGURES[name])
        metric_id = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        result.metric_value_location = single_value_location(
            MetricConfig(metric_id=metric_id, params={"type": _METRIC, "figure": name})
        )
        results[metric_id] = result
    model = snapshot.to_snapshot_model()
    model.name = run["file"]
    model.timestamp = time_of(run)
    model.tags = [
        tag for tag in (run["verdict"], f"version {run['version']}" if run["version"] else "") if tag
    ]
    model.metadata = {key: run[key] for key in ("file", "headline", "version", "report") if run[key]}
    model.metric_results = results | model.metric_results
    model.top_level_metrics = [*results, *model.top_level_metrics]
    model.widgets = [*_widgets(run), *model.widgets]
    return _json(model.dict())


def _widgets(run: Document) -> list[Any]:
    """The first screen of a run: what was found, then the figures."""
    from evidently.legacy.renderers.html_widgets import CounterData, WidgetSize, counter, text_widget

    words = run["headline"] or "No model was in production to compare it with."
    counters = [
        CounterData(
            FIGURES[name], f"{100 * value:.1f} %" if name.endswith(("share", "error")) else f"{value:,.0f}"
        )
        for name, value in run["figures"].items()
    ]
    shown = [text_widget(text=words, title=run["file"], size=WidgetSize.FULL)]
    return [*shown, counter(counters=counters)] if counters else shown


def _evidently(root: DataRoot, name: str | None) -> Snapshot:
    """Evidently's own report as it was saved beside the page, or an empty one."""
    from datetime import datetime

    from evidently import Report
    from evidently.core.report import Snapshot

    if name:
        with contextlib.suppress(FileNotFoundError):
            return Snapshot.loads(root.read_bytes(name).decode())
    snapshot = Snapshot(Report([]), None, datetime.now(), {}, [])
    snapshot._widgets = []
    return snapshot


# --- panels


def _dashboard() -> DashboardModel:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently.sdk.models import DashboardModel, DashboardTabModel, PanelMetric
    from evidently.sdk.panels import bar_plot_panel, line_plot_panel, text_panel

    def metric(figure: str, legend: str) -> PanelMetric:
        return PanelMetric(metric=_METRIC, metric_labels={"figure": figure}, legend=legend)

    panels = [
        text_panel(
            title="Every point is a landed file",
            description="The index of reports says in words what each one means for prices.",
        ),
        line_plot_panel(
            title="Live error",
            description="Mean error of the production model on new listings, and what was promised.",
            values=[metric("live_error", "on new listings"), metric("promised_error", "promised")],
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
    """Write as a whole, then its first byte again: the service sees changes, and no renames."""
    root.write_text(name, text)
    with open(root.path(name), "r+") as file:
        file.write(text[:1])


def _json(document: Any) -> str:
    from evidently.legacy.utils import NumpyEncoder

    return json.dumps(document, cls=NumpyEncoder)


def _digest(run: Document) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
