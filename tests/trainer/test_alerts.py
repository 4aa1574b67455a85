"""Alerts: one message per cause, with what a person needs, whatever the mail server does."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest
from servers import http_sink, mail_server, page_of, silent_server, text_of
from systems import System
from test_drift import dearer, landed

from carprice.alerts import events
from carprice.alerts.delivery import deliver
from carprice.alerts.record import Alert, all_alerts, open_alert, resolve
from carprice.cli import main
from carprice.lifecycle import evaluation, training
from carprice.params import AlertParams, Params
from carprice.params_file import parse_params
from carprice.pipeline import run_report
from carprice.pipeline.approval import reason_for_approval
from carprice.pipeline.context import Context
from carprice.reports.state import read_state
from carprice.store import DataRoot

QUICK = AlertParams(send_seconds=1.0)
REFUSED = b"Marque;Prix\nDacia;90 000 DH\n"
DRIFTED = {
    "verdict": "drifted",
    "report": "reports/drift/today.html",
    "file": "june.csv",
    "production_version": "3",
    "rows": 512,
    "drifted_columns": ["price_mad", "mileage_km"],
    "headline": "Prices are 11 % higher at an equal car.",
}
WORSE = {
    "verdict": "worse",
    "report": "reports/live/today.html",
    "version": "3",
    "metrics": {"mape": 0.21},
    "promised": {"mape": 0.14},
}


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    (tmp_path / "data").mkdir()
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mail]]:
    with mail_server() as (port, taken):
        configure_mail(monkeypatch, port)
        yield taken


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with http_sink() as (port, taken):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook")
        yield taken


def configure_mail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")


def some_alert(cause: str = "drift:1") -> Alert:
    return Alert(cause, "drift", f"subject of {cause}", "text")


def opened(root: DataRoot) -> list[dict[str, Any]]:
    """The alerts whose cause is still there, or that somebody was not told yet."""
    return read_state(root).alerts


def undelivered(root: DataRoot) -> list[dict[str, Any]]:
    return read_state(root).undelivered


def carprice(root: DataRoot, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("DATA_DIR", root.location)
    return main(list(arguments))


def run_in_production(system: System) -> str:
    return str(system.registry.version_of("production").run_id)


def promotion_untold(system: System) -> str:
    """The run in production, of which no report has been told yet."""
    for known in system.root.names("alerts", ".json"):
        system.root.remove(f"alerts/{known}")
    return run_in_production(system)


def refuse(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> str:
    """Land a file that can't be used and check it; its SHA-256."""
    import hashlib

    root.write_bytes("raw/may.csv", REFUSED)
    sha256 = hashlib.sha256(REFUSED).hexdigest()
    assert carprice(root, monkeypatch, "check-data-quality", "--file", "may.csv", "--sha256", sha256) == 65
    return sha256


# --- one per cause


def test_a_refused_file_is_told_once_with_the_reason_and_its_page(
    root: DataRoot,
    mails: list[Mail],
    posts: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARPRICE_REPORTS_URL", "https://cars.example/reports/")
    for _ in range(3):  # and the step is cleared twice
        sha256 = refuse(root, monkeypatch)
        deliver(root, QUICK)

    (mail,), (post,) = mails, posts
    assert mail["Subject"] == "Car prices: the file may.csv was refused"
    text = text_of(mail)
    assert "1 rows in" in text
    assert "What to do: show the quality page" in text
    assert f"reports/quality/{sha256}.html" in text
    assert f"https://cars.example/reports/quality/{sha256}.html" in text
    assert "may.csv" in str(page_of(mail))
    assert "may.csv was refused" in post["text"]
    (record,) = all_alerts(root)
    assert record["count"] == 3
    assert opened(root) == [], "it happened, was told, and is not there until something changes"


def test_a_refused_file_is_closed_too_where_nobody_is_to_be_told(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(root, monkeypatch)
    assert len(opened(root)) == 1
    deliver(root, QUICK)
    assert opened(root) == []
    open_alert(root, some_alert())
    deliver(root, QUICK)
    assert [known["cause"] for known in opened(root)] == ["drift:1"], "what is still there stays open"


def test_recording_an_alert_sends_nothing_by_itself(
    root: DataRoot, mails: list[Mail], posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(root, monkeypatch)
    assert mails == posts == []
    assert [known["kind"] for known in undelivered(root)] == ["file_refused"]


def test_a_cause_that_was_gone_alerts_again(root: DataRoot, mails: list[Mail]) -> None:
    for _ in range(2):
        assert open_alert(root, some_alert())
        assert not open_alert(root, some_alert())
        deliver(root, QUICK)
        deliver(root, QUICK)
        assert resolve(root, "drift:1")
        assert not resolve(root, "drift:1")
    deliver(root, QUICK)
    assert len(mails) == 2
    assert opened(root) == []


def _raise_and_send(location: str, begin: Any) -> None:
    root = DataRoot(location)
    begin.wait()
    open_alert(root, some_alert())
    deliver(root, AlertParams())


def test_two_steps_at_once_send_it_once(root: DataRoot, mails: list[Mail]) -> None:
    context = multiprocessing.get_context("fork")
    begin = context.Event()
    steps = [context.Process(target=_raise_and_send, args=(root.location, begin)) for _ in range(6)]
    for step in steps:
        step.start()
    begin.set()
    for step in steps:
        step.join(60)
    assert [step.exitcode for step in steps] == [0] * 6
    assert len(mails) == 1
    (record,) = all_alerts(root)
    assert record["count"] == 6


def test_a_channel_configured_later_is_not_flooded_with_what_was_told_before(
    root: DataRoot, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_alert(root, some_alert())
    deliver(root, QUICK)
    with http_sink() as (port, posts):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/")
        deliver(root, QUICK)
        assert posts == []
    assert len(mails) == 1


def test_a_channel_that_is_configured_no_more_keeps_no_alert_waiting(
    root: DataRoot, posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_mail(monkeypatch, 9)
    refuse(root, monkeypatch)
    open_alert(root, some_alert())
    deliver(root, QUICK)
    assert len(posts) == len(undelivered(root)) == 2
    monkeypatch.delenv("CARPRICE_SMTP_URL")
    deliver(root, QUICK)
    assert len(posts) == 2
    assert undelivered(root) == []
    assert [known["cause"] for known in opened(root)] == ["drift:1"]


def test_what_nobody_was_told_goes_to_the_channel_that_took_the_place_of_the_first(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_mail(monkeypatch, 9)
    open_alert(root, some_alert())
    monkeypatch.delenv("CARPRICE_SMTP_URL")
    deliver(root, QUICK)  # in a shell where nothing is configured
    assert len(undelivered(root)) == 1
    with http_sink() as (port, posts):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/")
        deliver(root, QUICK)
    assert len(posts) == 1
    assert undelivered(root) == []


# --- a pipeline that failed


def test_a_failed_step_is_told_once_until_it_works_again(
    system: System, mails: list[Mail], posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = json.dumps({"train_model": "failed", "evaluate_model": "upstream_failed"})
    problems = json.dumps({"train_model": "MLflow is away."})
    told = [
        "send-pipeline-report", "--state", failed, "--problems", problems,
        "--dag-run", "train_car_price, run scheduled__1", "--link", "https://airflow.example/run1",
    ]  # fmt: skip
    for _ in range(2):
        assert carprice(system.root, monkeypatch, *told) == 0
    (mail,) = mails
    assert mail["Subject"] == "Car prices: the pipeline failed at train_model"
    for part in (
        "in train_car_price, run scheduled__1",
        "MLflow is away.",
        "evaluate_model",
        "What to do:",
        "https://airflow.example/run1",
        "reports/pipeline/",
    ):
        assert part in text_of(mail)
    assert "The pipeline failed at train_model" in str(page_of(mail))

    assert carprice(system.root, monkeypatch, "train-model") == 0
    assert opened(system.root) == []
    assert carprice(system.root, monkeypatch, *told) == 0
    assert len(mails) == len(posts) == 2


def test_a_refused_file_is_no_failed_pipeline(
    system: System, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(system.root, monkeypatch)
    states = json.dumps({"claim_files": "success", "check_data_quality_0": "refused"})
    assert carprice(system.root, monkeypatch, "send-pipeline-report", "--state", states) == 0
    assert [mail["Subject"] for mail in mails] == ["Car prices: the file may.csv was refused"]


def test_with_mlflow_away_the_failure_is_told_without_a_report(
    root: DataRoot, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    states = json.dumps({"promote_to_staging": "failed"})
    assert carprice(root, monkeypatch, "send-pipeline-report", "--run-id", "r", "--state", states) == 75
    assert [mail["Subject"] for mail in mails] == ["Car prices: the pipeline failed at promote_to_staging"]


def test_a_broken_params_file_is_told_all_the_same(
    root: DataRoot, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_PARAMS", "alerts: {send_second: 3}")
    assert carprice(root, monkeypatch, "alert", "--run-failed", "a run", "claim_files", "not a setting") == 0
    assert "not a setting" in text_of(mails[0])


# --- nothing wrong, nothing sent


def test_a_good_run_without_reports_sends_nothing(
    system: System,
    mails: list[Mail],
    posts: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    quiet = (
        f"{{promotion: {json.dumps(system.params.promotion.model_dump())}, alerts: {{send_reports: false}}}}"
    )
    monkeypatch.setenv("CARPRICE_PARAMS", quiet)
    again = system.land("second.csv", 900, 2)
    assert carprice(system.root, monkeypatch, "run", str(again)) in (0, 99)
    states = json.dumps({"train_model": "success", "promote_to_production": "success"})
    run_id = str(system.registry.version_of("production").run_id)
    assert (
        carprice(system.root, monkeypatch, "send-pipeline-report", "--run-id", run_id, "--state", states) == 0
    )
    assert carprice(system.root, monkeypatch, "check-freshness") == 99
    assert carprice(system.root, monkeypatch, "alert", "--deliver") == 0
    assert mails == posts == []
    assert opened(system.root) == []


def test_the_report_of_a_promotion_is_sent_by_default(
    system: System, mails: list[Mail], posts: list[dict[str, Any]]
) -> None:
    run_id = promotion_untold(system)
    sent = run_report.send_pipeline_report(system.root, system.registry, run_id, "1", {})["sent"]
    assert sent == ["e-mail", "webhook"]
    (mail,), (post,) = mails, posts
    assert "version 1 is in production" in mail["Subject"]
    assert "Version 1 is in production" in str(page_of(mail))
    assert "promote_to_staging" in post["text"]


def test_a_report_that_is_sent_again_has_one_page_and_one_mail(system: System, mails: list[Mail]) -> None:
    run_id = promotion_untold(system)
    of_dag = run_report.RunOfDag("ingest_listings, run 1")
    for _ in range(2):
        run_report.send_pipeline_report(system.root, system.registry, run_id, "1", {})
        run_report.send_pipeline_report(
            system.root, system.registry, None, None, {"claim_files": "failed"}, None, of_dag
        )
    assert len(mails) == 2
    assert len(system.root.names("reports/pipeline", ".html")) == 2


def test_the_report_of_a_promotion_reaches_a_mail_server_that_was_dead(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_mail(monkeypatch, 9)
    told = run_report.send_pipeline_report(system.root, system.registry, promotion_untold(system), "1", {})
    assert "e-mail" in told["undelivered"]
    attention = system.root.read_bytes("reports/index.html").decode().split("</ul>")[0]
    assert "An alert did not reach everybody" in attention
    assert "Version 1 is in production" not in attention, "which is no finding"
    with mail_server() as (port, mails):
        configure_mail(monkeypatch, port)
        for _ in range(2):
            carprice(system.root, monkeypatch, "check-freshness")
    (mail,) = mails
    assert "version 1 is in production" in mail["Subject"]
    assert "Version 1 is in production" in str(page_of(mail))


# --- a mail server that is dead


def test_a_dead_mail_server_delays_nothing_is_visible_and_gets_it_once_when_it_is_back(
    system: System, posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    system.root.write_text("reports/drift/today.html", "<html>drift</html>")
    monkeypatch.setenv("CARPRICE_PARAMS", "alerts: {send_seconds: 4, send_reports: false}")
    states = json.dumps({"train_model": "failed"})
    with silent_server() as port:
        configure_mail(monkeypatch, port)
        refuse(system.root, monkeypatch)
        events.drift_judged(system.root, system.params, DRIFTED, "3")
        begun = time.monotonic()
        result = system.folder / "result.json"
        assert (
            carprice(
                system.root, monkeypatch, "send-pipeline-report", "--state", states, "--result", str(result)
            )
            == 0
        )
        assert time.monotonic() - begun < 12, "four seconds of waiting for three alerts together"
    told = json.loads(result.read_text())
    assert told["sent"] == ["webhook"]
    assert "e-mail" in told["undelivered"]
    stored = system.root.read_json(told["report"].replace(".html", ".json"))
    assert stored["undelivered"] == told["undelivered"]
    assert "Not everybody was told" in system.root.read_bytes(told["report"]).decode()
    assert len(undelivered(system.root)) == 3
    assert all("e-mail" in known["errors"] for known in undelivered(system.root))
    assert len(posts) == 3

    with mail_server() as (port, mails):
        configure_mail(monkeypatch, port)
        for _ in range(2):
            carprice(system.root, monkeypatch, "check-freshness")
        assert len({mail["Subject"] for mail in mails}) == len(mails) == 3
    assert len(posts) == 3
    assert undelivered(system.root) == []
    assert all(known["errors"] == {} for known in all_alerts(system.root))


def test_a_step_that_was_killed_while_sending_leaves_the_alert_to_the_next(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_server() as port:
        configure_mail(monkeypatch, port)
        open_alert(root, some_alert())
        code = (
            "import sys; from carprice.alerts.delivery import deliver; from carprice.store import DataRoot; "
            "from carprice.params import AlertParams; print('begun', flush=True); "
            "deliver(DataRoot(sys.argv[1]), AlertParams(send_seconds=60))"
        )
        sender = subprocess.Popen(
            [sys.executable, "-c", code, root.location], stdout=subprocess.PIPE, text=True
        )
        assert sender.stdout is not None
        assert sender.stdout.readline() == "begun\n"
        while not [name for name in os.listdir(root.path("alerts")) if len(name) > 64 and ".lock" in name]:
            time.sleep(0.02)
        sender.kill()
        sender.wait()
    with mail_server() as (port, mails):
        configure_mail(monkeypatch, port)
        deliver(root, QUICK)
        assert len(mails) == 1


def test_a_setting_that_is_wrong_fails_no_step_that_records_an_alert(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_URL_FILE", root.path("no such file"))
    assert not open_alert(root, some_alert())
    assert deliver(root, QUICK).sent == []
    assert "CARPRICE_SMTP_URL_FILE must name a readable file" in caplog.text


def test_an_alert_that_can_not_be_kept_fails_no_step(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root.write_text("alerts", "a file stands where the folder should be")
    assert not open_alert(root, some_alert())
    assert deliver(root, QUICK).sent == []
    assert "can't record an alert" in caplog.text


# --- drift, live error, freshness


def test_drift_is_told_with_its_report_and_resolved_when_the_market_is_back(
    root: DataRoot, mails: list[Mail], fast_params: Params
) -> None:
    root.write_text("reports/drift/today.html", "<html>drift</html>")
    for verdict in (DRIFTED, DRIFTED, DRIFTED | {"verdict": "too little data"}):
        events.drift_judged(root, fast_params, verdict, "3")
        deliver(root, QUICK)
    (mail,) = mails
    assert mail["Subject"] == "Car prices: the market drifted away from version 3"
    for part in ("Prices are 11 % higher", "june.csv", "price_mad", "mileage_km", "512", "What to do:"):
        assert part in text_of(mail)
    assert page_of(mail) == "<html>drift</html>"

    events.drift_judged(root, fast_params, DRIFTED | {"verdict": "stable"}, "3")
    assert opened(root) == []


def test_another_version_in_production_ends_what_was_wrong_with_the_one_before(
    root: DataRoot, fast_params: Params
) -> None:
    events.drift_judged(root, fast_params, DRIFTED, "3")
    events.live_error_judged(root, fast_params, WORSE, "3")
    open_alert(root, Alert("pipeline_failed:x", "pipeline_failed", "subject", "text"))
    events.version_in_production(root, "4")
    assert [known["cause"] for known in opened(root)] == ["pipeline_failed:x"]


def test_drift_found_after_the_promotion_is_told_once_and_says_what_took_the_versions_place(
    root: DataRoot, mails: list[Mail], fast_params: Params
) -> None:
    events.drift_judged(root, fast_params, DRIFTED | {"production_version": "4"}, "4")
    for _ in range(2):  # the run of the file, and the daily one after it
        events.drift_judged(root, fast_params, DRIFTED, "4")
        deliver(root, QUICK)
    assert [known["cause"] for known in opened(root)] == ["drift:4"]
    (mail,) = [mail for mail in mails if "version 3" in str(mail["Subject"])]
    assert "Since then version 4 has taken its place in production." in text_of(mail)


def test_a_verdict_is_no_alert_while_nothing_is_in_production(root: DataRoot, fast_params: Params) -> None:
    events.drift_judged(root, fast_params, DRIFTED, None)
    events.live_error_judged(root, fast_params, WORSE, None)
    assert all_alerts(root) == []


@pytest.mark.parametrize("how", ["promotion", "rollback"])
def test_a_promotion_or_rollback_closes_what_was_wrong_with_the_version_before(
    system: System, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    wrong = {"promotion": "9", "rollback": "1"}[how]
    if how == "rollback":
        other = system.registry.register(
            "other", system.registry.get_run(run_in_production(system)).data.tags["model_uri"]
        )
        system.registry.set_alias("previous", str(other.version))
    else:
        system.registry.set_alias("production", "1")
    events.drift_judged(system.root, system.params, DRIFTED | {"production_version": wrong}, wrong)
    events.live_error_judged(system.root, system.params, WORSE | {"version": wrong}, wrong)
    assert len(opened(system.root)) == 2
    command = ["rollback"] if how == "rollback" else ["promote-to-production", "--version", "1"]
    assert carprice(system.root, monkeypatch, *command) == 0
    assert opened(system.root) == []


def test_what_was_wrong_is_told_though_another_version_took_its_place_before_it_was_sent(
    root: DataRoot, mails: list[Mail], fast_params: Params
) -> None:
    events.live_error_judged(root, fast_params, WORSE, "3")
    events.version_in_production(root, "4")
    for _ in range(2):
        deliver(root, QUICK)
    (mail,) = mails
    assert mail["Subject"] == "Car prices: the live error of version 3 is past its limit"
    assert "Since then version 4 has taken its place in production." in text_of(mail)
    assert opened(root) == []
    events.live_error_judged(root, fast_params, WORSE, "3")  # rolled back, and as bad as before
    deliver(root, QUICK)
    assert len(mails) == 2


def test_a_live_error_past_its_limit_is_told_beside_what_was_promised(
    root: DataRoot, mails: list[Mail], fast_params: Params
) -> None:
    events.live_error_judged(root, fast_params, WORSE, "3")
    deliver(root, QUICK)
    (mail,) = mails
    assert mail["Subject"] == "Car prices: the live error of version 3 is past its limit"
    assert "mape: 0.21 (promised 0.14)" in text_of(mail)
    assert "rollback" in text_of(mail)
    events.live_error_judged(root, fast_params, WORSE | {"verdict": "as promised"}, "3")
    assert opened(root) == []


def test_nothing_landed_for_long_is_told_once_and_resolved_by_the_next_file(
    system: System, mails: list[Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = [name for name in system.root.names("receipts", ".json") if name[0] != "."]
    receipt = system.root.read_json(f"receipts/{name}")
    assert carprice(system.root, monkeypatch, "check-freshness") == 99
    long_ago = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    system.root.write_json(f"receipts/{name}", receipt | {"checked_at": long_ago})
    for _ in range(2):
        assert carprice(system.root, monkeypatch, "check-freshness") == 0
    (mail,) = mails
    assert mail["Subject"] == "Car prices: nothing has landed for 20 days"
    assert receipt["file"] in text_of(mail)
    system.root.write_json(f"receipts/{name}", receipt)
    assert carprice(system.root, monkeypatch, "check-freshness") == 99
    assert opened(system.root) == []


def test_a_root_into_which_nothing_ever_landed_is_not_late(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert carprice(root, monkeypatch, "check-freshness") == 99


# --- by hand


def test_a_test_goes_through_every_channel_and_says_which_took_it(
    root: DataRoot,
    mails: list[Mail],
    posts: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert carprice(root, monkeypatch, "alert", "--test") == 0
    assert capsys.readouterr().out.splitlines() == ["e-mail: ok", "webhook: ok"]
    assert len(mails) == len(posts) == 1
    monkeypatch.setenv("CARPRICE_SMTP_URL", "smtp://127.0.0.1:9")
    assert carprice(root, monkeypatch, "alert", "--test") == 1
    lines = capsys.readouterr()
    assert "e-mail: ConnectionRefusedError" in lines.err
    assert "webhook: ok" in lines.err


def test_a_test_without_a_channel_names_the_variables(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carprice(root, monkeypatch, "alert", "--test") == 2
    assert "CARPRICE_SMTP_URL with CARPRICE_SMTP_TO, CARPRICE_WEBHOOK_URL" in capsys.readouterr().err


def test_the_list_shows_what_is_open_and_who_was_not_told(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carprice(root, monkeypatch, "alert") == 0
    assert capsys.readouterr().out == "There has been no alert yet.\n"
    configure_mail(monkeypatch, 9)
    open_alert(root, some_alert())
    assert carprice(root, monkeypatch, "alert", "--deliver") == 0
    assert "e-mail: ConnectionRefusedError" in capsys.readouterr().out
    assert carprice(root, monkeypatch, "alert", "--list") == 0
    listed = capsys.readouterr().out
    assert "subject of drift:1" in listed
    assert "not sent yet by e-mail" in listed
    assert carprice(root, monkeypatch, "alert", "--resolve", "drift:1") == 0
    assert carprice(root, monkeypatch, "alert", "--resolve", "drift:1") == 2
    assert opened(root) == []


# --- a person before the next promotion


@pytest.mark.parametrize(
    ("tag", "value", "wanted"),
    [
        ("drift.verdict", "drifted", "drifted away"),
        ("live.verdict", "worse", "live error is worse"),
        ("drift.verdict", "stable", None),
        ("live.verdict", "too little data", None),
    ],
)
def test_a_person_is_asked_when_production_is_known_to_be_off_and_params_want_it(
    system: System, tag: str, value: str, wanted: str | None
) -> None:
    production = str(system.version("production"))
    system.registry.tag_version(production, **{tag: value})
    run_id = run_in_production(system)
    assert reason_for_approval(Context(system.root, system.params, system.registry), run_id) is None
    asking = parse_params("promotion: {approve_after_drift: true}")
    reason = reason_for_approval(Context(system.root, asking, system.registry), run_id)
    assert (reason is None) == (wanted is None)
    if wanted is not None:
        assert wanted in str(reason)


@pytest.mark.parametrize("switch", ["true", "false"])
def test_drift_of_the_file_that_a_candidate_learned_is_known_before_it_is_promoted(
    system: System, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    landed(system, 900, 2, dearer)
    gates = "production_confidence: 0, max_slice_loss: 9, max_mape: 9, max_median_ape: 9, min_r2_log: -9"
    monkeypatch.setenv("CARPRICE_PARAMS", f"promotion: {{{gates}, approve_after_drift: {switch}}}")
    result = system.folder / "result.json"
    run_id = str(training.train(system.root, system.params, system.registry, "latest")["run_id"])
    evaluation.evaluate(system.root, system.params, system.registry, run_id)
    told = ["promote-to-staging", "--run-id", run_id, "--result", str(result)]
    assert carprice(system.root, monkeypatch, *told) == 0
    decision = json.loads(result.read_text())
    assert decision["passed"]
    if switch == "true":
        assert decision["needs_approval"]
        assert "version 1 is in production and the market drifted away" in decision["approval_reason"]
    else:
        assert not decision["needs_approval"]
        assert system.root.names("reports/drift") == [], "switched off, it costs nothing"
