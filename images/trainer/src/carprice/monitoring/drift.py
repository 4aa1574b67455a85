"""Has the market moved away from what the production model learned?"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.lifecycle.evaluation import test_listings
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings.schema import FEATURES
from carprice.listings.tables import as_canonical
from carprice.monitoring import drift_report, live_accuracy
from carprice.monitoring.drift_tests import DRIFTED, TOO_LITTLE, Comparison, compare
from carprice.monitoring.new_listings import Judged, judged_on
from carprice.params import DriftParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import QUESTIONS

log = logging.getLogger(__name__)


def detect_drift(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> dict[str, Any]:
    """Compare the newest listings of a snapshot with what the production model was trained on.

    New are the listings of the newest file that production's snapshot does not hold, and those of older
    such files until there are `drift.enough_rows`. The reference is all of production's snapshot; the
    model's own errors are compared with those on its test rows. At most `drift.max_rows` of each are drawn.
    What people asked the API lately is compared too and has its own verdict under `asked`.

    Writes a page, Evidently's report and a JSON record under `reports/drift/`, named by when the newest
    file was received, so that a repetition replaces them; tags the version with the verdict. Raises
    `NothingToDo` when no model is in production, or when there is no listing it has not seen.
    """
    manifest = snapshots.manifest_of(root, snapshot_id)
    newest = manifest["files"][-1]
    judged = judged_on(root, registry, [newest["sha256"]])
    files, new, repeated = _newest(root, judged, manifest["files"], params.drift.enough_rows)
    if len(new) == 0:
        raise NothingToDo(
            f"listings that version {judged.version} has not seen were expected in {newest['file']}, found "
            f"all {repeated} known; the next file is compared when it lands"
        )
    log.info("comparing %d new listings with what version %s learned", len(new), judged.version)
    reference, current = _drawn(judged.known, params.drift), _drawn(new, params.drift)
    pipeline = registry.load(judged.model_uri)
    before = live_accuracy.score(pipeline, _drawn(test_listings(root, judged.run), params.drift))
    now = live_accuracy.score(pipeline, current)
    accuracy = live_accuracy.judge(now, before, params.live)
    comparison = compare(reference, current, params.drift, (before.error, now.error))
    asked = _asked(root, registry, judged, params.drift)
    stamp = datetime.fromisoformat(newest["received_at"]).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"reports/drift/{stamp}-{newest['sha256'][:12]}"
    report = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "file": newest["file"],
        "sha256": newest["sha256"],
        "files": files,
        "reference_snapshot": judged.snapshot_id,
        "production_version": judged.version,
        "rows": len(new),
        "rows_repeated": repeated,
        "reference_rows": len(reference),
        "drifted": comparison.verdict == DRIFTED,
        **comparison.record(),
        "drift_share": len(comparison.drifted) / max(len(comparison.findings), 1),
        "changes": [
            drift_report.sentence(finding.column, change)
            for finding in comparison.findings
            for change in drift_report.told(finding)
        ],
        "headline": headline(comparison, newest["file"]),
        # What a buyer sees of it: asked against predicted prices, as a share.
        "shift": math.expm1(accuracy.live["bias_log"]) if accuracy.live else 0.0,
        "accuracy": accuracy.record(),
        "asked": asked[0].record() if asked else None,
        "report": f"{name}.html",
        "evidently": None,
    }
    if min(len(before.asked), len(now.asked)) >= params.drift.min_rows:
        snapshot, left_out = drift_report.evidently_report(comparison, before, now, params.drift.report_rows)
        report |= {"evidently": f"{name}.evidently.html", "evidently_left_out": left_out}
        root.write_bytes(f"{name}.evidently.html", drift_report.evidently_page(snapshot))
        # For the history in Evidently's workspace.
        root.write_text(f"{name}.evidently.json", snapshot.dumps())
    page = drift_report.render(report, (comparison, reference, current), (before, now), accuracy, asked)
    root.write_text(f"{name}.html", page)
    root.write_json(f"{name}.json", report)
    registry.tag_version(
        judged.version,
        **{
            "drift.verdict": comparison.verdict,
            "drift.at": report["written_at"],
            "drift.report": report["report"],
        },
    )
    log.info("%s; report at %s", report["headline"], root.uri(report["report"]))
    return report


def headline(comparison: Comparison, file: str) -> str:
    """The verdict in one sentence."""
    if comparison.verdict == DRIFTED:
        names = [drift_report.label(column) for column in comparison.drifted]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return f"{file} is unlike what production learned: {', '.join(names[:4])}{more}"
    if comparison.verdict == TOO_LITTLE:
        return (
            f"{file}: too little data, {comparison.rows_current} new listings, to say whether they are alike"
        )
    return f"{file} is like what production learned"


def _newest(
    root: DataRoot, judged: Judged, files: list[dict[str, Any]], enough: int
) -> tuple[list[dict[str, Any]], pd.DataFrame, int]:
    """The newest files the version has not seen, until they hold `enough` new listings; and those listings.

    Also how many of their listings are no news.
    """
    chosen: list[dict[str, Any]] = []
    new, repeated = judged.known.head(0), 0
    for entry in reversed(files):
        if entry["sha256"] in judged.learned or (chosen and len(new) >= enough):
            break
        chosen.insert(0, entry)
        new, repeated = judged.unseen(root, chosen)
    return chosen, new, repeated


def _drawn(listings: pd.DataFrame, params: DriftParams) -> pd.DataFrame:
    if len(listings) <= params.max_rows:
        return listings
    return listings.sample(params.max_rows, random_state=0).sort_index()


def _asked(
    root: DataRoot, registry: Registry, judged: Judged, params: DriftParams
) -> drift_report.Compared | None:
    """What people asked the API in the `asked_days` until now, against what today's production learned.

    Empty fields are no drift: a form is filled in otherwise than an ad. Equal questions count once. None
    where nothing was asked.
    """
    since = datetime.now(UTC) - timedelta(days=params.asked_days)
    days = [name for name in root.names(QUESTIONS, ".parquet") if name >= f"{since:%Y-%m-%d}"]
    tables = [root.read_parquet(f"{QUESTIONS}/{day}") for day in days]
    together = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["at"])
    lately = together[pd.to_datetime(together["at"], utc=True) >= since]
    if lately.empty:
        return None
    current = registry.require(PRODUCTION)
    known = judged.known
    if str(current.version) != judged.version:
        known = snapshots.load(root, registry.get_run(str(current.run_id)).data.tags["snapshot_id"])[1]
    columns = list(FEATURES)
    questions = _drawn(as_canonical(lately)[columns].drop_duplicates(ignore_index=True), params)
    reference = _drawn(known[columns], params)
    return compare(reference, questions, params, count_empty=False), reference, questions
