"""A real Prometheus scrapes what the API and the pipeline write; a real Alertmanager tells of it.

The rules are those of the repository with shorter times. The metrics are made by the API's own code and by
the pipeline's: a server shows them as the API does. Airflow's need an exporter that Debian has not; the rules
about them are tried with `promtool test rules` (tests/demo/test_monitoring.py).
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml

from carprice.monitoring import gauges
from carprice.reports.state import SystemState
from price_api.metrics import Metrics

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "images/collector/src"))

from carprice_collector import gauges as of_collector

MONITORING = REPOSITORY / "monitoring"
OF_AIRFLOW = {"SchedulerSilent", "DagsBroken", "TasksFail"}
WELL = SystemState(
    production_version="3",
    production_since=datetime.now(UTC) - timedelta(days=2),
    promised_mape=0.09,
    drift={"verdict": "stable", "drift_share": 0.0, "production_version": "3"},
    live={"verdict": "as promised", "version": "3", "metrics": {"mape": 0.09, "rows": 800}, "promised": 0.09},
    newest_file={"rows_accepted": 800, "rows_refused": 3, "checked_at": datetime.now(UTC).isoformat()},
    alerts=[],
)
LONG_AGO = (datetime.now(UTC) - timedelta(days=20)).isoformat()
NOW = datetime.now(UTC).isoformat()
COLLECTED: dict[str, Any] = {
    "source": "atlas",
    "started_at": NOW,
    "ended_at": NOW,
    "pages_read": 12,
    "pages_lost": {},
    "ads": 300,
    "unpriced": 4,
    "refusals": 0,
    "complete": True,
}


class Api:
    """Shows the metrics of an API, of the pipeline and of the collector under /metrics, while it is up."""

    def __init__(self, version: float | None = 3) -> None:
        self.metrics = Metrics()
        self.state: SystemState | None = WELL
        self.collected = COLLECTED
        self.written_ago = 0.0
        self.values: dict[str, float | None] = {
            "carprice_production_version": version,
            "carprice_mlflow_up": 1,
            "carprice_prediction_log_queue": 0,
            "carprice_prediction_log_dropped_total": 0,
        }
        self.each_scrape: Callable[[Metrics], None] = lambda metrics: metrics.count_request(
            "/v1/predict", 200
        )
        self.is_up = True
        self.metrics.add_values(lambda: {name: ("", value) for name, value in self.values.items()})

    def page(self) -> bytes:
        self.each_scrape(self.metrics)
        text = self.metrics.exposition()
        if self.state is None:
            return text
        name, of_pipeline = "carprice_gauges_written_timestamp_seconds", gauges.text_of(self.state)
        written = f"{name} {time.time() - self.written_ago}"
        of_pipeline = re.sub(r"(?m)^NAME .*$".replace("NAME", name), written, of_pipeline)
        return text + (of_pipeline + of_collector.text_of(self.collected)).encode()


@contextmanager
def serving(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """The address of a server that answers what a function makes of a body; None is an error."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(500 if found is None else 200)
            self.end_headers()
            self.wfile.write(found or b"")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def program(name: str) -> str:
    """The path of a program of Debian's package of that name; skips the test without it."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("REQUIRE_PROMTOOL") else pytest.skip)(
            f"Debian's package {name} has it."
        )
    return str(found)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def running(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program(name), *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        yield
        assert process.poll() is None, (folder / f"{name}.log").read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(20)


def quick_rules() -> dict[str, Any]:
    """The rules of the repository with seconds for minutes and hours; limits stay."""
    found: dict[str, Any] = yaml.safe_load((MONITORING / "rules.yml").read_text())
    for group in found["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[\d+[mh]\]", "[10s]", rule["expr"])
            if "for" in rule:
                rule["for"] = "2s"
    return found


class Watch:
    """A Prometheus with an Alertmanager, and what the Alertmanager told."""

    def __init__(self, address: str, told: list[dict[str, Any]]) -> None:
        self._address = address
        self._told = told

    def ask(self, expression: str) -> list[Any]:
        """The result of a query."""
        with urlopen(f"http://{self._address}/api/v1/query?query={quote(expression)}", timeout=20) as answer:
            return list(json.load(answer)["data"]["result"])

    def firing(self) -> set[str]:
        return {each["metric"]["alertname"] for each in self.ask('ALERTS{alertstate="firing"}')}

    def told(self, status: str) -> set[str]:
        """The alerts that the Alertmanager told of, with that status at the end."""
        last = {
            each["labels"]["alertname"]: each["status"]
            for message in self._told
            for each in message["alerts"]
        }
        return {name for name, found in last.items() if found == status}


@contextmanager
def watching(folder: Path, **jobs: list[str]) -> Iterator[Watch]:
    """Prometheus on the targets of each job."""
    told: list[dict[str, Any]] = []

    def take(body: bytes) -> bytes:
        told.append(json.loads(body))
        return b""

    with ExitStack() as made:
        mailbox = made.enter_context(serving(take))
        here, manager, cluster = free_address(), free_address(), free_address()
        receiver = {
            "name": "people",
            "webhook_configs": [{"url": f"http://{mailbox}/", "send_resolved": True}],
        }
        route = {"receiver": "people", "group_wait": "1s", "group_interval": "1s", "group_by": ["alertname"]}
        alertmanager = {"route": route, "receivers": [receiver], "global": {"resolve_timeout": "10s"}}
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(alertmanager))
        (folder / "rules.yml").write_text(yaml.safe_dump(quick_rules()))
        prometheus = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
        made.enter_context(running(
            folder, "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alerts",
            f"--web.listen-address={manager}", f"--cluster.listen-address={cluster}",
        ))  # fmt: skip
        made.enter_context(running(
            folder, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=store",
            f"--web.listen-address={here}", "--rules.alert.resend-delay=2s",
        ))  # fmt: skip
        yield Watch(here, told)


def wait_for(found: Callable[[], Any], what: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while True:
        seen: Any
        try:
            seen = found()
        except OSError as away:
            seen = away
        if seen is True:
            return
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}, the last was {seen}"
        time.sleep(0.5)


def test_each_rule_fires_on_its_cause_is_told_and_resolves_with_it(tmp_path: Path) -> None:
    one, two, three = Api(), Api(), Api()
    three.state = None  # an API without the pipeline's figures
    airflow = Api()
    apis = {"one": one, "two": two, "three": three, "airflow": airflow}
    names = {rule["alert"] for group in quick_rules()["groups"] for rule in group["rules"]} - OF_AIRFLOW

    with ExitStack() as made:
        address = {
            name: made.enter_context(serving(lambda _, api=api: api.page() if api.is_up else None))
            for name, api in apis.items()
        }
        targets = [address[name] for name in ("one", "two", "three")]
        watch = made.enter_context(watching(tmp_path, carprice=targets, airflow=[address["airflow"]]))
        wait_for(lambda: len(watch.ask("up == 1")) == 4 or watch.ask("up"), "everything to be scraped")
        assert watch.firing() == set()

        break_all(one, two, three, airflow)
        wait_for(lambda: watch.firing() == names or names ^ watch.firing(), "every alert to fire")
        wait_for(
            lambda: watch.told("firing") == names or names - watch.told("firing"), "every alert to be told"
        )

        mend_all(one, two, three, airflow)
        wait_for(lambda: watch.firing() == set() or watch.firing(), "every alert to end")
        wait_for(
            lambda: watch.told("resolved") == names or names - watch.told("resolved"), "every end to be told"
        )


def break_all(one: Api, two: Api, three: Api, airflow: Api) -> None:
    """Bring about the cause of every alert. `one` has what the pipeline says, `two` what the API does."""
    undelivered = {"kind": "drift", "state": "open", "channels": ["e-mail"], "delivered": {}}
    one.state = replace(
        WELL,
        production_version="4",
        drift={"verdict": "drifted", "drift_share": 0.2, "production_version": "4"},
        live={"verdict": "worse", "version": "4", "metrics": {"mape": 0.2, "rows": 800}, "promised": 0.09},
        newest_file={"rows_accepted": 0, "rows_refused": 800, "checked_at": LONG_AGO},
        alerts=[undelivered],
    )
    one.written_ago = 4 * 3600
    findings = {"findings": [{"code": "field_vanished"}]}
    one.collected = COLLECTED | {"ended_at": LONG_AGO, "refusals": 2, "complete": False} | findings
    two.values |= {"carprice_mlflow_up": 0, "carprice_prediction_log_queue": 6000}
    two.values["carprice_production_version"] = None

    def fail(metrics: Metrics) -> None:
        metrics.count_request("/v1/predict", 503)
        metrics.observe_prediction(0.9)
        metrics.count_refused_model()
        two.values["carprice_prediction_log_dropped_total"] = time.time() - begun

    begun = time.time()
    two.each_scrape = fail
    three.is_up = airflow.is_up = False


def mend_all(one: Api, two: Api, three: Api, airflow: Api) -> None:
    """Take all causes away; counters stay where they are, as those of a process do."""
    one.state, one.written_ago, one.collected = replace(WELL), 0.0, COLLECTED
    two.values |= {"carprice_mlflow_up": 1, "carprice_prediction_log_queue": 0}
    two.values["carprice_production_version"] = 3

    def answer(metrics: Metrics) -> None:
        metrics.count_request("/v1/predict", 200)
        metrics.observe_prediction(0.01)

    two.each_scrape = answer
    three.is_up = airflow.is_up = True


def test_every_query_of_the_dashboard_about_the_api_and_the_pipeline_returns_data(tmp_path: Path) -> None:
    board = json.loads((MONITORING / "grafana/dashboards/carprice.json").read_text())
    queries = {target["expr"] for panel in board["panels"] for target in panel.get("targets", [])}
    asked = {query for query in queries if "airflow_" not in query}
    api = Api()

    def price(metrics: Metrics) -> None:
        metrics.count_request("/v1/predict", 200)
        metrics.count_predictions("3", "production", "api")
        metrics.observe_prediction(0.01)

    api.each_scrape = price
    with serving(lambda _: api.page()) as address, watching(tmp_path, carprice=[address]) as watch:

        def all_have_a_number() -> Any:
            without = {
                query
                for query in asked
                if not (found := watch.ask(query)) or any("NaN" in each["value"] for each in found)
            }
            return without or True

        wait_for(all_have_a_number, "every query to have a number")
    assert len(asked) > 20
