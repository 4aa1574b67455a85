"""Rules, dashboard and StatsD mapping: valid, and about metrics that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from demo.services import airflow_environment
from demo.settings import Settings

from carprice.monitoring import gauges
from carprice.reports.state import SystemState

REPOSITORY = Path(__file__).resolve().parents[2]
MONITORING = REPOSITORY / "monitoring"

# The API's own metrics under /metrics, beside the gauges of the pipeline.
OF_THE_API = {
    "carprice_predictions_total", "carprice_prediction_seconds_bucket", "carprice_prediction_seconds_sum",
    "carprice_prediction_seconds_count", "carprice_requests_total", "carprice_production_version",
    "carprice_production_loaded_timestamp_seconds", "carprice_production_trained_timestamp_seconds",
    "carprice_mlflow_up", "carprice_model_refused_total", "carprice_prediction_log_queue",
    "carprice_prediction_log_dropped_total", "carprice_prediction_log_written_total",
    "carprice_feedback_total", "carprice_shadow_total",
}  # fmt: skip
OF_THE_COLLECTOR = set(
    re.findall(
        r'"(carprice_collect_\w+)": ',
        (REPOSITORY / "images/collector/src/carprice_collector/gauges.py").read_text(),
    )
)
# Words of PromQL and names of labels.
WORDS = {
    "and", "on", "unless", "or", "by", "sum", "max", "min", "count", "rate", "increase", "changes", "time",
    "vector", "histogram_quantile", "instance", "le", "kind", "version", "alias", "status", "dag", "source",
}  # fmt: skip


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """The output of promtool. Skips the test if there is none, fails it if promtool finds a mistake."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("REQUIRE_PROMTOOL"):
            pytest.fail("promtool was expected, found none; install Debian's package prometheus")
        pytest.skip("no promtool")
    found = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def full_state() -> SystemState:
    """A state in which every gauge has a value."""
    at = "2025-06-01T10:00:00+00:00"
    return SystemState(
        production_version="3",
        production_since=datetime(2025, 6, 1, tzinfo=UTC),
        promised_mape=0.09,
        drift={"verdict": "drifted", "drift_share": 0.2, "production_version": "3"},
        live={"verdict": "worse", "version": "3", "metrics": {"mape": 0.12, "rows": 800}, "promised": 0.09},
        newest_file={"rows_accepted": 800, "rows_refused": 3, "checked_at": at},
        alerts=[{"kind": "drift", "state": "open", "channels": ["e-mail"], "delivered": {}}],
    )


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics that a PromQL expression asks for."""
    plain = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    return set(re.findall(r"\b[a-zA-Z_][a-zA-Z0-9_]*\b", plain)) - WORDS


def existing_metrics() -> set[str]:
    mapping = yaml.safe_load((MONITORING / "statsd-mapping.yml").read_text())["mappings"]
    of_airflow = {entry["name"] for entry in mapping if entry.get("action") != "drop"}
    of_airflow |= {f"{name}_{part}" for name in of_airflow for part in ("sum", "count")}
    return OF_THE_API | set(gauges.HELP) | OF_THE_COLLECTOR | of_airflow | {"up", "ALERTS"}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboards" / "carprice.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize(("told", "sent"), [(None, "False"), ("", "False"), ("True", "True")])
def test_the_demo_has_airflow_send_its_metrics_where_it_is_told_to(
    told: str | None, sent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DEMO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME", "process")
    if told is None:
        monkeypatch.delenv("CARPRICE_AIRFLOW_METRICS", raising=False)
    else:
        monkeypatch.setenv("CARPRICE_AIRFLOW_METRICS", told)
    environment = airflow_environment(Settings.from_environment(ports_must_be_free=False))
    assert environment["AIRFLOW__METRICS__STATSD_ON"] == sent


def test_prometheus_takes_configuration_and_rules() -> None:
    promtool("check", "config", str(MONITORING / "prometheus.yml"))
    promtool("check", "rules", str(MONITORING / "rules.yml"))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", *map(str, (MONITORING / "tests").glob("*.yml")))


def test_every_alert_is_tried_out() -> None:
    tried = " ".join(path.read_text() for path in (MONITORING / "tests").glob("*.yml"))
    assert {rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tried} == set()


def test_every_alert_says_what_happened_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "action"}, rule["alert"]


def test_the_gauges_are_what_prometheus_reads() -> None:
    text = gauges.text_of(full_state())
    assert promtool("check", "metrics", stdin=text) == ""
    told = set(re.findall(r"^(carprice_\w+)", text, flags=re.MULTILINE))
    assert told == set(gauges.HELP)


def test_the_gauges_stay_out_of_the_way_of_the_api_s_own_metrics() -> None:
    assert set(gauges.HELP) & OF_THE_API == set()


def test_rules_ask_for_metrics_that_exist() -> None:
    asked = {name for rule in rules() for name in metrics_of(rule["expr"])}
    assert asked - existing_metrics() == set()


def test_the_dashboard_asks_for_metrics_that_exist_and_for_every_gauge() -> None:
    board = dashboard()
    expressions = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
    expressions += [annotation["expr"] for annotation in board["annotations"]["list"]]
    asked = {name for expression in expressions for name in metrics_of(expression)}
    assert asked - existing_metrics() == set()
    in_rules = {name for rule in rules() for name in metrics_of(rule["expr"])}
    assert set(gauges.HELP) - asked - in_rules == set()


def test_prometheus_understands_every_expression_of_the_dashboard() -> None:
    expressions = [t["expr"] for panel in dashboard()["panels"] for t in panel.get("targets", [])]
    as_rules = [{"record": f"panel:{i}", "expr": expr} for i, expr in enumerate(expressions)]
    promtool(
        "check", "rules", "/dev/stdin", stdin=yaml.safe_dump({"groups": [{"name": "d", "rules": as_rules}]})
    )


def test_panels_of_the_dashboard_do_not_overlap_and_use_the_provisioned_source() -> None:
    sources = (MONITORING / "grafana/provisioning/datasources").glob("*.yml")
    uids = {s["uid"] for path in sources for s in yaml.safe_load(path.read_text())["datasources"]}
    cells: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in mine) < 24
        assert not mine & cells, panel["title"]
        cells |= mine
        assert {t["datasource"]["uid"] for t in panel.get("targets", [])} <= uids


def test_the_statsd_mapping_knows_the_names_that_airflow_sends() -> None:
    environment = REPOSITORY / ".venv" / "airflow"
    template = "lib/*/site-packages/airflow/_shared/observability/metrics/metrics_template.yaml"
    templates = list(environment.glob(template))
    if not templates:
        pytest.skip("no Airflow environment")
    known = set()
    for metric in yaml.safe_load(templates[0].read_text())["metrics"]:
        legacy = metric.get("legacy_name", "-")
        known.add("airflow." + re.sub(r"\{[^}]*\}", "*", metric["name"] if legacy == "-" else legacy))
    mapped = {
        entry["match"]
        for entry in yaml.safe_load((MONITORING / "statsd-mapping.yml").read_text())["mappings"]
        if entry.get("action") != "drop"
    }
    assert mapped - known == set()
