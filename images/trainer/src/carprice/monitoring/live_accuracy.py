"""The step that scores production on listings that landed since, before any model is trained on them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from carprice.errors import NothingToDo, UsageProblem
from carprice.history import snapshots
from carprice.history.seen import dated, seen_at
from carprice.lifecycle.evaluation import test_rows
from carprice.lifecycle.recent import newest_drawn, window
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.model.metrics import slice_metrics
from carprice.monitoring.accuracy import AS_PROMISED, TOO_LITTLE, WORSE, Accuracy, Scored, assess, score
from carprice.monitoring.new_listings import ProductionVersion, version_without
from carprice.params import Params
from carprice.reports.html import templates
from carprice.store import DataRoot

log = logging.getLogger(__name__)

_RECENT_FIGURE = "test_recent_mape"


def score_new_listings(
    root: DataRoot,
    params: Params,
    registry: Registry,
    shas: Sequence[str] = (),
    snapshot_id: str = "latest",
) -> dict[str, Any]:
    """Score production on the listings of the files `shas` that it has not seen; the step's result.

    By default the files are those of the snapshot that production has not learned from. A repetition
    replaces the report. Raises `NothingToDo` if no model is in production or no listing is new.
    """
    manifest = snapshots.manifest_of(root, snapshot_id)
    files = _files_to_score(root, registry, manifest, shas)
    production = version_without(root, registry, [entry["sha256"] for entry in files])
    new, repeated = production.unseen(root, manifest, files)
    if len(new) == 0:
        raise NothingToDo(
            f"expected listings that version {production.version} has not seen, found all {repeated} known: "
            "there is nothing new to judge by; it is scored on the next file that lands"
        )
    drawn = new.sample(min(len(new), params.live.max_rows), random_state=0).sort_index()
    pipeline = registry.load(production.model_uri)
    live = score(pipeline, dated(manifest, drawn)).complete()
    tested = score(pipeline, _promising(root, production.run, params.live.max_rows))
    own_manifest = snapshots.manifest_of(root, production.snapshot_id)
    promised = promised_by(production.run, own_manifest, tested).complete()
    found = assess(live, promised, params.live)
    makes = _makes(live, promised, params.evaluation.slice_min_rows)
    report = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": production.version,
        "run_id": production.run.info.run_id,
        "snapshot_id": production.snapshot_id,
        "file": files[-1]["file"],
        "sha256": files[-1]["sha256"],
        "files": files,
        "rows": len(new),
        "rows_scored": len(live.listings),
        "rows_partial": len(drawn) - len(live.listings),
        "rows_repeated": repeated,
        **found.record(),
        "makes": makes,
        "headline": headline(found, production.version),
    }
    return _publish(root, registry, production, report)


def headline(found: Accuracy, version: str) -> str:
    """The verdict in one sentence."""
    if not found.live:
        return f"version {version}: too few prices to say how accurate it is on new listings"
    figures = f"mean error {100 * found.live['mape']:.1f} %"
    if found.promised:
        figures += f", {100 * found.promised['mape']:.1f} % at promotion"
    words = {
        AS_PROMISED: f"version {version} is as accurate on new listings as promised",
        WORSE: f"version {version} is less accurate on new listings than promised",
        TOO_LITTLE: f"version {version}: too little data to say whether it is as accurate as promised",
    }
    return f"{words[found.verdict]} ({figures})"


def promised_by(run: Any, manifest: dict[str, Any], tested: Scored) -> Scored:
    """Those of a run's test listings that its promise rests on: the recent window.

    New listings are of the market of now, and so is the window. A run of an earlier release has no figures of
    a window; its promise rests on all test listings. `manifest` is that of the run's snapshot.
    """
    if _RECENT_FIGURE not in run.data.metrics:
        return tested
    seen, rows = seen_at(manifest, tested.listings), int(run.data.params["evaluation.recent_rows"])
    return tested.take(window(seen, tested.flagged, rows))


def _promising(root: DataRoot, run: Any, most: int) -> pd.DataFrame:
    """The test listings of a run among which `promised_by` finds the window: at most `most`, the newest.

    Where there is a window, at most twice its size: those that are flagged have no say in it.
    """
    manifest, chosen = test_rows(root, run)
    if _RECENT_FIGURE in run.data.metrics:
        most = min(most, 2 * int(run.data.params["evaluation.recent_rows"]))
    if chosen.sum() > most:
        seen = seen_at(manifest, snapshots.rows(root, manifest, chosen, ["scraped_at", "source_sha256"]))
        chosen[np.flatnonzero(chosen)] = newest_drawn(seen, most)
    return dated(manifest, snapshots.rows(root, manifest, chosen))


def _makes(live: Scored, promised: Scored, min_rows: int) -> list[dict[str, Any]]:
    """Figures of each make with at least `min_rows` new listings, the most frequent make first."""
    year = datetime.now(UTC).year
    usual = live.take(~live.flagged), promised.take(~promised.flagged)
    now, then = (
        slice_metrics(side.listings, side.predicted_mad, min_rows, year, side.covered) for side in usual
    )
    found = [
        {
            "make": name.removeprefix("make="),
            **{key: figures[key] for key in ("rows", "mape", "median_ape", "interval_coverage")},
            "promised_mape": then[name]["mape"] if name in then else None,
        }
        for name, figures in now.items()
        if name.startswith("make=")
    ]
    return sorted(found, key=lambda make: -float(make["rows"] or 0))


def _files_to_score(
    root: DataRoot, registry: Registry, manifest: dict[str, Any], shas: Sequence[str]
) -> list[dict[str, Any]]:
    """The manifest's entries of `shas`, or of the files that production has not learned from."""
    files: list[dict[str, Any]] = manifest["files"]
    if not shas:
        run = registry.get_run(str(registry.require(PRODUCTION).run_id))
        learned = snapshots.manifest_of(root, run.data.tags["snapshot_id"])["files"]
        known = {entry["sha256"] for entry in learned}
        found = [entry for entry in files if entry["sha256"] not in known]
        if not found:
            raise NothingToDo(
                "expected files that production has not learned from, found none in snapshot "
                f"{manifest['id']}; production is scored on the next file that lands"
            )
        return found
    registry.require(PRODUCTION)
    by_sha = {entry["sha256"]: entry for entry in files}
    missing = [sha for sha in shas if sha not in by_sha]
    if missing:
        raise UsageProblem(
            f"expected SHA-256 of files in snapshot {manifest['id']}, found {', '.join(missing)}; "
            "run assemble-listings first"
        )
    return [entry for entry in files if entry["sha256"] in set(shas)]


def _publish(
    root: DataRoot, registry: Registry, production: ProductionVersion, report: dict[str, Any]
) -> dict[str, Any]:
    """Write the report and add its figures to the version; the same version and files replace it."""
    files = report["files"]
    newest = datetime.fromisoformat(files[-1]["received_at"]).astimezone(UTC)
    digest = hashlib.sha256("\n".join(sorted(f["sha256"] for f in files)).encode()).hexdigest()[:8]
    name = f"reports/live/{newest:%Y%m%dT%H%M%SZ}-v{production.version}-{digest}"
    report |= {"report": f"{name}.html"}
    root.write_text(f"{name}.html", templates().get_template("live.html").render(report=report))
    root.write_json(f"{name}.json", report)
    figures = {
        f"live_{key}": report["metrics"][key]
        for key in ("rows", "mape", "median_ape", "interval_coverage", "bias_log")
        if key in report["metrics"]
    }
    with registry.answering():
        for key, value in figures.items():
            # With the time at which the file was received, a repetition is the same point again.
            registry.client.log_metric(
                production.run.info.run_id, key, value, timestamp=int(newest.timestamp() * 1000)
            )
    registry.tag_version(
        production.version,
        **{
            "live.verdict": report["verdict"],
            "live.mape": f"{report['metrics']['mape']:.4f}" if report["metrics"] else "",
            "live.rows": str(report["rows_scored"]),
            "live.at": report["written_at"],
            "live.report": report["report"],
        },
    )
    log.info("%s; report at %s", report["headline"], root.uri(report["report"]))
    return report
