"""Business figures for Prometheus: right, absent where unknown, and written by the steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from systems import System

from carprice import cli
from carprice.monitoring import gauges, publishing, workspace
from carprice.reports.state import SystemState
from carprice.store import DataRoot
from carprice_contract.data_root import GAUGES, REPORT_INDEX


def samples_of(text: str) -> dict[str, float]:
    """The samples that Prometheus reads in a text, by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = float(sample.value)
    return found


def state(**changes: Any) -> SystemState:
    return SystemState(
        **{
            "production_version": "3",
            "production_since": datetime(2025, 6, 1, tzinfo=UTC),
            "promised_mape": 0.09,
            "newest_file": {
                "rows_accepted": 800,
                "rows_refused": 0,
                "checked_at": "2025-06-02T00:00:00+00:00",
            },
        }
        | changes
    )


def test_the_figures_are_those_of_the_records() -> None:
    live = {"verdict": "as promised", "version": "3", "metrics": {"mape": 0.095, "rows": 812}}
    drift = {"verdict": "drifted", "production_version": "3", "drift_share": 0.25}
    found = samples_of(gauges.text_of(state(live=live, drift=drift)))
    assert found["carprice_live_mape"] == 0.095
    assert found["carprice_live_rows"] == 812
    assert found["carprice_live_worse"] == 0
    assert found["carprice_promised_mape"] == 0.09
    assert found["carprice_drift_share"] == 0.25
    assert found["carprice_drifted"] == 1
    assert found["carprice_promoted_version"] == 3
    assert found["carprice_production_promoted_timestamp_seconds"] == 1748736000
    assert found["carprice_last_landing_timestamp_seconds"] == 1748822400
    assert (found["carprice_rows_accepted"], found["carprice_rows_refused"]) == (800, 0)


def test_what_is_not_known_is_absent_and_never_zero() -> None:
    found = samples_of(gauges.text_of(SystemState()))
    assert {name.split("{")[0] for name in found} == {
        "carprice_alerts_open", "carprice_alerts_undelivered", "carprice_gauges_written_timestamp_seconds",
    }  # fmt: skip


@pytest.mark.parametrize("verdict", ["too little data", None, 7, "", ["worse"]])
def test_too_little_data_is_neither_good_nor_bad(verdict: object) -> None:
    found = samples_of(
        gauges.text_of(
            state(
                live={"verdict": verdict, "version": "3"},
                drift={"verdict": verdict, "production_version": "3"},
            )
        )
    )
    assert "carprice_live_worse" not in found
    assert "carprice_drifted" not in found


def test_a_verdict_about_a_version_that_is_gone_alarms_nobody() -> None:
    live = {"verdict": "worse", "version": "2", "metrics": {"mape": 0.3, "rows": 99}}
    found = samples_of(
        gauges.text_of(state(live=live, drift={"verdict": "drifted", "production_version": "2"}))
    )
    assert "carprice_live_worse" not in found
    assert "carprice_drifted" not in found
    assert found["carprice_live_mape"] == 0.3


def test_alerts_are_counted_by_kind_and_those_nobody_got_besides() -> None:
    alerts = [
        {"kind": "drift", "state": "open", "channels": ["e-mail"], "delivered": {"e-mail": "at"}},
        {
            "kind": "pipeline_failed",
            "state": "open",
            "channels": ["e-mail", "chat"],
            "delivered": {"chat": "at"},
        },
    ]
    found = samples_of(gauges.text_of(state(alerts=alerts)))
    assert found['carprice_alerts_open{kind="drift"}'] == 1
    assert found['carprice_alerts_open{kind="pipeline_failed"}'] == 1
    assert found['carprice_alerts_open{kind="live_error"}'] == 0
    assert found["carprice_alerts_undelivered"] == 1


def test_a_whole_run_leaves_index_and_gauges(system: System) -> None:
    found = samples_of(system.root.read_bytes(GAUGES).decode())
    run = system.registry.get_run(str(system.registry.version_of("production").run_id))
    assert found["carprice_promoted_version"] == 1
    assert found["carprice_promised_mape"] == run.data.metrics["test_unflagged_mape"]
    assert found["carprice_rows_accepted"] == system.report["rows_accepted"]
    assert "Version 1" in system.root.read_bytes(REPORT_INDEX).decode()


def test_publish_report_brings_index_gauges_and_workspace_up_to_date(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (REPORT_INDEX, GAUGES):
        system.root.remove(name)
    monkeypatch.setenv("DATA_DIR", system.root.location)
    assert cli.main(["publish-report", "--report", "reports/drift/x.html"]) == 0
    assert system.root.exists(REPORT_INDEX)
    assert samples_of(system.root.read_bytes(GAUGES).decode())["carprice_promoted_version"] == 1
    (project,) = system.root.folders(workspace.FOLDER)
    assert len(system.root.names(f"{workspace.FOLDER}/{project}/snapshots", ".json")) == 1


def test_publish_report_does_not_wait_for_a_registry_that_is_away(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", system.root.location)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert cli.main(["publish-report", "--report", "reports/drift/x.html"]) == 0
    assert samples_of(system.root.read_bytes(GAUGES).decode())["carprice_promoted_version"] == 1


def test_an_object_store_has_gauges_too() -> None:
    root = DataRoot("memory://gauges")
    publishing.publish(root, [{"at": "2025-06-01T00:00:00+00:00", "version": "4", "action": "promotion"}])
    assert samples_of(root.read_bytes(GAUGES).decode())["carprice_promoted_version"] == 4
