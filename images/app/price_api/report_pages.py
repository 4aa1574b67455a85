"""The routes of the reports: lists and serves the pages that the pipeline wrote under the data root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from fastapi import FastAPI, Request, Response

from carprice.listings.records import shown
from carprice.reports.records import documents, modified_at, time_of
from carprice.store import DataRoot
from carprice_contract.data_root import RECEIPTS, REPORT_KINDS, REPORTS
from price_api.direct_routes import PAGE, add_direct_route
from price_api.pricing import Json
from price_api.problems import Refusal
from price_api.routes import pipeline_page
from price_api.services import Services
from price_contract.answers import Report, Reports

EVIDENTLY = ".evidently.html"
MOST_LISTED = 500
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.html")


def add_reports(app: FastAPI, services: Services) -> None:
    """GET /v1/reports and /v1/reports/{kind}/{name}."""

    async def reports(request: Request) -> Response:
        """The reports on data quality, pipeline runs, drift, live accuracy and models, newest first."""
        return Json({"reports": await services.stored(lambda: listed(services.root))})

    async def report(request: Request) -> Response:
        """One report, as a page."""
        kind, name = str(request.path_params["kind"]), str(request.path_params["name"])
        page = await services.stored(lambda: page_of(services.root, kind, name))
        if page is None:
            raise Refusal("report-unknown", {"kind": shown(kind), "name": shown(name)})
        return pipeline_page(page)

    add_direct_route(app, "/v1/reports", reports, "GET", Reports, (), tag="reports", summary="All reports")
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in (
            ("kind", {"type": "string", "enum": list(REPORT_KINDS)}), ("name", {"type": "string"})
        )
    ]  # fmt: skip
    add_direct_route(
        app, "/v1/reports/{kind}/{name}", report, "GET", None, (404,), tag="reports",
        answer=PAGE,
        summary="One report", openapi_extra={"parameters": parameters},
    )  # fmt: skip


def page_of(root: DataRoot, kind: str, name: str) -> str | None:
    """The page, or None where `kind` and `name` are not those of a report."""
    if (
        kind not in REPORT_KINDS
        or not _NAME.fullmatch(name)
        or name not in root.names(f"{REPORTS}/{kind}", ".html")
    ):
        return None
    try:
        return root.read_bytes(f"{REPORTS}/{kind}/{name}").decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def listed(root: DataRoot) -> list[Report]:
    """All reports, newest first."""
    found = [report for kind in REPORT_KINDS for report in _of_kind(root, kind)]
    return sorted(found, key=lambda report: str(report["at"]), reverse=True)


def _of_kind(root: DataRoot, kind: str) -> Iterator[Report]:
    folder = f"{REPORTS}/{kind}"
    written = {
        entry["name"].rsplit("/", 1)[-1]: modified_at(entry) or _UNKNOWN_TIME
        for entry in root.entries(folder)
        if _NAME.fullmatch(entry["name"].rsplit("/", 1)[-1])
    }
    newest = sorted(written, key=lambda name: written[name], reverse=True)[:MOST_LISTED]
    # Evidently's own page of a drift report lies beside ours and shares its record.
    stems = {page: page.removesuffix(EVIDENTLY).removesuffix(".html") for page in newest}
    records = documents(root, RECEIPTS if kind == "quality" else folder, set(stems.values()))
    for page, stem in stems.items():
        record = records.get(stem, {})
        at = time_of(record) or written[page]
        yield {
            "kind": cast(Any, kind),
            "name": page,
            "title": _title(kind, stem, record) + (" · Evidently" if page.endswith(EVIDENTLY) else ""),
            "verdict": _text(record.get("status") if kind == "quality" else record.get("verdict")),
            "at": at.isoformat(timespec="seconds"),
        }


def _title(kind: str, stem: str, record: dict[str, Any]) -> str:
    """The subject of the report, without its verdict: version and file are the same in every language."""
    version, file = _text(record.get("version")), _text(record.get("file"))
    if kind == "models":
        return f"run {stem[:12]}"
    parts = [f"version {version}" if version and kind in ("pipeline", "live") else None, file]
    return " · ".join(part for part in parts if part) or stem


def _text(value: Any) -> str | None:
    return str(value) if value else None
