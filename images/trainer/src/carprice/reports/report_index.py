"""The index of all reports: the state of things at the top, then every report, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from carprice.formats import percent, thousands
from carprice.lifecycle.model_card import path_of
from carprice.reports.html import templates
from carprice.reports.report_records import (
    Document,
    State,
    documents,
    drift_share,
    drift_verdict,
    live_error,
    number,
    problem_of,
    promised_error,
    stems,
    time_of,
)
from carprice.store import DataRoot

INDEX = "reports/index.html"
# Reports of each kind on the page; a browser is quick with some thousands of rows, not with all of years.
LISTED = 1000

# Kinds of reports, by folder under `reports/`, in the order of the filter.
KINDS = {
    "pipeline": "Pipeline",
    "live": "Live accuracy",
    "drift": "Drift",
    "quality": "Data quality",
    "models": "Model card",
}

# What a verdict means to somebody who only sees its colour.
COLOURS = {
    "promoted": "yes", "accepted": "yes", "stable": "yes", "as promised": "yes", "in production": "yes",
    "kept": "wait", "too little data": "wait", "some rows refused": "wait",
    "failed": "no", "drifted": "no", "worse": "no", "refused": "no",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One report on the index; `href` and `more` (address, words) are relative to the index."""

    kind: str
    at: datetime
    href: str
    title: str
    detail: str = ""
    verdict: str = ""
    more: tuple[tuple[str, str], ...] = ()

    @property
    def colour(self) -> str:
        """The class that colours the verdict."""
        return COLOURS.get(self.verdict, "")


def write_index(root: DataRoot, state: State) -> None:
    """Write `reports/index.html` over every report there is, newest first."""
    found = {
        "pipeline": _pipeline(root),
        "live": _live(root),
        "drift": _drift(root),
        "quality": _quality(root, state.receipts),
        "models": _models(root, state),
    }
    rows = sorted(
        (row for of_kind in found.values() for row in of_kind[:LISTED]), key=lambda r: r.at, reverse=True
    )
    page = (
        templates()
        .get_template("index.html")
        .render(
            rows=rows,
            kinds={kind: (words, len(found[kind])) for kind, words in KINDS.items()},
            left_off={
                kind: len(of_kind) - LISTED for kind, of_kind in found.items() if len(of_kind) > LISTED
            },
            state=state,
            tiles=_tiles(state),
            attention=_attention(state),
            written_at=datetime.now(UTC),
        )
    )
    root.write_text(INDEX, page)


# --- the rows


def _pages(root: DataRoot, kind: str) -> tuple[list[str], dict[str, Document]]:
    """The stems of a kind's pages, newest first, and the records of those that are listed."""
    pages = stems(root, f"reports/{kind}", ".html")[::-1]
    return pages, documents(root, f"reports/{kind}", pages[:LISTED])


def _pipeline(root: DataRoot) -> list[Row]:
    pages, reports = _pages(root, "pipeline")
    rows = []
    for stem in pages:
        report = reports.get(stem, {})
        error = number(report, "metrics", "test_unflagged_mape")
        rows.append(
            Row(
                "pipeline",
                time_of(report, stem) or _NEVER,
                f"pipeline/{stem}.html",
                _sentence(report.get("headline")) or stem,
                _joined(
                    _files(report),
                    f"{percent(error)} mean error on test listings" if error is not None else "",
                ),
                str(report.get("verdict") or ""),
                tuple(
                    (str(card).removeprefix("reports/"), "model card")
                    for card in [report.get("model_card")]
                    if card
                ),
            )
        )
    return rows


def _drift(root: DataRoot) -> list[Row]:
    pages, reports = _pages(root, "drift")
    evidently = {
        name.removesuffix(".evidently.html") for name in root.names("reports/drift", ".evidently.html")
    }
    rows = []
    for stem in pages:
        report = reports.get(stem, {})
        share = drift_share(report)
        told = f"{percent(share)} of the columns drifted" if share is not None else ""
        rows.append(
            Row(
                "drift",
                time_of(report, stem) or _NEVER,
                f"drift/{stem}.html",
                _sentence(report.get("headline") or told) or stem,
                _joined(
                    report.get("file") or _files(report),
                    _version("against what version {} learned", report.get("production_version")),
                ),
                drift_verdict(report),
                ((f"drift/{stem}.evidently.html", "Evidently"),) if stem in evidently else (),
            )
        )
    return rows


def _live(root: DataRoot) -> list[Row]:
    pages, reports = _pages(root, "live")
    rows = []
    for stem in pages:
        report = reports.get(stem, {})
        error, promised = live_error(report), promised_error(report)
        told = _joined(
            f"{percent(error)} off" if error is not None else "",
            f"{percent(promised)} promised" if promised is not None else "",
            between=", ",
        )
        count = number(report, "metrics", "rows")
        rows.append(
            Row(
                "live",
                time_of(report, stem) or _NEVER,
                f"live/{stem}.html",
                _sentence(report.get("headline"))
                or _joined(_version("Version {}", report.get("version")), told, between=": ")
                or stem,
                _joined(_files(report), f"{thousands(count)} new listings" if count else ""),
                str(report.get("verdict") or ""),
            )
        )
    return rows


def _quality(root: DataRoot, receipts: Mapping[str, Document]) -> list[Row]:
    rows = []
    for sha256 in stems(root, "reports/quality", ".html"):
        receipt = receipts.get(sha256, {})
        refused = number(receipt, "rows_refused")
        verdict = str(receipt.get("status") or "")
        if verdict == "accepted" and refused:
            verdict = "some rows refused"
        counts = [
            f"{thousands(count)} {words}"
            for key, words in (
                ("rows_in", "rows in"),
                ("rows_accepted", "accepted"),
                ("rows_refused", "refused"),
                ("rows_repeated", "repeated"),
            )
            if (count := number(receipt, key)) is not None
        ]
        rows.append(
            Row(
                "quality",
                time_of(receipt) or _NEVER,
                f"quality/{sha256}.html",
                str(receipt.get("file") or sha256[:12]),
                _joined(receipt.get("refusal"), ", ".join(counts)),
                verdict,
            )
        )
    return sorted(rows, key=lambda row: row.at, reverse=True)


def _models(root: DataRoot, state: State) -> list[Row]:
    """One row per model card; the pipeline reports tell which version a run became."""
    cards = {
        entry["name"].rsplit("/", 1)[-1].removesuffix(".html"): _modified(entry)
        for entry in root.entries("reports/models")
        if entry["name"].endswith(".html") and not entry["name"].rsplit("/", 1)[-1].startswith(".")
    }
    told: dict[str, Document] = {}
    pages, reports = _pages(root, "pipeline")
    for stem in reversed(pages[:LISTED]):
        report = reports.get(stem, {})
        if report.get("run_id"):
            told[str(report["run_id"])] = report
    served = {str(entry.get("version")) for entry in state.history}
    rows = []
    for run_id, modified in cards.items():
        report = told.get(run_id, {})
        version = report.get("version")
        error, rows_scored = (
            number(report, "metrics", f"test_unflagged_{name}") for name in ("mape", "rows")
        )
        if version is not None and str(version) == state.production_version:
            verdict = "in production"
        else:
            verdict = "was in production" if str(version) in served else "not in production"
        rows.append(
            Row(
                "models",
                time_of(report) or modified or _NEVER,
                path_of(run_id).removeprefix("reports/"),
                _version("Version {}", version) or "A candidate that was not registered",
                _joined(
                    f"{percent(error)} mean error on {thousands(rows_scored)} test listings"
                    if error is not None and rows_scored
                    else "",
                    f"run {run_id[:12]}",
                ),
                verdict,
            )
        )
    return sorted(rows, key=lambda row: row.at, reverse=True)


# --- the state of things


@dataclass(frozen=True)
class Tile:
    """One figure of the state of things."""

    name: str
    figure: str
    words: str
    colour: str = ""
    at: datetime | None = None
    href: str = ""


def _tiles(state: State) -> list[Tile]:
    live, drift, file = state.live, state.drift, state.newest_file
    error = live_error(live)
    promised = promised_error(live) if live else None
    promised = promised if promised is not None else state.promised_mape
    refused, rows_in = number(file, "rows_refused"), number(file, "rows_in")
    whole = file.get("status") == "refused"
    waiting = state.undelivered
    problem = next((problem_of(alert) for alert in waiting if problem_of(alert)), "")
    return [
        Tile(
            "In production",
            _version("Version {}", state.production_version) or "None",
            {"rollback": "rolled back", "promotion": "promoted"}.get(
                state.production_action or "", "since then"
            )
            if state.production_since
            else ("" if state.production_version else "No model has been promoted yet."),
            "yes" if state.production_version else "wait",
            state.production_since,
        ),
        Tile(
            "Live error",
            percent(error) if error is not None else "–",
            _joined(
                f"{percent(promised)} promised" if promised is not None else "",
                str(live.get("verdict") or "") if live else "no new listings priced yet",
                _of_version(live.get("version"), state),
            ),
            COLOURS.get(state.live_verdict, ""),
            time_of(live, str(live.get("stem", ""))),
            _page_of(live, "live"),
        ),
        Tile(
            "Market",
            drift_verdict(drift).capitalize() or "–",
            _joined(
                _sentence(drift.get("headline") or drift.get("file"))
                if drift
                else "no new listings compared yet",
                _of_version(drift.get("production_version"), state),
            ),
            COLOURS.get(state.drift_verdict, ""),
            time_of(drift, str(drift.get("stem", ""))),
            _page_of(drift, "drift"),
        ),
        Tile(
            "Newest file",
            "Refused" if whole else f"{thousands(refused)} refused" if refused is not None else "–",
            _joined(f"of {thousands(rows_in)} rows" if rows_in is not None else "", file.get("file"))
            if file
            else "no file has landed yet",
            "no" if whole else "wait" if refused else "yes" if file else "",
            time_of(file),
            f"quality/{file['sha256']}.html" if file.get("sha256") and file.get("quality_page") else "",
        ),
        Tile(
            "Alerts",
            f"{len(state.alerts)} open" if state.alerts else "None open",
            (f"{len(waiting)} not delivered" if problem else f"{len(waiting)} waiting to be sent")
            + (f": {problem[:120]}" if problem else "")
            if waiting
            else "",
            "no" if problem else "wait" if state.alerts else "yes",
        ),
    ]


def _attention(state: State) -> list[tuple[str, str]]:
    """What a person should look into: a sentence and the report about it, or no report; empty when all is
    well."""
    found = [
        (
            _sentence(str(alert.get("subject", "")).removeprefix("Car prices: ")),
            str(alert.get("report") or "").removeprefix("reports/"),
        )
        for alert in state.alerts
        # A refused file is worth a look until the next one has landed; a report that waits to be sent is
        # no finding.
        if alert.get("subject") and alert.get("kind") not in ("file_refused", "report")
    ][:5]
    alerted = {alert.get("kind") for alert in state.alerts}
    if state.production_version is None:
        found.append(("No model is in production", ""))
    if state.pipeline.get("verdict") == "failed" and "pipeline_failed" not in alerted:
        found.append((_sentence(state.pipeline.get("headline")), _page_of(state.pipeline, "pipeline")))
    if state.live_verdict == "worse" and "live_error" not in alerted:
        found.append(("The model errs more on new listings than was promised", _page_of(state.live, "live")))
    if state.drift_verdict == "drifted" and "drift" not in alerted:
        found.append(
            ("The market has moved away from what the model learned", _page_of(state.drift, "drift"))
        )
    file = state.newest_file
    if file.get("status") == "refused":
        found.append(
            (f"The newest file, {file.get('file')}, was refused", f"quality/{file.get('sha256')}.html")
        )
    if any(problem_of(alert) for alert in state.undelivered):
        found.append(("An alert did not reach everybody: a channel does not answer", ""))
    return found


# --- words

_NEVER = datetime.fromtimestamp(0, UTC)


def _joined(*parts: Any, between: str = " · ") -> str:
    return between.join(str(part) for part in parts if part)


def _sentence(text: Any) -> str:
    """With a capital letter, unless it begins with the name of a file or step."""
    words = str(text or "")
    is_name = any(letter in words.partition(" ")[0] for letter in "._")
    return words if is_name else f"{words[:1].upper()}{words[1:]}"


def _version(words: str, version: Any) -> str:
    return words.format(version) if version is not None else ""


def _of_version(version: Any, state: State) -> str:
    """Whose figure it is, where that is not the version in production."""
    return f"version {version}" if version is not None and str(version) != state.production_version else ""


def _files(report: Mapping[str, Any]) -> str:
    """The files that a report is about, in a few words."""
    entries = report.get("files") if isinstance(report.get("files"), list) else [report]
    names = [str(entry["file"]) for entry in entries or [] if isinstance(entry, dict) and entry.get("file")]
    if len(names) < 2:
        return "".join(names)
    return f"{len(names)} files, the newest {names[-1]}"


def _page_of(record: Document, kind: str) -> str:
    return f"{kind}/{record['stem']}.html" if record.get("stem") else ""


def _modified(entry: Mapping[str, Any]) -> datetime | None:
    """When an fsspec entry was last changed; stores name it differently and tell it in other types."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    return None
