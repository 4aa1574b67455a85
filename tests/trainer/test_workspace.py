"""The Evidently workspace: one run per landed file, found by Evidently's own service, offline."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import offline_page

from carprice import cli
from carprice.landing import land as landing
from carprice.monitoring import workspace
from carprice.store import DataRoot

pytest.importorskip("evidently")


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    root = DataRoot(str(tmp_path))
    for week in (1, 2):
        land(root, week)
    return root


def land(root: DataRoot, week: int, file: str = "", headline: str = "nothing changed", **drift: Any) -> str:
    """The records that a landed file leaves behind; its hash."""
    sha256 = f"{week:064x}"
    at = f"2025-01-{week:02d}T10:00:00+00:00"
    file = file or f"week{week}.csv"
    receipt = {"sha256": sha256, "file": file, "status": "accepted", "checked_at": at, "rows_refused": week}
    root.write_json(f"receipts/{sha256}.json", receipt | {"rows_accepted": 900})
    record = {
        "written_at": at, "sha256": sha256, "file": file, "verdict": "stable", "headline": headline,
        "production_version": "1", "drift_share": 0.1 * week, "report": "reports/drift/x.html",
        "accuracy": {"metrics": {"mape": 0.09, "rows": 880}, "promised": {"mape": 0.085}},
    }  # fmt: skip
    root.write_json(f"reports/drift/202501{week:02d}T100000Z-{sha256[:12]}.json", record | drift)
    return sha256


def runs(root: DataRoot) -> dict[str, Any]:
    """The runs as Evidently reads them, by file."""
    from evidently.ui.workspace import Workspace

    local = Workspace(root.path(workspace.FOLDER))
    (project,) = local.list_projects()
    return {
        str(run.name): run for run in (local.get_run(project.id, one) for one in local.list_runs(project.id))
    }


def figures(run: Any) -> dict[str, float]:
    return {
        result.metric_value_location.metric.params["figure"]: result.value
        for result in run.metric_results.values()
    }


def test_each_landed_file_is_a_run_with_its_figures(root: DataRoot) -> None:
    workspace.publish(root)
    found = runs(root)
    assert set(found) == {"week1.csv", "week2.csv"}
    assert figures(found["week2.csv"]) == {
        "drift_share": 0.2, "live_error": 0.09, "promised_error": 0.085, "rows_refused": 2,
        "rows_accepted": 900,
    }  # fmt: skip
    assert found["week2.csv"].tags == ["stable", "version 1"]


def test_publishing_again_changes_nothing_and_a_measurement_repeated_replaces_its_run(root: DataRoot) -> None:
    assert workspace.publish(root) == {"runs": 2, "changed": 2}
    assert workspace.publish(root) == {"runs": 2, "changed": 0}
    land(root, 2, drift_share=0.3)
    assert workspace.publish(root) == {"runs": 2, "changed": 1}
    assert figures(runs(root)["week2.csv"])["drift_share"] == 0.3


def test_publishing_what_is_published_does_without_evidently(root: DataRoot) -> None:
    workspace.publish(root)
    code = (
        "import sys; from carprice.monitoring import workspace; from carprice.store import DataRoot\n"
        "print(workspace.publish(DataRoot(sys.argv[1])), 'evidently' in sys.modules)"
    )
    command = [sys.executable, "-c", code, root.location]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "{'runs': 2, 'changed': 0} False"


def test_a_lost_workspace_is_made_again_from_the_records(root: DataRoot) -> None:
    workspace.publish(root)
    root.remove(workspace.FOLDER)
    assert workspace.publish(root) == {"runs": 2, "changed": 2}


def test_a_file_without_a_comparison_has_the_figures_of_its_receipt(root: DataRoot) -> None:
    sha256 = f"{9:064x}"
    root.write_json(
        f"receipts/{sha256}.json",
        {
            "file": "first.csv",
            "status": "refused",
            "checked_at": "2025-01-09T10:00:00+00:00",
            "rows_refused": 5,
        },
    )
    workspace.publish(root)
    assert figures(runs(root)["first.csv"]) == {"rows_refused": 5}


def test_a_refused_first_file_is_a_run_once_ingestion_has_nothing_more_to_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    root = DataRoot(str(tmp_path))
    sha256 = str(landing.land(root, str(written(tmp_path / "first.csv", b"")))["sha256"])
    assert cli.main(["check-data-quality", "--file", "first.csv", "--sha256", sha256]) == 65
    assert cli.main(["check-freshness"]) == 99
    assert set(runs(root)) == {"first.csv"}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_broken_record_costs_only_its_own_run(root: DataRoot) -> None:
    root.write_text(f"receipts/{'f' * 64}.json", "{")
    root.write_json(f"receipts/{'e' * 64}.json", {})
    root.write_text("reports/drift/20250103T100000Z-x.json", "[]")
    root.write_text(f"{workspace.FOLDER}/published.json", "{")
    assert workspace.publish(root)["runs"] == 2


def test_evidently_s_own_report_is_part_of_the_newest_runs_only(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd
    from evidently import Report
    from evidently.metrics import RowCount

    monkeypatch.setattr(workspace, "WITH_REPORT", 1)
    saved = Report([RowCount()]).run(pd.DataFrame({"a": [1, 2, 3]}), None).dumps()
    for week in (1, 2, 3):
        root.write_text(f"reports/drift/{week}.evidently.json", saved)
        land(root, week, evidently=f"reports/drift/{week}.evidently.html")
        workspace.publish(root)
    own = {file: len(run.metric_results) - len(workspace.FIGURES) for file, run in runs(root).items()}
    assert own == {"week1.csv": 0, "week2.csv": 0, "week3.csv": 1}


def test_panels_that_somebody_rearranged_stay_as_they_are(root: DataRoot) -> None:
    workspace.publish(root)
    dashboard = f"{workspace.FOLDER}/{runs_project(root)}/dashboard.json"
    root.write_text(dashboard, '{"tabs": [], "panels": []}')
    workspace.publish(root)
    assert root.read_json(dashboard)["panels"] == []


def test_on_an_object_store_there_is_no_workspace_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert workspace.publish(DataRoot("memory://no-workspace"))["runs"] == 0
    assert "needs a local data root" in caplog.text


def test_the_service_shows_the_history_without_a_network_and_notices_new_files(root: DataRoot) -> None:
    workspace.publish(root)
    with service(root) as url, offline_page() as page:
        page.goto(f"{url}/projects/{runs_project(root)}")
        for panel in ("Live error", "Drift share", "Rows refused"):
            page.get_by_role("heading", name=panel, exact=True).or_(
                page.get_by_text(panel, exact=True)
            ).first.wait_for()
        page.locator("svg text", has_text="2025").first.wait_for()
        evil = "<img src=x onerror=document.title='hacked'>"
        land(root, 3, file=f"week3{evil}.csv", headline=f"prices rose {evil}")
        workspace.publish(root)
        listed = f"{url}/api/projects/{runs_project(root)}/snapshots"
        assert eventually(lambda: "week3" in page.request.get(listed).text())
        page.goto(f"{url}/projects/{runs_project(root)}/reports")
        page.get_by_text("week3").first.wait_for()
        page.get_by_text("View").first.click()
        page.get_by_text("prices rose").first.wait_for()
        page.wait_for_timeout(300)
        assert page.title() != "hacked"


def runs_project(root: DataRoot) -> str:
    (project,) = root.folders(workspace.FOLDER)
    return project


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def service(root: DataRoot) -> Iterator[str]:
    """`carprice evidently-ui` on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "carprice", "evidently-ui", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"DATA_DIR": root.location})
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: answers(port) or process.poll() is not None, 120)
        assert process.poll() is None, "the service ended"
        yield url
    finally:
        process.terminate()
        process.wait(30)
