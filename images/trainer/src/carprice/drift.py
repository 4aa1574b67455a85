"""Has the market moved away from what the production model learned?"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from carprice import drift_report, live_accuracy, snapshots
from carprice.data_root import DataRoot
from carprice.drift_tests import DRIFTED, TOO_LITTLE, Comparison, compare
from carprice.evaluation import test_listings
from carprice.listing import FEATURES, as_canonical
from carprice.live_accuracy import Accuracy, Scored
from carprice.new_listings import Judged, judged_on
from carprice.params import DriftParams, Params
from carprice.registry import Registry

log = logging.getLogger(__name__)

ASKED = "asked"


def detect_drift(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> dict[str, Any]:
    """Compare the newest listings of a snapshot with what the production model was trained on.

    New are the listings of the newest file that production's snapshot does not hold, and those of older
    such files until there are `drift.enough_rows`. The reference is all of production's snapshot; the
    model's own errors are compared with those on its test rows. What people asked the API lately is
    compared too and has its own verdict under `asked`.

    Writes a page, Evidently's report and a JSON record under `reports/drift/`, named by when the newest
    file was received, so that a repetition replaces them; tags the version with the verdict. Raises
    `NothingToDo` when no model is in production, or when it has learned from every file there is.
    """
    manifest = snapshots.manifest_of(root, snapshot_id)
    newest = manifest["files"][-1]
    judged = judged_on(root, registry, [newest["sha256"]])
    files, new, repeated = _newest(root, judged, manifest["files"], params.drift.enough_rows)
    log.info("comparing %d new listings with what version %s learned", len(new), judged.version)
    reference, current = _drawn(judged.known, params.drift), _drawn(new, params.drift)
    pipeline = registry.load(judged.model_uri)
    scored: tuple[Scored, Scored] | None = None
    accuracy: Accuracy | None = None
    if len(current):
        scored = (
            live_accuracy.score(pipeline, test_listings(root, judged.run)),
            live_accuracy.score(pipeline, current),
        )
        accuracy = live_accuracy.judge(scored[1], scored[0], params.live)
    comparison = compare(
        reference, current, params.drift, (scored[0].error, scored[1].error) if scored else None
    )
    asked = _asked(root, reference, params.drift)
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
        "shift": math.expm1(accuracy.live["bias_log"]) if accuracy and accuracy.live else 0.0,
        "accuracy": accuracy.record() if accuracy else None,
        "asked": asked[0].record() if asked else None,
        "report": f"{name}.html",
        "evidently": None,
    }
    if scored and min(len(s.asked) for s in scored) >= params.drift.min_rows:
        snapshot, left_out = drift_report.evidently_report(comparison, *scored, params.drift.report_rows)
        report |= {"evidently": f"{name}.evidently.html", "evidently_left_out": left_out}
        root.write_bytes(f"{name}.evidently.html", drift_report.evidently_page(snapshot))
    compared = (comparison, reference, current)
    questions = (asked[0], reference, asked[1]) if asked else None
    root.write_text(f"{name}.html", drift_report.render(report, compared, scored, accuracy, questions))
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
    root: DataRoot, reference: pd.DataFrame, params: DriftParams
) -> tuple[Comparison, pd.DataFrame] | None:
    """What people asked the API in the last `asked_days`, compared with the listings; None if nothing.

    Empty fields are no drift: a form is filled in otherwise than an ad. Equal questions count once.
    """
    tables = [root.read_parquet(f"{ASKED}/{name}") for name in root.names(ASKED, ".parquet")]
    if not tables:
        return None
    together = pd.concat(tables, ignore_index=True)
    at = pd.to_datetime(together["at"], utc=True)
    together = together[at >= at.max() - timedelta(days=params.asked_days)]
    questions = as_canonical(together)[list(FEATURES)].drop_duplicates(ignore_index=True)
    return compare(reference[list(FEATURES)], _drawn(questions, params), params, count_empty=False), questions
