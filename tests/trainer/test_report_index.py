"""The index of reports: every report once, in words, whatever state its record is in."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carprice.monitoring import publishing
from carprice.reports.index_rows import LISTED
from carprice.store import DataRoot
from carprice_contract.data_root import REPORT_INDEX

SHA = "ab" * 32


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path))


def report(root: DataRoot, kind: str, days_ago: float, **record: Any) -> str:
    """A report of `kind` as its step leaves it: a page, and a record beside it; its stem."""
    stem = f"{datetime(2025, 6, 1, tzinfo=UTC) - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}-{len(record)}"
    root.write_text(f"reports/{kind}/{stem}.html", "<p>report</p>")
    root.write_json(f"reports/{kind}/{stem}.json", record)
    return stem


def receipt(root: DataRoot, sha256: str = SHA, **record: Any) -> None:
    known = {
        "sha256": sha256, "file": "june.csv", "status": "accepted", "checked_at": "2025-06-01T10:00:00+00:00",
        "rows_in": 900, "rows_accepted": 880, "rows_refused": 12, "rows_repeated": 8,
        "quality_page": f"reports/quality/{sha256}.html",
    }  # fmt: skip
    root.write_json(f"receipts/{sha256}.json", known | record)
    root.write_text(f"reports/quality/{sha256}.html", "<p>quality</p>")


def alert(root: DataRoot, kind: str, subject: str, **record: Any) -> None:
    known = {
        "kind": kind, "subject": subject, "state": "open", "first_at": "2025-06-01T10:00:00.000000+00:00",
        "channels": ["e-mail"], "delivered": {"e-mail": "2025-06-01T10:00:01"}, "errors": {}, "report": None,
    }  # fmt: skip
    name = hashlib.sha256(subject.encode()).hexdigest()
    root.write_json(f"alerts/{name}.json", known | record)


def page_of(root: DataRoot) -> str:
    publishing.publish(root)
    return root.read_bytes(REPORT_INDEX).decode()


def links(page: str) -> list[str]:
    return re.findall(r'<td class="title"><a href="([^"]+)"', page)


def test_every_report_is_listed_once_with_the_newest_first(root: DataRoot) -> None:
    old = report(root, "drift", 3, verdict="stable", headline="nothing changed")
    new = report(root, "live", 1, verdict="worse", version="2", metrics={"mape": 0.124})
    mid = report(root, "pipeline", 2, verdict="promoted", headline="version 2 is in production")
    receipt(root)
    assert links(page_of(root)) == [
        f"quality/{SHA}.html",
        f"live/{new}.html",
        f"pipeline/{mid}.html",
        f"drift/{old}.html",
    ]


def test_a_row_says_in_words_what_the_report_found(root: DataRoot) -> None:
    report(root, "live", 1, verdict="worse", version="2", file="june.csv", metrics={"mape": 0.124},
           promised={"mape": 0.091})  # fmt: skip
    page = page_of(root)
    assert "Version 2: 12.4 % off, 9.1 % promised" in page
    assert '<span class="verdict no">worse</span>' in page


def test_evidently_s_own_page_is_a_second_link_of_its_report(root: DataRoot) -> None:
    stem = report(root, "drift", 1, verdict="stable")
    root.write_text(f"reports/drift/{stem}.evidently.html", "<p>Evidently</p>")
    root.write_text(f"reports/drift/{stem}.evidently.json", "{}")
    page = page_of(root)
    assert links(page) == [f"drift/{stem}.html"]
    assert f'<a href="drift/{stem}.evidently.html">Evidently</a>' in page


def test_an_older_drift_record_that_only_says_drifted_has_a_verdict(root: DataRoot) -> None:
    report(root, "drift", 1, drifted=True, drift_share=0.25)
    assert '<span class="verdict no">drifted</span>' in page_of(root)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"metrics": 7, "files": "x", "columns": {}}'])
@pytest.mark.parametrize("kind", ["pipeline", "drift", "live"])
def test_a_broken_record_costs_its_words_and_not_the_page(root: DataRoot, kind: str, content: str) -> None:
    receipt(root)
    stem = report(root, kind, 1)
    root.write_text(f"reports/{kind}/{stem}.json", content)
    root.write_text("receipts/broken.json", content)
    root.write_text("alerts/broken.json", content)
    assert f"{kind}/{stem}.html" in links(page_of(root))


def test_what_comes_from_data_is_escaped(root: DataRoot) -> None:
    evil = "<script>alert(1)</script>"
    receipt(root, file=evil, status="refused", refusal=evil)
    report(root, "drift", 1, verdict=evil, headline=evil, file=evil, production_version=evil)
    report(root, "live", 1, verdict=evil, version=evil, file=evil)
    report(root, "pipeline", 1, verdict=evil, headline=evil, model_card=f'x"{evil}', files=[{"file": evil}])
    alert(root, "drift", evil, errors={"e-mail": evil}, delivered={})
    page = page_of(root)
    assert "<script>alert" not in page
    assert 'x"&lt;' not in page


def test_the_state_of_things_comes_from_the_newest_records(root: DataRoot) -> None:
    receipt(root)
    receipt(root, "cd" * 32, file="july.csv", checked_at="2025-07-01T10:00:00+00:00", rows_refused=3)
    report(root, "live", 2, verdict="worse", version="2", metrics={"mape": 0.2})
    report(root, "live", 1, verdict="as promised", version="2", metrics={"mape": 0.095}, promised=0.091)
    history = [{"at": "2025-05-30T08:00:00+00:00", "action": "rollback", "version": "2"}]
    publishing.publish(root, history)
    # Asked again without the registry, it is remembered.
    tiles = page_of(root).split('<div class="find"')[0]
    for words in (
        "Version 2",
        "rolled back",
        "30 May 2025",
        "9.5 %",
        "9.1 % promised",
        "3 refused",
        "july.csv",
    ):
        assert words in tiles
    assert "Nothing needs your attention" in tiles


def test_an_open_alert_is_at_the_top_with_its_report_and_why_nobody_was_told(root: DataRoot) -> None:
    alert(root, "drift", "Car prices: the market drifted away", report="reports/drift/x.html", delivered={},
          errors={"e-mail": "Connection refused"})  # fmt: skip
    alert(root, "live_error", "Car prices: solved long ago", state="resolved")
    page = page_of(root)
    assert '<a href="drift/x.html">The market drifted away</a>' in page
    assert "1 not delivered: Connection refused" in page
    assert "solved long ago" not in page


def test_a_verdict_about_a_version_that_is_gone_asks_for_nobody_s_attention(root: DataRoot) -> None:
    report(root, "drift", 1, verdict="drifted", production_version="1", headline="prices rose")
    publishing.publish(root, [{"at": "2025-06-02T08:00:00+00:00", "action": "promotion", "version": "2"}])
    page = root.read_bytes(REPORT_INDEX).decode()
    assert "Nothing needs your attention" in page
    assert "Prices rose · version 1" in page


def test_a_card_says_which_version_it_is_of_and_whether_it_serves(root: DataRoot) -> None:
    for run_id, version in (("run1", "1"), ("run2", "2")):
        root.write_text(f"reports/models/{run_id}.html", "<p>card</p>")
        report(root, "pipeline", int(version), run_id=run_id, version=version, verdict="promoted")
    publishing.publish(
        root,
        [
            {"at": "2025-06-01T08:00:00+00:00", "version": "1"},
            {"at": "2025-06-02T08:00:00+00:00", "version": "2"},
        ],
    )
    rows = root.read_bytes(REPORT_INDEX).decode().split("<tr ")
    of = {version: next(row for row in rows if f">Version {version}</a>" in row) for version in ("1", "2")}
    assert ">was in production<" in of["1"]
    assert ">in production<" in of["2"]


def test_of_very_many_reports_the_newest_are_listed_and_the_rest_is_counted(root: DataRoot) -> None:
    for number in range(LISTED + 3):
        root.write_text(f"reports/drift/20250101T{number:06d}Z-x.html", "")
    page = page_of(root)
    assert len(links(page)) == LISTED
    assert "3 older drift reports are not listed" in page


def test_an_empty_root_has_an_index_too(root: DataRoot) -> None:
    page = page_of(root)
    assert "There is no report yet" in page
    assert "No model is in production" in page


def test_an_object_store_has_an_index_too() -> None:
    root = DataRoot("memory://index-of-reports")
    stem = report(root, "drift", 1, verdict="stable", headline="nothing changed")
    assert f"drift/{stem}.html" in links(page_of(root))


def test_search_and_filter_work_in_a_browser_from_a_file_without_a_network(root: DataRoot) -> None:
    from browser import offline_page

    report(root, "drift", 1, verdict="stable", headline="Casablanca is stable")
    report(root, "live", 2, verdict="worse", version="2", file="été.csv")
    page_of(root)
    with offline_page() as page:
        page.goto(f"file://{root.path(REPORT_INDEX)}")
        shown = page.locator("tbody tr:visible")
        assert shown.count() == 2
        page.get_by_label("Search the reports").fill("ETE worse")
        assert shown.all_inner_texts()[0].count("été.csv") == 1
        assert shown.count() == 1
        page.get_by_role("button", name="Drift").click()
        assert page.get_by_text("No report matches").is_visible()
        page.get_by_label("Search the reports").fill("")
        assert "Casablanca" in shown.inner_text()
    with offline_page(java_script_enabled=False) as page:
        page.goto(f"file://{root.path(REPORT_INDEX)}")
        assert page.locator("tbody tr:visible").count() == 2
        assert not page.get_by_label("Search the reports").is_visible()
