"""The rows of the index: one for each report, from its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from carprice.formats import thousands
from carprice.reports.paths import model_card, relative_to_index
from carprice.reports.phrases import about_share, about_version, colour_of, files_of, joined, sentence
from carprice.reports.records import (
    Document,
    documents,
    drift_share,
    drift_verdict,
    live_error,
    modified_at,
    number,
    promised_error,
    stems,
    time_of,
)
from carprice.reports.state import SystemState
from carprice.store import DataRoot

LISTED = 500
"""Reports of each kind on the page, which stays below 2 MB: a browser shows such a page at once."""

KINDS = {
    "pipeline": "Pipeline",
    "live": "Live accuracy",
    "drift": "Drift",
    "quality": "Data quality",
    "models": "Model card",
}
"""The kinds of reports by their folder under `reports/`, in the order of the filter."""

_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Row:
    """One report on the index; `href` and the further `links` (address, words) are relative to the index."""

    kind: str
    at: datetime
    href: str
    title: str
    detail: str = ""
    verdict: str = ""
    links: tuple[tuple[str, str], ...] = ()

    @property
    def colour(self) -> str:
        """The class that colours the verdict."""
        return colour_of(self.verdict)


class Listed(NamedTuple):
    """The newest reports of one kind (at most `LISTED`), newest first, and how many there are in all."""

    rows: list[Row]
    total: int


def rows_by_kind(root: DataRoot, state: SystemState) -> dict[str, Listed]:
    """The rows of the newest reports, by kind."""
    return {
        "pipeline": _pipeline(root),
        "live": _live(root),
        "drift": _drift(root),
        "quality": _quality(root, state.receipts),
        "models": _models(root, state),
    }


def _pipeline(root: DataRoot) -> Listed:
    pages, reports = _pages(root, "pipeline")
    rows = []
    for stem in pages[:LISTED]:
        report = reports.get(stem, {})
        error, card = number(report, "metrics", "test_unflagged_mape"), report.get("model_card")
        rows.append(
            Row(
                kind="pipeline",
                at=time_of(report, stem) or _UNKNOWN_TIME,
                href=f"pipeline/{stem}.html",
                title=sentence(report.get("headline")) or stem,
                detail=joined(files_of(report), about_share("{} mean error on test listings", error)),
                verdict=str(report.get("verdict") or ""),
                links=((relative_to_index(str(card)), "model card"),) if card else (),
            )
        )
    return Listed(rows, len(pages))


def _live(root: DataRoot) -> Listed:
    pages, reports = _pages(root, "live")
    rows = []
    for stem in pages[:LISTED]:
        report = reports.get(stem, {})
        version = about_version("Version {}", report.get("version"))
        errors = joined(
            about_share("{} off", live_error(report)),
            about_share("{} promised", promised_error(report)),
            between=", ",
        )
        listings = number(report, "metrics", "rows")
        rows.append(
            Row(
                kind="live",
                at=time_of(report, stem) or _UNKNOWN_TIME,
                href=f"live/{stem}.html",
                title=sentence(report.get("headline")) or joined(version, errors, between=": ") or stem,
                detail=joined(files_of(report), f"{thousands(listings)} new listings" if listings else ""),
                verdict=str(report.get("verdict") or ""),
            )
        )
    return Listed(rows, len(pages))


def _drift(root: DataRoot) -> Listed:
    pages, reports = _pages(root, "drift")
    with_evidently = {
        name.removesuffix(".evidently.html") for name in root.names("reports/drift", ".evidently.html")
    }
    rows = []
    for stem in pages[:LISTED]:
        report = reports.get(stem, {})
        share = about_share("{} of the columns drifted", drift_share(report))
        rows.append(
            Row(
                kind="drift",
                at=time_of(report, stem) or _UNKNOWN_TIME,
                href=f"drift/{stem}.html",
                title=sentence(report.get("headline") or share) or stem,
                detail=joined(
                    report.get("file") or files_of(report),
                    about_version("against what version {} learned", report.get("production_version")),
                ),
                verdict=drift_verdict(report),
                links=((f"drift/{stem}.evidently.html", "Evidently"),) if stem in with_evidently else (),
            )
        )
    return Listed(rows, len(pages))


def _quality(root: DataRoot, receipts: Mapping[str, Document]) -> Listed:
    pages = stems(root, "reports/quality", ".html")
    checked_at = {sha256: str(receipts.get(sha256, {}).get("checked_at", "")) for sha256 in pages}
    rows = []
    for sha256 in sorted(pages, key=lambda sha256: checked_at[sha256], reverse=True)[:LISTED]:
        receipt = receipts.get(sha256, {})
        verdict = str(receipt.get("status") or "")
        if verdict == "accepted" and number(receipt, "rows_refused"):
            verdict = "some rows refused"
        counts = [
            f"{thousands(count)} {words}"
            for key, words, always in (
                ("rows_in", "rows in", True),
                ("rows_accepted", "accepted", True),
                ("rows_refused", "refused", True),
                ("rows_repeated", "repeated", True),
                ("rows_unpriced", "without a price", False),
                ("rows_not_used_cars", "not used cars", False),
            )
            if (count := number(receipt, key)) is not None and (count or always)
        ]
        rows.append(
            Row(
                kind="quality",
                at=time_of(receipt) or _UNKNOWN_TIME,
                href=f"quality/{sha256}.html",
                title=str(receipt.get("file") or sha256[:12]),
                detail=joined(receipt.get("refusal"), *_hold(receipt), ", ".join(counts)),
                verdict=verdict,
            )
        )
    return Listed(sorted(rows, key=lambda row: row.at, reverse=True), len(pages))


def _hold(receipt: Document) -> list[str]:
    """Why a file waits for a person; empty for any other file."""
    reasons = receipt.get("hold") if receipt.get("status") == "held" else None
    return [sentence(reason.get("sentence")) for reason in reasons or []]


def _models(root: DataRoot, state: SystemState) -> Listed:
    """One row for each model card; the pipeline reports say which version a run became."""
    written_at = {
        name.removesuffix(".html"): modified_at(entry)
        for entry in root.entries("reports/models")
        if (name := entry["name"].rsplit("/", 1)[-1]).endswith(".html") and not name.startswith(".")
    }
    pages, reports = _pages(root, "pipeline")
    # Oldest first, so that the newest report of a run counts.
    report_of = {
        str(report["run_id"]): report
        for stem in reversed(pages[:LISTED])
        if (report := reports.get(stem, {})).get("run_id")
    }
    served = {str(entry.get("version")) for entry in state.history}
    rows = []
    for run_id, at in written_at.items():
        report = report_of.get(run_id, {})
        version = report.get("version")
        error = number(report, "metrics", "test_unflagged_mape")
        listings = number(report, "metrics", "test_unflagged_rows")
        if version is not None and str(version) == state.production_version:
            verdict = "in production"
        else:
            verdict = "was in production" if str(version) in served else "not in production"
        rows.append(
            Row(
                kind="models",
                at=time_of(report) or at or _UNKNOWN_TIME,
                href=relative_to_index(model_card(run_id)),
                title=about_version("Version {}", version) or "A candidate that was not registered",
                detail=joined(
                    about_share(f"{{}} mean error on {thousands(listings)} test listings", error)
                    if listings
                    else "",
                    f"run {run_id[:12]}",
                ),
                verdict=verdict,
            )
        )
    return Listed(sorted(rows, key=lambda row: row.at, reverse=True)[:LISTED], len(rows))


def _pages(root: DataRoot, kind: str) -> tuple[list[str], dict[str, Document]]:
    """The stems of a kind's pages, newest first, and the records of those that are listed."""
    pages = stems(root, f"reports/{kind}", ".html")[::-1]
    return pages, documents(root, f"reports/{kind}", pages[:LISTED])
