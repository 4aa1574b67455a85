"""The step that compares the newest listings with what the production model learned."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.history.seen import dated
from carprice.lifecycle.evaluation import test_rows
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings.schema import FEATURES
from carprice.listings.tables import as_canonical
from carprice.monitoring import drift_page
from carprice.monitoring.accuracy import Scored, assess, score
from carprice.monitoring.drift_page import Compared
from carprice.monitoring.drift_sentences import headline, sentences
from carprice.monitoring.new_listings import ProductionVersion, version_without
from carprice.monitoring.said_columns import said_columns
from carprice.monitoring.verdict import DRIFTED, Comparison, compare
from carprice.params import DriftParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import QUESTIONS

log = logging.getLogger(__name__)


def detect_drift(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> dict[str, Any]:
    """Compare the newest listings of a snapshot with what the production model was trained on.

    New are the listings of the newest file that production's snapshot does not hold, and those of older
    such files until there are `drift.enough_rows`. The reference is all of production's snapshot; the
    model's own errors are compared with those on its test rows. At most `drift.max_rows` of each are drawn.
    The questions that people lately asked the API are compared too and have their own verdict under `asked`.

    Writes our page, Evidently's page and a JSON record under `reports/drift/`. Their name is the time at
    which the newest file was received, so that a repetition replaces them. Tags the version with the verdict.
    Raises `NothingToDo` if no model is in production, or if it has seen all listings.
    """
    manifest = snapshots.manifest_of(root, snapshot_id)
    newest = manifest["files"][-1]
    production = version_without(root, registry, [newest["sha256"]])
    files, new, repeated = _newest(root, production, manifest, params.drift.enough_rows)
    if len(new) == 0:
        raise NothingToDo(
            f"expected listings that version {production.version} has not seen in {newest['file']}, found "
            f"all {repeated} known; the next file is compared when it lands"
        )
    log.info("comparing %d new listings with what version %s learned", len(new), production.version)
    reference, current = _learned(root, production.manifest, params.drift), _drawn(new, params.drift)
    pipeline = registry.load(production.model_uri)
    before = score(pipeline, _tested(root, production, params.drift))
    now = score(pipeline, dated(manifest, current))
    accuracy = assess(now.complete(), before.complete(), params.live)
    before, now = _of_one_kind(before, now, params.drift.min_rows)
    said = said_columns(root, reference), said_columns(root, current)
    comparison = compare(reference, current, params.drift, (before.error, now.error), said=said)
    questions = _questions(root, registry, production, params.drift)
    stamp = datetime.fromisoformat(newest["received_at"]).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"reports/drift/{stamp}-{newest['sha256'][:12]}"
    report = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "file": newest["file"],
        "sha256": newest["sha256"],
        "files": files,
        "reference_snapshot": production.snapshot_id,
        "production_version": production.version,
        "rows": len(new),
        "rows_repeated": repeated,
        "reference_rows": len(reference),
        "drifted": comparison.verdict == DRIFTED,
        **comparison.record(),
        "drift_share": len(comparison.drifted) / max(len(comparison.findings), 1),
        "changes": sentences(comparison),
        "headline": headline(comparison, newest["file"]),
        # What a buyer notices: the distance of asking from predicted prices, as a share.
        "shift": math.expm1(accuracy.live["bias_log"]) if accuracy.live else 0.0,
        "accuracy": accuracy.record(),
        "asked": questions.comparison.record() if questions else None,
        "report": f"{name}.html",
        "evidently": None,
    }
    if min(len(before.asking_mad), len(now.asking_mad)) >= params.drift.min_rows:
        report |= _write_evidently(root, name, comparison, (before, now), params.drift.report_rows)
    compared = Compared(comparison, reference, current, said)
    root.write_text(f"{name}.html", drift_page.render(report, compared, (before, now), accuracy, questions))
    root.write_json(f"{name}.json", report)
    registry.tag_version(
        production.version,
        **{
            "drift.verdict": comparison.verdict,
            "drift.at": report["written_at"],
            "drift.report": report["report"],
        },
    )
    log.info("%s; report at %s", report["headline"], root.uri(report["report"]))
    return report


def _write_evidently(
    root: DataRoot, name: str, comparison: Comparison, scored: tuple[Scored, Scored], rows: int
) -> dict[str, Any]:
    """Write Evidently's page, and its JSON for the history in Evidently's workspace; what the record says."""
    from carprice.monitoring import evidently_adapter, evidently_page

    snapshot, left_out = evidently_page.evidently_report(comparison, *scored, rows)
    root.write_bytes(f"{name}.evidently.html", evidently_adapter.html_page(snapshot))
    root.write_text(f"{name}.evidently.json", snapshot.dumps())
    return {"evidently": f"{name}.evidently.html", "evidently_left_out": left_out}


def _newest(
    root: DataRoot, production: ProductionVersion, manifest: dict[str, Any], enough: int
) -> tuple[list[dict[str, Any]], pd.DataFrame, int]:
    """The newest files that the version has not seen, until they hold `enough` new listings.

    Also these listings, and how many listings of the files are not new.
    """
    chosen: list[dict[str, Any]] = []
    new, repeated = pd.DataFrame(), 0
    for entry in reversed(manifest["files"]):
        if entry["sha256"] in production.learned or (chosen and len(new) >= enough):
            break
        chosen.insert(0, entry)
        new, repeated = production.unseen(root, manifest, chosen)
    return chosen, new, repeated


def _drawn(listings: pd.DataFrame, params: DriftParams) -> pd.DataFrame:
    if len(listings) <= params.max_rows:
        return listings
    return listings.sample(params.max_rows, random_state=0).sort_index()


def _learned(root: DataRoot, manifest: dict[str, Any], params: DriftParams) -> pd.DataFrame:
    """As many of a snapshot's listings as are compared; only these are read as a whole."""
    every = np.ones(snapshots.length(root, manifest), dtype=bool)
    return snapshots.rows(root, manifest, _drawn_of(every, params))


def _tested(root: DataRoot, production: ProductionVersion, params: DriftParams) -> pd.DataFrame:
    """As many test listings of a version as are compared; only these are read as a whole."""
    manifest, chosen = test_rows(root, production.run)
    return dated(manifest, snapshots.rows(root, manifest, _drawn_of(chosen, params)))


def _drawn_of(chosen: npt.NDArray[np.bool_], params: DriftParams) -> npt.NDArray[np.bool_]:
    """Which of the n `chosen` rows are drawn, shape (n,)."""
    drawn = np.zeros_like(chosen)
    drawn[_drawn(pd.DataFrame(index=np.flatnonzero(chosen)), params).index] = True
    return drawn


def _of_one_kind(before: Scored, now: Scored, enough: int) -> tuple[Scored, Scored]:
    """Both without partial listings, whose prices stand elsewhere, where `enough` others remain."""
    complete = before.complete(), now.complete()
    return complete if min(len(side.asking_mad) for side in complete) >= enough else (before, now)


def _questions(
    root: DataRoot, registry: Registry, production: ProductionVersion, params: DriftParams
) -> Compared | None:
    """The questions to the API in the last `asked_days`, compared with what today's production learned.

    Empty fields are no drift: people leave other fields of a form empty than sellers do. Equal questions
    count once. None if there was no question.
    """
    since = datetime.now(UTC) - timedelta(days=params.asked_days)
    days = [name for name in root.names(QUESTIONS, ".parquet") if name >= f"{since:%Y-%m-%d}"]
    tables = [root.read_parquet(f"{QUESTIONS}/{day}") for day in days]
    together = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["at"])
    lately = together[pd.to_datetime(together["at"], utc=True) >= since]
    if lately.empty:
        return None
    current = registry.require(PRODUCTION)
    manifest = production.manifest
    if str(current.version) != production.version:
        run = registry.get_run(str(current.run_id))
        manifest = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    columns = list(FEATURES)
    questions = _drawn(as_canonical(lately)[columns].drop_duplicates(ignore_index=True), params)
    reference = _learned(root, manifest, params)[columns]
    comparison = compare(reference, questions, params, count_empty=False)
    return Compared(comparison, reference, questions)
